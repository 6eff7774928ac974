"""The how-to pages are true: their DAGs run as they stand, and do what the pages say."""

import asyncio
import json
import re
from contextlib import aclosing
from datetime import timedelta
from zoneinfo import ZoneInfo

import duckdb
import pendulum
import psycopg
import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG
from psycopg.conninfo import conninfo_to_dict

from airflow_provider_vectorshift.operators import VectorShiftExportOperator
from airflow_provider_vectorshift.triggers import VectorShiftErrorCountTrigger, error_count
from tests.airflow.conftest import bundle
from tests.airflow.running import last_day, run_dag, truth, yesterday
from tests.orchestration.s3_server import s3_server
from tests.pages import DOCS, blocks_of
from tests.postgres import schemas
from tests.sinks import Inbox, serving
from vectorshift import Analytics
from vectorshift_orchestration import Window

pytestmark = pytest.mark.airflow


@pytest.fixture
def how_to(emulator, metadata_database, monkeypatch, tmp_path):
    """Runs the DAG of a page for a day, the last one unless told; files lie in `tmp_path` instead of /data/vectorshift."""

    def run(page, dag_id, day=None, **more):
        folder = tmp_path / "dags"
        folder.mkdir(exist_ok=True)
        for number, block in enumerate(blocks_of(DOCS / "how-to" / f"{page}.md")):
            if block.kind == "python" and block.runs_on == "airflow":
                text = block.text.replace("/data/vectorshift", str(tmp_path))
                (folder / f"{page}_{number}.py").write_text(text)
        bundles = json.dumps([bundle(page, folder)])
        monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", bundles)
        date = more.pop("date", (day or last_day()).end)
        return run_dag(dag_id, date, folder, **more)

    return run


def result(run, task_id):
    """What a task returned in a run that succeeded."""
    assert str(run.state) == "success"
    return run.get_task_instance(task_id).xcom_pull(task_ids=task_id)


def sql_of(page):
    """The statement that a page shows."""
    (block,) = (each for each in blocks_of(DOCS / "how-to" / f"{page}.md") if each.kind == "sql")
    return block.text


def in_duckdb(path, statement):
    """The rows of a question about a DuckDB file."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(statement).fetchall()


def test_postgres(emulator, how_to, monkeypatch):
    """The day's events are in the schema and table that the page names, and its index can be made."""
    with schemas() as made:
        parts = conninfo_to_dict(made.new())
        connection = {"conn_type": "postgres", "host": parts["host"], "port": int(parts["port"])}
        connection |= {"login": parts["user"], "schema": parts["dbname"]}
        connection["password"] = parts.get("password")
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
        assert result(how_to("postgres", "events_to_postgres"), "export")["rows"] > 0
        with psycopg.connect(made.conninfo) as outside:
            found = outside.execute("SELECT span_id FROM vectorshift.events ORDER BY 1").fetchall()
            outside.execute(sql_of("postgres"))
            outside.execute("DROP SCHEMA vectorshift CASCADE")
    assert found == truth(emulator, last_day())


def test_s3_as_parquet(how_to, monkeypatch, tmp_path):
    """The day is one object under its date, and the page's question reads it with the day as a column."""
    with s3_server() as server:
        root = server.path("lake")
        root.fs.mkdir("lake")
        for name, value in server.variables().items():
            monkeypatch.setenv(name, value)
        told = result(how_to("s3-parquet", "events_to_s3"), "export")
        day = f"{last_day().start:%F}"
        assert told["uri"] == f"s3://lake/events/dt={day}/part-0.parquet"
        copy = tmp_path / "lake" / "events" / f"dt={day}" / "part-0.parquet"
        copy.parent.mkdir(parents=True)
        copy.write_bytes((root / "events" / f"dt={day}" / "part-0.parquet").read_bytes())
    assert pq.read_metadata(copy).num_rows == told["rows"] > 0
    found = duckdb.sql(sql_of("s3-parquet").replace("s3:/", str(tmp_path))).fetchall()
    assert [(f"{when}", count) for when, count in found] == [(day, told["rows"])]


@pytest.fixture
def with_events(monkeypatch):
    """The next run of `dag.test()` is one that events of an asset started, which by itself has none."""
    from airflow.models import dagrun
    from airflow.models.asset import AssetEvent, AssetModel
    from sqlalchemy import select

    make = dagrun.get_or_create_dagrun

    def prepare(asset, *extras):
        def make_with_events(*, session, **arguments):
            made = make(session=session, **arguments)
            asset_id = session.scalar(select(AssetModel.id).where(AssetModel.name == asset))
            for extra in extras:
                made.consumed_asset_events.append(AssetEvent(asset_id=asset_id, extra=extra))
            session.commit()
            return made

        monkeypatch.setattr(dagrun, "get_or_create_dagrun", make_with_events)

    return prepare


def test_a_downstream_dag_takes_the_window(emulator, how_to, with_events):
    """The export's result, as the extra of its asset's event, gives the report exactly the window that landed."""
    emulator.burst(3, at=last_day().start)
    landed = result(how_to("downstream", "land_events"), "export")
    with_events("vectorshift_events", landed)
    run = how_to("downstream", "report", date=None)
    assert str(run.state) == "success"
    assert result(run, "windows") == [last_day().to_dict()] == [landed["window"]]
    ((row,),) = run.get_task_instance("measure", map_index=0).xcom_pull(
        task_ids="measure", map_indexes=[0]
    )
    day = last_day()
    (runs,) = emulator.truth(
        "SELECT count(*) AS n FROM events WHERE is_run AND start_time >= "
        f"TIMESTAMP '{day.start:%F %T}' AND start_time < TIMESTAMP '{day.end:%F %T}'"
    )
    assert row["runs_sum"] == runs["n"] > 0


def test_the_uri_of_a_postgres_table():
    """The Postgres provider takes the URI of the page, and spells it in the same way itself."""
    from airflow.providers.postgres.assets.postgres import create_asset
    from airflow.sdk import Asset

    (uri,) = re.findall(r'uri="([^"]+)"', (DOCS / "how-to" / "downstream.md").read_text())
    made = create_asset(
        host="db.example.com", database="analytics", schema="public", table="events"
    )
    assert Asset(uri).uri == uri == made.uri


@pytest.fixture
def slack(monkeypatch):
    """Where the page's Slack messages arrive: the text of the next one."""
    with serving(Inbox(reply=b"ok")) as inbox:
        connection = {"conn_type": "slackwebhook", "host": inbox.url, "password": "T000/B000/x"}
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_DEFAULT", json.dumps(connection))
        yield lambda: inbox.received.get(timeout=5)[0]["text"]


LONG_AGO = last_day().start - timedelta(days=60)  # before the first event that the emulator makes
HOUR = Window(LONG_AGO, LONG_AGO + timedelta(hours=1))


def test_slack_is_reported_of_a_breach(emulator, how_to, slack):
    """30 failed runs of 40 are observed as the share 0.75."""
    emulator.burst(10, at=HOUR.start, status="success")
    emulator.burst(30, at=HOUR.start, error_message="quota exceeded")
    run = how_to("slack", "alert_slack", HOUR)
    assert str(run.state) == "failed"
    verdict = run.get_task_instance("error_rate").xcom_pull(task_ids="error_rate")
    assert verdict["observed"] == 0.75
    told = slack()
    assert told.startswith("75.0 % of 40 runs failed:\nIn ")
    assert told.endswith("30 x quota exceeded")


def test_slack_is_reported_of_a_mistake_in_the_configuration(emulator, how_to, slack, connect):
    """With a wrong key there is no verdict; the exception says what to mend."""
    connect(host=emulator.base_url, password="sk_wrong")
    assert str(how_to("slack", "alert_slack", HOUR).state) == "failed"
    told = slack()
    assert told.startswith("No verdict: ")
    assert "401" in told


def test_a_mistake_in_an_argument_is_an_import_error(metadata_database, tmp_path):
    """No run and no notifier: the DAG file cannot be read, and says why."""
    from airflow.dag_processing.dagbag import DagBag

    (block,) = (b for b in blocks_of(DOCS / "how-to" / "slack.md") if b.kind == "python")
    (tmp_path / "alert.py").write_text(block.text.replace("error=0.05", "eror=0.05"))
    bag = DagBag(str(tmp_path))
    assert bag.dags == {}
    assert "eror" in "".join(bag.import_errors.values())


def test_the_payload_of_a_watcher(emulator, how_to, with_events, monkeypatch):
    """What a watcher fires has the keys that the page lists, and its DAG reads them."""
    monkeypatch.setattr(error_count, "_STORED", 0.0)
    noon = yesterday().start + timedelta(hours=12)
    emulator.burst(21, at=noon, object_id="watched", error_message="quota exceeded")
    trigger = VectorShiftErrorCountTrigger(
        threshold=20,
        window=timedelta(days=1),
        query=Analytics.query(object_ids=["watched"]),
        settle=0,
    )

    async def first():
        async with aclosing(trigger.run()) as events:
            return (await anext(events)).payload

    payload = asyncio.run(first())
    page = (DOCS / "how-to" / "watcher.md").read_text()
    rows = re.findall(r"^\| (`.+?`) \|", page, re.M)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == payload.keys()
    with_events("failed_runs", {"from_trigger": True, "payload": payload})
    (told,) = result(how_to("watcher", "react_to_failures", date=None), "tell")
    assert told.startswith(f"{yesterday().to_dict()['start']}: In ")
    assert told.endswith("21 x quota exceeded")


def test_late_events_are_taken_along(how_to):
    """Two days before the interval are exported and replaced with it."""
    told = result(how_to("late-events", "events_with_late_ones"), "export")
    assert told["window"] == last_day().lookback(2).to_dict()


def test_a_range_is_measured_by_one_run(emulator, how_to, tmp_path):
    """A run with `start` and `end` in its configuration measures all of their days."""
    wide = last_day().lookback(4)
    ends = {name: value for name, value in wide.to_dict().items() if name in ("start", "end")}
    emulator.reset_counters()
    result(how_to("backfill", "daily_figures", conf=ends), "measure")
    days = in_duckdb(tmp_path / "health.duckdb", "SELECT count(*) FROM daily_figures")
    assert days == [(5,)]
    assert emulator.counters()["requests"]["aggregations"] == 1


def test_tasks_that_share_a_duckdb_file(how_to, tmp_path):
    """Each task has written its table."""
    assert str(how_to("duckdb", "health_in_duckdb").state) == "success"
    for name in ("pipeline_id", "model_id"):
        ((rows,),) = in_duckdb(tmp_path / "health.duckdb", f"SELECT count(*) FROM health_by_{name}")
        assert rows > 0


def test_accounts_share_a_table(emulator, how_to, monkeypatch, tmp_path):
    """The rows of each account stand under its source."""
    account = {"conn_type": "vectorshift", "host": emulator.base_url}
    account["password"] = emulator.api_key
    for name in ("EUROPE", "AMERICA"):
        monkeypatch.setenv(f"AIRFLOW_CONN_VECTORSHIFT_{name}", json.dumps(account))
    assert str(how_to("accounts", "events_of_all_accounts").state) == "success"
    counted = "SELECT source_name, count(*) FROM events GROUP BY 1 ORDER BY 1"
    number = len(truth(emulator, last_day()))
    assert in_duckdb(tmp_path / "events.duckdb", counted) == [
        ("america", number),
        ("europe", number),
    ]


def test_a_local_day_is_named_by_its_own_date(how_to):
    """Berlin's day begins on the day before in UTC; the page's template names it rightly."""
    berlin = last_day().start.replace(tzinfo=ZoneInfo("Europe/Berlin"))
    end = pendulum.instance(berlin).add(days=1)
    told = result(how_to("intervals", "berlin_days", date=end), "export")
    assert told["uri"].endswith(f"/dt={berlin:%F}/events.csv")
    assert told["window"]["start"][:10] == f"{berlin - timedelta(days=1):%F}"


@pytest.mark.airflow33
def test_a_partition_names_its_file(emulator, how_to, tmp_path):
    """A partition's run has no interval, so the page names its file by `partition_date`."""
    how_to("intervals", "berlin_days")  # which writes the page's files
    from airflow.dag_processing.dagbag import DagBag

    task = DagBag(str(tmp_path / "dags")).dags["partitioned_days"].get_task("export")
    start = pendulum.instance(last_day().start)
    context = {"dag": task.dag, "data_interval_start": None, "data_interval_end": None}
    context |= {"partition_key": f"{start:%Y-%m-%dT%H:%M:%S}", "partition_date": start}
    task.render_template_fields(context)
    assert task.destination == f"{tmp_path}/dt={start:%F}/events.csv"
    assert task.execute(context)["window"] == last_day().to_dict()


@pytest.mark.parametrize(("setting", "interval"), [("False", False), ("True", True)])
def test_plain_cron_texts(monkeypatch, setting, interval):
    """`create_cron_data_intervals` decides whether the runs of a plain text have an interval."""
    monkeypatch.setenv("AIRFLOW__SCHEDULER__CREATE_CRON_DATA_INTERVALS", setting)
    with DAG("plain", schedule="@daily") as dag:
        VectorShiftExportOperator(task_id="export", destination="x.csv")
    assert (type(dag.timetable).__name__ == "CronDataIntervalTimetable") is interval
