"""Landing in the table of any DbApiHook connection: PostgreSQL and SQLite over Airflow's own hooks."""

import json
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import import_module
from threading import Thread

import duckdb
import psycopg
import pytest
from deltalake import DeltaTable

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift._landing import Place
from airflow_provider_vectorshift.errors import VectorShiftConnectionError
from airflow_provider_vectorshift.operators import (
    VectorShiftAggregateOperator,
    VectorShiftExportOperator,
)
from tests.airflow.running import Runner, last_day, postgres_connection, truth
from vectorshift_orchestration import Window
from vectorshift_orchestration.errors import SpecError


@pytest.fixture
def postgres(postgres_schemas, monkeypatch):
    """A connection from outside; Airflow's connection `pg` leads to the same schema."""
    conninfo = postgres_schemas.new()
    monkeypatch.setenv("AIRFLOW_CONN_PG", json.dumps(postgres_connection(conninfo)))
    with psycopg.connect(conninfo, autocommit=True) as outside:
        yield outside


@pytest.fixture
def sqlite(tmp_path, monkeypatch):
    """A file; Airflow's connection `lite` leads to it."""
    path = tmp_path / "events.sqlite"
    monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    return path


def export(day, **arguments):
    """The result of an export of `day` that runs here."""
    task = VectorShiftExportOperator(
        task_id="export", start=day.start, end=day.end, poll_interval=0.05, **arguments
    )
    return task.execute({})


def test_a_lake_holds_the_table(emulator, tmp_path):
    """Rows of an export and figures of an aggregate, each once, also when the task runs again; lineage names the folder."""
    day, lake = last_day(), f"delta:{tmp_path}/lake"
    for deleted in (0, 1):
        result = export(day, table="events", lake=lake)
        held = DeltaTable(tmp_path / "lake" / "events").to_pyarrow_table()
        ids = [(span_id,) for span_id in sorted(held.column("span_id").to_pylist())]
        assert (result["rows"], ids) == (len(ids), truth(emulator, day))
        figures = VectorShiftAggregateOperator(
            **{"task_id": "measure", "metrics": ["runs.sum"], "interval": "day"},
            **{"start": day.start, "end": day.end, "table": "health.runs", "lake": lake},
        ).execute({})
        assert (figures["rows"], figures["deleted"]) == (1, deleted)
    with pytest.raises(SpecError, match="not both"):
        export(day, table="events", lake=lake, duckdb_path="x")
    with pytest.raises(SpecError, match="is not a lake"):
        export(day, table="events", lake="s3://lake")


def test_postgres_over_its_hook(emulator, postgres):
    """The rows come by COPY over the hook's own connection, once, also when the export runs again."""
    day = last_day()
    for _ in range(2):
        result = export(day, table="events", sql_conn_id="pg")
        rows = postgres.execute("SELECT span_id FROM events ORDER BY 1").fetchall()
        assert rows == truth(emulator, day) != []
        assert (result["table"], result["rows"], result["uri"]) == ("events", len(rows), None)
    ((noted,),) = postgres.execute("SELECT count(*) FROM _vectorshift_windows").fetchall()
    assert noted == 1
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
    assert postgres.execute(idle).fetchone() == (0,)


def test_lookback_overwrites_earlier_intervals(emulator, postgres):
    """Events that came late to the last two intervals arrive with the next one, in one export."""
    day = last_day()
    first, second = day.earlier(2)
    for window in (first, second):
        export(window, table="events", sql_conn_id="pg")
    emulator.burst(2, at=first.start)
    emulator.burst(3, at=second.start)
    emulator.reset_counters()
    result = export(day, table="events", sql_conn_id="pg", lookback=2)
    rows = postgres.execute("SELECT span_id FROM events ORDER BY 1").fetchall()
    assert rows == truth(emulator, day.lookback(2))
    assert result["window"] == day.lookback(2).to_dict()
    assert emulator.counters()["exports_created"] == 1


def test_sqlite_over_its_hook(emulator, sqlite, tmp_path):
    """Any other DbApiHook works the same, beside a file."""
    day = last_day()
    for _ in range(2):
        result = export(
            day, table="events", sql_conn_id="lite", destination=tmp_path / "events.csv"
        )
    with sqlite3.connect(sqlite) as connection:
        rows = connection.execute("SELECT span_id FROM events ORDER BY 1").fetchall()
    assert rows == truth(emulator, day)
    assert result["uri"] == (tmp_path / "events.csv").as_uri()


def test_commit_without_a_response(emulator, postgres, monkeypatch):
    """When the connection breaks on COMMIT, a new one is asked, and the result is the same as ever."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    day = last_day()
    opened, broken = PostgresHook.get_conn, []

    def breaking(hook):
        connection = opened(hook)
        driver = import_module(type(connection).__module__.partition(".")[0])

        class Breaking(type(connection)):
            def commit(self):
                super().commit()
                if not broken:
                    broken.append(self)
                    self.close()
                    raise driver.OperationalError("server closed the connection unexpectedly")

        if driver is psycopg:
            connection.__class__ = Breaking
            return connection
        with closing(connection):
            return driver.connect(connection.dsn, connection_factory=Breaking)

    monkeypatch.setattr(PostgresHook, "get_conn", breaking)
    result = export(day, table="events", sql_conn_id="pg")
    rows = postgres.execute("SELECT span_id FROM events ORDER BY 1").fetchall()
    assert len(broken) == 1
    assert rows == truth(emulator, day)
    assert result["rows"] == len(rows)


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (None, "Connection 'db' for the table does not exist"),
        ({"conn_type": "http", "host": "localhost"}, "type 'http' is not a database"),
        ({"conn_type": "vectorshift"}, "type 'vectorshift' is not a database"),
        ({"conn_type": "oracel"}, "Install the Airflow provider of connection type 'oracel'"),
    ],
)
def test_connections_that_are_not_databases(emulator, monkeypatch, connection, words):
    """A connection that is missing or of another kind fails at once, before any request."""
    if connection is not None:
        monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps(connection))
    with pytest.raises(VectorShiftConnectionError, match=words) as caught:
        export(last_day(), table="events", sql_conn_id="db")
    assert isinstance(caught.value, AirflowFailException)
    assert emulator.counters()["requests"] == {}


def test_table_that_cannot_take_the_rows(emulator, postgres):
    """A column of another type fails at once, and neither the table nor a file has changed."""
    postgres.execute("CREATE TABLE events (span_id integer)")
    with pytest.raises(AirflowFailException, match=r"SchemaMismatch.*span_id"):
        export(last_day(), table="events", sql_conn_id="pg")
    assert postgres.execute("SELECT * FROM events").fetchall() == []


def test_reconnect_opens_another_connection(postgres):
    """`reconnect` gives a connection of its own to the same database, not in autocommit."""
    target = Place(table="events", sql_conn_id="pg").landing()
    with target.connect() as connection:
        again = target.reconnect()
        assert again is not connection
        assert (again.autocommit, connection.autocommit) == (False, False)
        again.close()


def test_a_duckdb_file_is_free_while_the_file_comes(emulator, tmp_path):
    """Another process may write to it while an export is downloaded; then the rows land."""
    database = tmp_path / "events.duckdb"
    emulator.fault("download", "delay", seconds=2)
    write = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('CREATE TABLE theirs (x int)')"
    landed = {}
    task = Thread(
        target=lambda: landed.update(export(last_day(), table="events", duckdb_path=str(database)))
    )
    task.start()
    while "download" not in emulator.counters()["requests"]:
        time.sleep(0.02)
    subprocess.run([sys.executable, "-c", write, str(database)], check=True)
    assert landed == {}
    task.join()
    with duckdb.connect(str(database), read_only=True) as connection:
        result = connection.execute("SELECT count(*) FROM events").fetchall()
        assert result == [(landed["rows"],)]
        assert connection.execute("SELECT count(*) FROM theirs").fetchall() == [(0,)]


@pytest.mark.airflow
def test_postgres_in_a_dag_run(emulator, postgres, tmp_path, monkeypatch, metadata_database):
    """In a real DAG run, deferred, with templated table and connection."""
    run = Runner(tmp_path, monkeypatch)
    done = run(table="{{ 'events' }}", sql_conn_id="{{ 'pg' }}", duckdb_path=None, deferrable=True)
    assert done.errors == []
    rows = postgres.execute("SELECT span_id FROM events ORDER BY 1").fetchall()
    assert rows == truth(emulator, last_day()) != []


@pytest.mark.parametrize("kind", ["export", "aggregate"])
def test_parallel_runs_that_look_back_all_land(emulator, postgres, kind):
    """Eight nights at once, each with the two before it: none is a stale writer for good."""
    days = [*last_day().earlier(7), last_day()]

    def night(day):
        arguments = {"start": day.start, "end": day.end, "lookback": 2, "table": kind}
        if kind == "export":
            task = VectorShiftExportOperator(
                task_id="t", poll_interval=0.05, sql_conn_id="pg", **arguments
            )
        else:
            task = VectorShiftAggregateOperator(
                task_id="t", metrics=["runs.sum"], sql_conn_id="pg", interval="day", **arguments
            )
        return task.execute({})["rows"]

    with ThreadPoolExecutor(len(days)) as at_once:
        assert all(at_once.map(night, days))
    whole = Window(days[0].earlier(2)[0].start, days[-1].end)
    if kind == "export":
        rows = postgres.execute("SELECT span_id FROM export ORDER BY 1").fetchall()
        assert rows == truth(emulator, whole)
    else:
        ((count,),) = postgres.execute("SELECT count(*) FROM aggregate").fetchall()
        assert count == len(days) + 2
