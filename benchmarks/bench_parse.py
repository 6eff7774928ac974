"""What our example DAG files cost the DAG processor, beside a plain DAG of the same shape.

A fresh interpreter that has loaded Airflow reads one file, as the DAG processor's children do. Interleaved, medians.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "dags_examples" / "airflow").glob("*.py"))
ROUNDS = 7
PLAIN = """
import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

with DAG("plain", schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
         start_date=pendulum.datetime(2020, 1, 1, tz="UTC"), catchup=False):
    for number in range(3):
        BashOperator(task_id=f"task_{number}", bash_command="true")
"""
READ = """
import json, runpy, sys, time
import airflow, airflow.sdk, pendulum
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Asset, AssetWatcher, BaseHook, BaseOperator, conf, exceptions, task
before, start = set(sys.modules), time.perf_counter()
runpy.run_path(sys.argv[1])
took = 1000 * (time.perf_counter() - start)
added = sorted(set(sys.modules) - before)
print(json.dumps({"ms": took, "modules": added}))
"""


def read(file: Path) -> tuple[float, list[str]]:
    """Milliseconds to read a DAG file, and the modules that it brought in."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", READ, str(file)],
            check=True,
            capture_output=True,
            text=True,
            cwd=home,
            env=os.environ | {"AIRFLOW_HOME": home, "VECTORSHIFT_EXAMPLES_HOME": home},
        )
    found = json.loads(done.stdout.splitlines()[-1])
    return found["ms"], found["modules"]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.py"
        plain.write_text(PLAIN)
        files = [plain, *EXAMPLES]
        times: dict[Path, list[float]] = {file: [] for file in files}
        modules: dict[Path, list[str]] = {}
        for _ in range(ROUNDS):
            for file in files:
                took, modules[file] = read(file)
                times[file].append(took)
    base = statistics.median(times[plain])
    for file in files:
        median = statistics.median(times[file])
        ours = [name for name in modules[file] if name.startswith(("vectorshift", "airflow_prov"))]
        print(
            f"{file.name:24} {median:6.1f} ms = {median / base:4.2f}x plain, "
            f"{len(modules[file]):3} modules more, {len(ours):2} of them ours"
        )


if __name__ == "__main__":
    main()
