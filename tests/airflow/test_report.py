"""VectorShiftReportOperator: the health page of a run's interval, and what the command line prints as operators."""

import json

import duckdb
import psycopg
import pytest
from airflow.sdk import DAG, Asset

from airflow_provider_vectorshift.operators import VectorShiftReportOperator
from tests.airflow.conftest import bundle
from tests.airflow.running import last_day, postgres_connection, run_dag
from vectorshift_cli.app import run
from vectorshift_orchestration.errors import SpecError, StorageError

pytestmark = pytest.mark.airflow
DAY = last_day()


@pytest.fixture
def run_file(metadata_database, monkeypatch, tmp_path):
    """Runs a DAG that stands in a text, for the last day."""

    def run_text(text, dag_id):
        folder = tmp_path / f"dags_{dag_id}"
        folder.mkdir()
        (folder / "dag.py").write_text(text)
        bundles = json.dumps([bundle(dag_id, folder)])
        monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", bundles)
        return run_dag(dag_id, DAY.end, folder)

    return run_text


def landed(connection, table="by_day"):
    """A table of health with the day before and the day, in DuckDB or PostgreSQL."""
    connection.execute(
        f"CREATE TABLE {table} (bucket_start TIMESTAMPTZ, runs_sum BIGINT, errors_sum BIGINT)"
    )
    for window, runs in ((DAY.earlier(1)[0], 70), (DAY, 77)):
        connection.execute(
            f"INSERT INTO {table} VALUES (TIMESTAMPTZ '{window.start.isoformat()}', {runs}, 7)"
        )


@pytest.fixture
def database(tmp_path):
    """A DuckDB file with a landed table."""
    with duckdb.connect(str(tmp_path / "health.duckdb")) as connection:
        landed(connection)
    return tmp_path / "health.duckdb"


def test_the_page_of_a_run(tmp_path, database, run_file):
    """In a real run: the interval's page at its templated path, its size as the result and as the asset's event."""
    text = f"""
from datetime import datetime, timezone
from airflow.sdk import DAG, Asset
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow_provider_vectorshift.operators import VectorShiftReportOperator
with DAG("report", schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
         start_date=datetime(2020, 1, 1, tzinfo=timezone.utc), catchup=False):
    VectorShiftReportOperator(
        task_id="report",
        tables=["by_day"],
        destination="{tmp_path}/pages/{{{{ data_interval_start | ds }}}}.html",
        duckdb_path="{database}",
        outlets=[Asset("page")],
    )
"""
    ran = run_file(text, "report")
    page = tmp_path / "pages" / f"{DAY.ds}.html"
    task = ran.get_task_instance("report")
    result = task.xcom_pull(task_ids="report")
    assert (str(ran.state), result["uri"]) == ("success", f"file://{page}")
    assert (result["window"], result["bytes"]) == (DAY.to_dict(), page.stat().st_size)
    assert ">77<" in page.read_text()


def test_the_page_out_of_postgres(tmp_path, monkeypatch, postgres_schemas):
    """Out of PostgreSQL, by the connection of its provider; a lookback widens the window."""
    conninfo = postgres_schemas.new()
    monkeypatch.setenv("AIRFLOW_CONN_PG", json.dumps(postgres_connection(conninfo)))
    with psycopg.connect(conninfo, autocommit=True) as outside:
        landed(outside)
    VectorShiftReportOperator(
        task_id="report",
        tables=["by_day"],
        destination=tmp_path / "page.html",
        sql_conn_id="pg",
        start=DAY.start,
        end=DAY.end,
        lookback=1,
    ).execute({"outlet_events": {}})
    text = (tmp_path / "page.html").read_text()
    assert ">70<" in text
    assert ">147<" in text


def test_refusals(tmp_path, database):
    """What cannot be a page is refused where the DAG is read, or at once; an older page stays."""
    page = tmp_path / "page.html"
    page.write_text("old")
    whole = {"tables": ["by_day"], "destination": page, "duckdb_path": database}
    window = {"start": DAY.start, "end": DAY.end}
    with pytest.raises(SpecError, match="tables is a list: write tables="):
        VectorShiftReportOperator(task_id="report", **whole | {"tables": "by_day"})
    with pytest.raises(SpecError, match="needs its database"):
        VectorShiftReportOperator(task_id="report", tables=["by_day"], destination=page)
    task = VectorShiftReportOperator(task_id="report", **whole | {"tables": ["nowhere"]}, **window)
    with pytest.raises(StorageError, match="Table nowhere does not exist"):
        task.execute({"outlet_events": {}})
    assert page.read_text() == "old"
    with DAG("d", schedule=None, default_args={"vectorshift_conn_id": "other"}):
        VectorShiftReportOperator(task_id="report", outlets=[Asset("page")], **whole)


def test_what_the_command_line_prints_runs(emulator, tmp_path, run_file, capsys, monkeypatch):
    """`--show airflow` of each command is a DAG that does the same: rows in place of rows, and the page of them."""
    monkeypatch.setenv("VECTORSHIFT_API_KEY", emulator.api_key)
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", emulator.base_url)
    monkeypatch.chdir(tmp_path)
    database = str(tmp_path / "all.duckdb")
    export = ["export", "--table", "events", "--duckdb", database, "--object-type", "pipeline"]
    export += ["--where", "status=failure"]
    commands = {
        "export": export,
        "health": ["health", "--duckdb", database],
        "report": ["report", "--duckdb", database, "-o", f"{tmp_path}/{{window}}.html"],
        "check": ["check", "--metric", "errors.sum", "--error", "1000000"],
        "figures": ["query", "aggregate", "--metrics", "runs.sum", "--by", "model_id"],
    }
    commands["report"] += ["--tables", "health_by_hour,pipeline_health,model_health"]

    def done(arguments):
        with pytest.raises(SystemExit) as ended:
            run(arguments)
        assert not ended.value.code
        return capsys.readouterr().out

    printed = {
        name: done([*arguments, "--show", "airflow"]).replace("datetime(2026,", "datetime(2020,")
        for name, arguments in commands.items()
    }
    kept = json.loads(done([*export, "--json", "--day", DAY.ds]))
    for name, code in printed.items():
        assert str(run_file(code, f"vectorshift_{name}").state) == "success"
    with duckdb.connect(database) as connection:
        rows = connection.execute("SELECT count(*), count(DISTINCT span_id) FROM events").fetchone()
    assert rows == (kept[0]["rows"], kept[0]["rows"])
    assert (tmp_path / f"{DAY.ds}.html").exists()
