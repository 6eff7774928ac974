"""Running a DAG in real Airflow, in this process, and looking at what it left."""

import json
import os
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

import duckdb
from psycopg.conninfo import conninfo_to_dict

from tests.days import MIDNIGHT
from vectorshift_orchestration import Window


def last_day():
    """The last complete UTC day when the run began: the newest that the emulator's events cover."""
    return Window.day(MIDNIGHT.date() - timedelta(days=1))


def yesterday():
    """The last complete UTC day by the clock, for what judges by the clock; it may be past the emulator's events."""
    return Window.day(datetime.now(UTC).date() - timedelta(days=1))


def postgres_connection(conninfo):
    """Airflow's connection to where a connection string leads."""
    parts = conninfo_to_dict(conninfo)
    return {
        "conn_type": "postgres",
        "host": parts["host"],
        "port": int(parts["port"]),
        "login": parts["user"],
        "schema": parts["dbname"],
        "password": parts.get("password"),
        "extra": {"options": parts["options"]},
    }


@dataclass(frozen=True)
class Ran:
    """What a DAG run came to: its state, its task's result, and each failure as (type, text)."""

    state: str
    result: dict | None
    errors: list[tuple[str, str]]
    run_id: str


class Runner:
    """Runs the DAG of `dags/one_export.py` with arguments of the test's choice.

    Args:
        folder: where the exports land and errors are noted.
        monkeypatch: sets the environment that the DAG file reads.
    """

    def __init__(self, folder, monkeypatch):
        self.file = folder / "out" / "events.csv"
        self.database = folder / "events.duckdb"
        self._errors = folder / "errors.jsonl"
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("ONE_EXPORT_ERRORS", str(self._errors))
        monkeypatch.setenv("ONE_EXPORT_OBSTACLE", str(self.file.parent))

    def __call__(self, *, schedule="daily", interval=True, **arguments):
        """Run the DAG for the last complete day, or without a data interval, to its end."""
        everything = {
            "destination": str(self.file),
            "table": "events",
            "duckdb_path": str(self.database),
            "poll_interval": 0.1,
        }
        self._monkeypatch.setenv("ONE_EXPORT", json.dumps(everything | arguments))
        self._monkeypatch.setenv("ONE_EXPORT_SCHEDULE", schedule)
        self._errors.unlink(missing_ok=True)
        run = run_dag("one_export", last_day().end if interval else None)
        task = run.get_task_instance("export")
        result = task and task.xcom_pull(task_ids="export")  # none of a mapped one
        return Ran(str(run.state), result, self._noted(), run.run_id)

    def rows(self):
        """The ids in the table, in order; none when there is no table."""
        if not self.database.exists():
            return []
        with duckdb.connect(str(self.database), read_only=True) as connection:
            if connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,):
                return []
            return connection.execute("SELECT span_id FROM events ORDER BY 1").fetchall()

    def _noted(self):
        if not self._errors.exists():
            return []
        return [tuple(json.loads(line)) for line in self._errors.read_text().splitlines()]


def run_dag(dag_id, logical_date, folder=None, conf=None):
    """`airflow dags test`, in this process: the finished run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Airflow's own, and those of its test client
        dag = _dags(folder or os.environ["AIRFLOW__CORE__DAGS_FOLDER"])[dag_id]
        return dag.test(logical_date=logical_date, run_conf=conf)


def _dags(folder):
    if find_spec("airflow.sdk.definitions.retry_policy") is None:  # before Airflow 3.3
        from tests.airflow.earlier import read_dags

        return read_dags(folder)
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(folder).dags


def stored_and_read(dag):
    """The DAG as Airflow stores it, in JSON, and the API server reads it."""
    try:
        from airflow.serialization.serialized_objects import DagSerialization
    except ImportError:  # Airflow 3.1
        from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization
    # As the API server reads, with links; a run in this process may have read without before.
    DagSerialization._load_operator_extra_links = True
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    return DagSerialization.from_dict(stored)


def given_to_trigger(stored):
    """A trigger's arguments as its triggerer reads them from what Airflow stored."""
    try:
        from airflow.serialization.decoders import smart_decode_trigger_kwargs
    except ImportError:  # Airflow 3.1
        from airflow.serialization.serialized_objects import smart_decode_trigger_kwargs
    return {name: smart_decode_trigger_kwargs(value) for name, value in stored.items()}


def truth(emulator, day, condition="true"):
    """The ids of a day's events, straight from the emulator's database."""
    result = emulator.truth(
        f"SELECT span_id FROM events WHERE start_time >= TIMESTAMP '{day.start:%F %T}' "
        f"AND start_time < TIMESTAMP '{day.end:%F %T}' AND {condition} ORDER BY 1"
    )
    return [(row["span_id"],) for row in result]


class MemoryStore:
    """A task's state store as Airflow has it, for a task that runs outside of a DAG run: JSON in, JSON out."""

    def __init__(self):
        self.values = {}

    def get(self, key, default=None):
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key, value):
        self.values[key] = json.dumps(value)

    def delete(self, key):
        self.values.pop(key, None)
