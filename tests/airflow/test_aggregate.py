"""VectorShiftAggregateOperator: what it asks, what it lands, and what it refuses."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import duckdb
import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift.operators import VectorShiftAggregateOperator, aggregate
from tests.airflow.measuring import Measurements, counted
from tests.airflow.running import last_day, stored_and_read
from vectorshift import Analytics, Pipeline
from vectorshift.errors import RateLimitError

DAY = last_day()
METRICS = ["runs.sum", "errors.sum"]
PIPELINES = Analytics.query(object_type="pipeline")
START = DAY.to_dict()["start"]
UNTIL = {"start": DAY.start, "end": DAY.end}


def measured(**arguments):
    """What the operator returns for the pipelines' runs of the last complete day."""
    task = VectorShiftAggregateOperator(
        task_id="health", **{"metrics": METRICS, "query": PIPELINES, **UNTIL, **arguments}
    )
    return task.execute({})


def in_table(path):
    """The rows of table `health` in a DuckDB file, in order."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(
            "SELECT * REPLACE (strftime(bucket_start, '%xT%XZ') AS bucket_start) FROM health ORDER BY ALL"
        ).fetchall()


def in_file(path):
    """The rows of a Parquet file, in order."""
    rows = pq.read_table(path).to_pylist()
    return [(f"{start:%FT%TZ}", *row) for start, *row in map(dict.values, rows)]


@pytest.fixture
def other_day(connect):
    """Has the connection point at a service that answers with one run on a day of 2020."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            slices = {"result": {"aggregation_map": {"2020-01-01T00:00:00Z": 1}}}
            result = {"aggregation_result": {"runs_sum": slices}}
            is_aggregation = self.path.endswith("/aggregations")
            reply = {"status": "success"} | ({"result": result} if is_aggregation else {})
            body = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        connect(host=f"http://127.0.0.1:{server.server_port}/v1", password="sk_any")
        yield
        server.shutdown()
        thread.join()


@pytest.fixture
def run(tmp_path, monkeypatch, metadata_database):
    """Runs a DAG of tasks that measure."""
    return Measurements(tmp_path, monkeypatch)


def test_table_and_file(emulator, tmp_path):
    """The figures land in a table and a file, the same rows, and again when it runs again."""
    file, database = tmp_path / "out" / "health.parquet", tmp_path / "health.duckdb"
    target = {"table": "health", "duckdb_path": database, "destination": file}
    first = measured(group_by=["pipeline_id"], **target)
    expected = [(START, *row) for row in counted(emulator, DAY, "pipeline_id")]
    assert len(expected) > 1
    for again in (False, True):
        done = measured(group_by=["pipeline_id"], **target) if again else first
        assert in_table(database) == expected
        assert in_file(file) == expected
        assert done == {
            "window": DAY.to_dict(),
            "rows": len(expected),
            "table": "health",
            "deleted": done["rows"] if again else 0,
            "uri": file.as_uri(),
            "bytes": file.stat().st_size,
            "sha256": first["sha256"],
        }


def test_a_month_of_days_is_one_request(emulator, tmp_path):
    """Thirty days of catching up, in buckets of a day, are one request, and every day is right."""
    month = DAY.lookback(29)
    done = measured(start=month.start, interval="day", table="health", duckdb_path=tmp_path / "db")
    assert emulator.counters()["requests"] == {"aggregations": 1}
    by_day = counted(emulator, month, "strftime(date_trunc('day', start_time), '%xT%XZ')")
    assert in_table(tmp_path / "db") == by_day
    assert done["rows"] == len(by_day) > 10


def test_lookback_widens_the_window(emulator):
    """A lookback of two measures the two windows before as well, and its template is a number."""
    rows = measured(interval="day", lookback="2")
    assert [row["bucket_start"] for row in rows] == [
        f"{DAY.start - timedelta(days=days):%FT%TZ}" for days in (2, 1, 0)
    ]


def test_rows_without_a_target(emulator):
    """With neither table nor file, the rows are the result: plain JSON, with amounts as numbers."""
    (row,) = measured(metrics=["runs.sum", "model_costs.sum", "error_rate"])
    ((_, runs, errors),) = counted(emulator, DAY, "1")
    assert row == json.loads(json.dumps(row))
    assert (row["bucket_start"], row["runs_sum"]) == (START, runs)
    assert row["error_rate"] == pytest.approx(errors / runs)
    assert row["model_costs_sum"] > 0


def test_too_many_rows_for_a_result(emulator, monkeypatch):
    """More rows than a result may hold are refused with what to do, and none is lost silently."""
    monkeypatch.setattr(aggregate, "MOST_ROWS", 2)
    with pytest.raises(
        AirflowFailException, match=r"rows, and a task returns 2 at most. Give table="
    ):
        measured(group_by=["pipeline_id"])


def test_any_database(emulator, tmp_path, monkeypatch):
    """A table may lie in the database of any connection, here SQLite."""
    file = tmp_path / "health.sqlite"
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps({"conn_type": "sqlite", "host": str(file)}))
    done = measured(interval="hour", table="health", sql_conn_id="lake")
    with sqlite3.connect(file) as connection:
        result = connection.execute("SELECT count(*), sum(runs_sum) FROM health").fetchall()
    hours = counted(emulator, DAY, "date_trunc('hour', start_time)")
    assert (
        result
        == [(done["rows"], sum(runs for _, runs, _ in hours))]
        == [(len(hours), sum(runs for _, runs, _ in hours))]
    )


@pytest.mark.airflow
def test_in_airflow(emulator, run, tmp_path):
    """In a DAG run, every text is a template, and the window is the data interval."""
    query = PIPELINES.to_dict() | {"object_type": "{{ 'pipeline' }}"}
    done = run(
        health={
            "class": "VectorShiftAggregateOperator",
            "metrics": ["{{ 'runs' }}.sum", "errors.sum"],
            "group_by": ["{{ 'pipeline_id' }}"],
            "interval": "{{ 'day' }}",
            "query": query,
            "table": "{{ 'health' }}",
            "duckdb_path": f"{tmp_path}/{{{{ dag.dag_id }}}}.duckdb",
            "destination": f"{tmp_path}/dt={{{{ data_interval_start | ds }}}}/health.parquet",
        },
        rows={"class": "VectorShiftAggregateOperator", "metrics": ["runs.sum"], "query": query},
    )
    assert done.errors == []
    expected = [(START, *row) for row in counted(emulator, DAY, "pipeline_id")]
    assert in_table(tmp_path / "measurements.duckdb") == expected
    assert in_file(tmp_path / f"dt={DAY.label}" / "health.parquet") == expected
    assert done.results["health"]["window"] == DAY.to_dict()
    ((_, runs, _),) = counted(emulator, DAY, "1")
    assert done.results["rows"] == [{"bucket_start": START, "runs_sum": runs}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"metrics": ["runs.summ"]}, r"metrics=.*Metric 'runs\.summ' does not exist.*sum"),
        ({"metrics": "runs.sum"}, r"metrics is a list of names"),
        ({"metrics": []}, "at least one metric"),
        ({"group_by": ["pipelineid"]}, "group_by=.*Did you mean pipeline_id"),
        ({"group_by": "pipeline_id", "interval": "day"}, "group_by is a list of names"),
        ({"group_by": ["time"]}, "Time needs an interval"),
        ({"interval": "days"}, "Did you mean day"),
        ({"query": {"objectid": "pl_1"}}, "query=.*objectid"),
        ({"query": PIPELINES.group_by("model_id")}, "grouped already"),
        ({"query": ""}, "query=.*a Query or the dict of its to_dict.*not ''"),
        ({"start": DAY.end, "end": DAY.start}, "start= and end=.*Swap"),
        ({"start": "2026-11-22T00:00:00", "end": DAY.end}, "has no time zone"),
        ({"lookback": 1.5}, "lookback="),
        ({"query": Analytics.query().where(status="failure")}, "query=.*data column"),
        ({"table": "health"}, "table= needs its database"),
        ({"duckdb_path": "x"}, "nowhere to land"),
        ({"destination": "health.csv"}, r"destination=.*Parquet.*\.parquet"),
    ],
)
def test_bad_arguments(arguments, words):
    """What cannot work is refused where the DAG is read, with operator, argument, and what is near."""
    with pytest.raises(ValueError, match=words) as caught:
        VectorShiftAggregateOperator(task_id="health", **{"metrics": METRICS, **arguments})
    assert "VectorShiftAggregateOperator 'health'" in str(caught.value)


def test_json_may_come_as_text(emulator):
    """A query and lists that a template makes of parameters are read as JSON, where it is filled in."""
    written = {
        "query": {"object_type": "pipeline"},
        "metrics": ["errors.sum"],
        "group_by": ["model_id"],
    }
    with DAG("d", schedule=None):
        task = VectorShiftAggregateOperator(
            task_id="health",
            **{name: f"{{{{ params.{name} | tojson }}}}" for name in written},
            **UNTIL,
        )
    task.render_template_fields({"params": written})
    assert {name: getattr(task, name) for name in written} == written
    assert [*task.execute({})[0]] == ["bucket_start", "model_id", "errors_sum"]


def test_templates_are_checked_once_filled_in(emulator):
    """What a template stands for is refused at run time, without retries, before any request."""
    task = VectorShiftAggregateOperator(task_id="health", metrics=["{{ params.metric }}"], **UNTIL)
    task.metrics = ["latency.p9x"]
    with pytest.raises(
        AirflowFailException,
        match=r"^VectorShiftAggregateOperator 'health': metrics=.*latency\.p9x",
    ):
        task.execute({})
    task.metrics, task.destination = METRICS, "health.csv"
    with pytest.raises(AirflowFailException, match=r"'health': destination=.*Parquet"):
        task.execute({})
    assert emulator.counters()["requests"] == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"start": DAY.start + timedelta(minutes=5), "interval": "hour"}, "whole hour in UTC"),
        ({"start": DAY.end + timedelta(days=1), "end": "{{ ds }}"}, "'{{ ds }}'; give an aware"),
    ],
)
def test_bad_windows(emulator, arguments, words):
    """A window that cuts a bucket, and an end that is not a time once it is known, fail at once, unasked."""
    with pytest.raises(AirflowFailException, match=words):
        measured(**arguments)
    assert emulator.counters()["requests"] == {}


def test_no_interval_at_all(emulator):
    """A run without a data interval is told what to do."""
    with pytest.raises(AirflowFailException, match=r"no data interval.*start="):
        measured(start=None)


def test_refused_key(emulator, connect):
    """A refused key fails at once and is not in the text."""
    connect(host=emulator.base_url, password="sk_wrong_key")
    with pytest.raises(AirflowFailException, match=r"AuthenticationError.*401") as caught:
        measured()
    assert "sk_wrong_key" not in str(caught.value)


def test_nothing_changes_on_failure(emulator, tmp_path):
    """When the service does not answer, or the file has no place, rows and file stay as they were."""
    database = tmp_path / "db"
    target = {"table": "health", "duckdb_path": database}
    measured(destination=tmp_path / "health.parquet", **target)
    before, content = in_table(database), (tmp_path / "health.parquet").read_bytes()
    emulator.burst(3, at=DAY.start)
    (tmp_path / "blocked").write_text("a file where a folder should be")
    with pytest.raises(Exception, match="blocked"):
        measured(destination=tmp_path / "blocked" / "health.parquet", **target)
    emulator.fault("aggregations", "status", code=429, retry_after="3600", times=0)
    with pytest.raises(RateLimitError):  # which Airflow's retries apply to
        measured(destination=tmp_path / "health.parquet", **target)
    assert in_table(database) == before
    assert (tmp_path / "health.parquet").read_bytes() == content


def test_bucket_that_was_not_requested(other_day, tmp_path):
    """A bucket outside of the window is neither returned nor written."""
    for target in ({}, {"destination": tmp_path / "health.parquet"}):
        with pytest.raises(AirflowFailException, match=r"RowOutsideWindow.*2020-01-01"):
            measured(metrics=["runs.sum"], interval="day", **target)
    assert list(tmp_path.iterdir()) == []


def test_assets_are_reported(emulator, tmp_path):
    """The result is the extra of the events of the assets among the outlets."""
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import OutletEventAccessors

    asset, events = Asset("health"), OutletEventAccessors()
    arguments = {"metrics": METRICS, "destination": tmp_path / "health.parquet", **UNTIL}
    task = VectorShiftAggregateOperator(task_id="health", outlets=[asset], **arguments)
    done = task.execute({"outlet_events": events})
    assert events[asset].extra == done
    assert {"rows", "bytes", "window", "sha256"} <= set(done)


def test_table_of_another_shape(emulator, tmp_path):
    """A table whose column cannot take the figures stays as it is, and no retry is tried."""
    with duckdb.connect(str(tmp_path / "db")) as connection:
        connection.execute("CREATE TABLE health (bucket_start VARCHAR)")
    with pytest.raises(AirflowFailException, match=r"SchemaMismatch.*bucket_start"):
        measured(table="health", duckdb_path=tmp_path / "db")


def test_serialized_round_trip():
    """A DAG with the operator, plain and mapped, serializes to JSON and back with its templates."""
    from airflow.sdk import DAG, Asset

    with DAG(dag_id="d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        arguments = {"metrics": METRICS, "group_by": ["model_id"], "interval": "{{ params.width }}"}
        VectorShiftAggregateOperator(
            task_id="plain",
            query=Analytics.query(object_type="pipeline"),
            destination="dt={{ ds }}/x.parquet",
            outlets=[Asset("health")],
            **arguments,
        )
        VectorShiftAggregateOperator.partial(task_id="mapped", **arguments).expand(
            query=[Analytics.query(object=Pipeline(each)).to_dict() for each in ("pl_1", "pl_2")]
        )
    again = stored_and_read(dag)
    plain, mapped = again.get_task("plain"), again.get_task("mapped")
    assert plain.query == Analytics.query(object_type="pipeline").to_dict()
    assert (plain.interval, plain.destination) == ("{{ params.width }}", "dt={{ ds }}/x.parquet")
    assert mapped.partial_kwargs["metrics"] == METRICS
    assert [each["object_id"] for each in mapped.expand_input.value["query"]] == ["pl_1", "pl_2"]


# --- several intervals ---


def nightly(day, **arguments):
    """What a daily run of `day` returns, without buckets by default."""
    task = VectorShiftAggregateOperator(
        task_id="health", **{"metrics": METRICS, "query": PIPELINES, **arguments}
    )
    return task.execute({"data_interval_start": day.start, "data_interval_end": day.end})


def test_lookback_measures_each_interval_by_itself(emulator, tmp_path):
    """Without buckets, each of the last days is a row of its own, and the newest is among them."""
    before, database = DAY.earlier(1)[0], tmp_path / "health.duckdb"
    done = nightly(DAY, lookback=1, table="health", duckdb_path=database)
    assert (done["rows"], done["window"]["start"]) == (2, before.to_dict()["start"])
    alone = [nightly(each, table="alone", duckdb_path=database) for each in (before, DAY)]
    assert [each["rows"] for each in alone] == [1, 1]
    with duckdb.connect(str(database), read_only=True) as connection:
        health, single = (
            connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()
            for name in ("health", "alone")
        )
    assert health == single
    assert health[0][1] != health[1][1]


def test_lookback_without_a_table_gives_each_interval(emulator):
    """The rows themselves are as many as there are intervals."""
    rows = nightly(DAY, lookback=2)
    assert [row["bucket_start"] for row in rows] == [
        window.to_dict()["start"] for window in (*DAY.earlier(2), DAY)
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        {"start": DAY.start - DAY.width},
        {"start": DAY.start - DAY.width, "end": DAY.end},
        {"end": DAY.end + DAY.width},
        {"lookback": 1, "destination": "x.parquet", "table": None, "duckdb_path": None},
    ],
)
def test_two_intervals_are_not_one_row(emulator, tmp_path, arguments):
    """One figure of two days would stand where the days' own rows belong."""
    target = {"table": "health", "duckdb_path": tmp_path / "health.duckdb"}
    with pytest.raises(AirflowFailException, match=r"[Gg]ive interval="):
        nightly(DAY, **(target | arguments))
    assert emulator.counters()["requests"] == {}


def test_a_wider_start_is_right_with_buckets(emulator, tmp_path):
    """With interval= the same start gives a row for each day."""
    target = {"table": "health", "duckdb_path": tmp_path / "health.duckdb"}
    done = nightly(DAY, start=DAY.start - DAY.width, interval="day", **target)
    assert done["rows"] == 2
