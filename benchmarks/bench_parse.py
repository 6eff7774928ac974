"""Read the example DAG files and the Dagster definitions

A fresh interpreter that has loaded Airflow, or Dagster, reads one file, as the DAG processor's children and code servers do. Beside a
plain DAG, and plain definitions, of the same shape. Seconds of CPU.
"""

import gc
import os
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from side_by_side import OURS, ROOT, Claim, arguments, in_turn, print_figures, tell

EXAMPLES = ROOT / "dags_examples"
FILES = {file.stem: file for file in sorted((EXAMPLES / "airflow").glob("*.py"))}
FILES["definitions"] = EXAMPLES / "dagster" / "definitions.py"
BEFORE = {
    "error_alerts": "12",
    "nightly_export": "3.8",
    "pipeline_health": "11",
    "definitions": "10",
}
"""`x plain`, of the issue's 45, 14 and 41 ms over 3.7, and of 75 over 7.5."""
PLAIN_DAG = """
import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

with DAG("plain", schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
         start_date=pendulum.datetime(2020, 1, 1, tz="UTC"), catchup=False):
    for number in range(3):
        BashOperator(task_id=f"task_{number}", bash_command="true")
"""
PLAIN_DEFINITIONS = """
import dagster as dg

days = dg.DailyPartitionsDefinition(start_date="2020-01-01")

def made(number):
    @dg.asset(name=f"asset_{number}", partitions_def=days)
    def each(context):
        return None
    return each

assets = [made(number) for number in range(4)]
job = dg.define_asset_job("nightly", assets, partitions_def=days)
defs = dg.Definitions(assets=assets, schedules=[dg.build_schedule_from_partitioned_job(job)])
defs.get_repository_def()
"""


def load(orchestrator: str) -> None:
    """What the orchestrator's own process has loaded before it reads a file."""
    if orchestrator == "dagster":
        import dagster

        assert dagster
        return
    import pendulum
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import Asset, AssetWatcher, BaseHook, BaseOperator, conf, exceptions, task

    assert all(
        (pendulum, DagBag, Asset, AssetWatcher, BaseHook, BaseOperator, conf, exceptions, task)
    )


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    if options.way:
        folder = Path(options.rest[0])
        file = FILES.get(options.way) or folder / f"{options.way}.py"
        orchestrator = "dagster" if "definitions" in options.way else "airflow"
        load(orchestrator)
        if orchestrator == "airflow":
            gc.freeze()  # as the DAG processor does before it forks
        before, began = set(sys.modules), time.process_time()
        runpy.run_path(str(file))
        seconds = time.process_time() - began
        print_figures(seconds=seconds, modules=len(set(sys.modules) - before))
        return
    os.environ["PYTHONPATH"] = str(EXAMPLES / "dagster")
    with tempfile.TemporaryDirectory(prefix="bench-parse-") as home:
        Path(home, "plain_dag.py").write_text(PLAIN_DAG)
        Path(home, "plain_definitions.py").write_text(PLAIN_DEFINITIONS)
        ways = dict.fromkeys([*FILES, "plain_dag", "plain_definitions"], OURS)
        places = dict.fromkeys(("AIRFLOW_HOME", "DAGSTER_HOME", "VECTORSHIFT_EXAMPLES_HOME"), home)
        # As where packages are installed, modules are compiled once, whatever this environment says of that.
        subprocess.run([OURS, "-m", "compileall", "-q", ROOT / "src"], check=True)
        found = in_turn(__file__, ways, 3, home, environment=places)
    for name in FILES:
        plain = found["plain_definitions" if name == "definitions" else "plain_dag"]["seconds"]
        each = found[name]
        tell(
            Claim(
                f"read {name}.py",
                each["seconds"] / plain,
                "x plain",
                "<= 5",
                BEFORE[name],
                f"{1000 * each['seconds']:.1f} ms and {each['modules']:.0f} modules more, "
                f"plain {1000 * plain:.1f} ms",
            )
        )


if __name__ == "__main__":
    main()
