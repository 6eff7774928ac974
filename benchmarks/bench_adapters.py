"""What Airflow and Dagster add to a night: the same export into a DuckDB file, by the core's job and through each

Airflow runs the operator in a task of `dag.test()`, Dagster materializes the asset in this process, with an instance in memory. Beside them a
task and an asset that do nothing: what the orchestrator takes for itself, however long the night is, which is taken off.
`--quick` takes a smaller night, `--large` takes it three times.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from exported import DAY, START, exported
from side_by_side import Claim, arguments, measured, tell

DAGS = """
import pendulum
from airflow.sdk import DAG, BaseOperator

from airflow_provider_vectorshift.operators import VectorShiftExportOperator


class Nothing(BaseOperator):
    def execute(self, context):
        return None


with DAG("airflow", schedule=None, start_date=pendulum.datetime(2025, 1, 1)):
    VectorShiftExportOperator(
        task_id="export", table="events", duckdb_path={database!r}, start={start!r}, end={end!r}
    )
with DAG("airflow_alone", schedule=None, start_date=pendulum.datetime(2025, 1, 1)):
    Nothing(task_id="export")
"""


def core(_: str, database: Path, origin: str) -> Callable[[], object]:
    """The core's job."""
    from nights import night_into

    from vectorshift_orchestration.storage.duckdb_file import duckdb_file

    return night_into(lambda: duckdb_file(database), origin, database.parent)


def dagster(name: str, database: Path, origin: str) -> Callable[[], object]:
    """The asset, or one that does nothing."""
    import dagster as dg

    from dagster_vectorshift import DuckDBStorage, VectorShiftResource, build_export_asset

    days = dg.DailyPartitionsDefinition(f"{START:%Y-%m-%d}")

    @dg.asset(partitions_def=days)
    def nothing() -> None:
        return None

    assets = [build_export_asset("events", partitions_def=days)]
    resources: dict[str, object] = {
        "vectorshift": VectorShiftResource(api_key="key", base_url=origin, time_precision="us"),
        "storage": DuckDBStorage(path=str(database)),
    }
    if name == "dagster_alone":
        assets, resources = [nothing], {}
    instance = dg.DagsterInstance.ephemeral()
    key = f"{START:%Y-%m-%d}"
    return lambda: dg.materialize(assets, partition_key=key, resources=resources, instance=instance)


def airflow(name: str, database: Path, origin: str) -> Callable[[], object]:
    """The operator in its task, or a task that does nothing; Airflow's own database is a copy of the one beside."""
    home = database.parent / "airflow"
    prepared(home, database, origin)
    shutil.copy(database.parents[1] / "airflow.db", home / "airflow.db")
    from airflow.dag_processing.dagbag import DagBag

    dag = DagBag(home / "dags").dags[name]

    def run() -> None:
        state = str(dag.test(logical_date=START + DAY).state)
        assert state == "success", state

    return run


def prepared(home: Path, database: Path, origin: str) -> None:
    """A home for Airflow with the two DAGs; its settings are read when it is first imported."""
    (home / "dags").mkdir(parents=True)
    ends = {"start": START.isoformat(), "end": (START + DAY).isoformat()}
    (home / "dags" / "night.py").write_text(DAGS.format(database=str(database), **ends))
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundle = {"name": "night", "classpath": local, "kwargs": {"path": str(home / "dags")}}
    account = {"conn_type": "vectorshift", "host": origin, "password": "key"}
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps([bundle]),
        AIRFLOW__CORE__DAGS_FOLDER=str(home / "dags"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        # Its tasks and their server share this file; on a busy machine one may wait long for the other.
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home}/airflow.db?timeout=60",
        AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(home / "logs"),
        AIRFLOW__API_AUTH__JWT_SECRET="a secret of at least thirty-two characters",
        AIRFLOW_CONN_VECTORSHIFT_DEFAULT=json.dumps(account | {"extra": {"time_precision": "us"}}),
    )


def migrate(folder: Path) -> None:
    """Make Airflow's own database, once for all rounds."""
    prepared(folder / "migrating", folder / "none", "http://127.0.0.1:9")
    from airflow.utils.db import initdb

    initdb()
    with closing(sqlite3.connect(folder / "migrating" / "airflow.db")) as made:
        made.execute("VACUUM INTO ?", [str(folder / "airflow.db")])  # with what is in its log still


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    if options.way == "migrate":
        migrate(Path(options.rest[0]))
        print("{}")
        return
    if options.way:
        name, (folder, rows, origin, _) = options.way, options.rest
        way = {"core": core, "dagster": dagster, "airflow": airflow}[name.partition("_")[0]]
        with TemporaryDirectory(dir=folder) as own:
            database = Path(own, "night.duckdb")
            measured(way(name, database, origin))
            if not name.endswith("alone"):
                import duckdb

                with duckdb.connect(str(database)) as connection:
                    landed = connection.execute("SELECT count(*) FROM events").fetchone()
                assert landed == (int(rows),), landed
        return
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    rows, rounds = 20_000 if options.quick else 100_000, 3 if options.large else 1
    with exported(__file__, rows, 1, rounds) as ran:
        ran("migrate")
        found = ran("core", "airflow", "airflow_alone", "dagster", "dagster_alone")
    for name in ("airflow", "dagster"):
        for figure in ("wall", "cpu"):
            whole, alone, least = (found[way][figure] for way in (name, f"{name}_alone", "core"))
            figures = f"{name} {whole:.2f} s, with nothing to do {alone:.2f} s, core {least:.2f} s"
            what = f"a night of {rows:,} events in {name.capitalize()}, {figure}, less an empty run"
            tell(Claim(what, (whole - alone) / least, "x the core's job", "<= 1.25", "", figures))


if __name__ == "__main__":
    main()
