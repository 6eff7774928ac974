"""Bad input in real Airflow: the task fails with a named cause, and nothing has changed."""

import subprocess
import sys

import pytest

from tests.airflow.running import Runner, last_day

pytestmark = pytest.mark.airflow
FINAL = {"retries": 1, "retry_delay": 0}


@pytest.fixture
def run(tmp_path, monkeypatch, metadata_database):
    """Runs a DAG of one export."""
    return Runner(tmp_path, monkeypatch)


def assert_refused(run, done, *words):
    """It failed at its first try, in spite of a retry, saying `words`; nothing is there."""
    assert done.state == "failed"
    assert [name for name, _ in done.errors] == [done.errors[0][0]]
    assert done.errors[0][0] in (
        "AirflowFailException",
        "VectorShiftConnectionError",
        "VectorShiftConnectionMissing",
    )
    for text in words:
        assert text in done.errors[0][1]
    assert not run.file.exists()
    assert run.rows() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"start": "{{ '2026-11-22T00:00:00' }}"}, "no time zone"),
        ({"start": "{{ data_interval_end }}"}, "holds nothing"),
        ({"start": "{{ None }}"}, "{{ None }} renders to nothing"),
        ({"file_format": "{{ 'CVS' }}"}, "Did you mean csv?"),
        ({"destination": "{{ '' }}"}, "{{ '' }} renders to nothing"),
        ({"destination": "{{ 'some/folder/' }}"}, "Name the file"),
    ],
)
def test_bad_rendered_arguments(emulator, run, arguments, words):
    """What templates come to is checked like any argument, before any request."""
    assert_refused(run, run(**arguments, **FINAL), words)
    assert emulator.counters()["requests"] == {}


def test_empty_data_interval(emulator, run):
    """A plain "@daily", whose interval is empty in Airflow 3, fails with the way out."""
    done = run(schedule="trigger", **FINAL)
    assert_refused(run, done, "data interval is empty", "CronDataIntervalTimetable", "start=")
    assert emulator.counters()["requests"] == {}


def test_no_data_interval(emulator, run):
    """A run without a data interval says so, not that a name in a template is undefined."""
    done = run(interval=False, destination="dt={{ data_interval_start | ds }}/x.csv", **FINAL)
    assert_refused(run, done, "no data interval", "logical date", "start=")


def test_missing_connection(emulator, run):
    """A connection that does not exist is named, with what to set."""
    done = run(vectorshift_conn_id="vs_elsewhere", **FINAL)
    assert_refused(run, done, "'vs_elsewhere'", "AIRFLOW_CONN_VS_ELSEWHERE")


def test_missing_key(emulator, run, connect):
    """A connection without a password is told to get one."""
    connect(host=emulator.base_url)
    assert_refused(run, run(**FINAL), "'vectorshift_default'", "no API key", "password")


@pytest.mark.parametrize("deferrable", [False, True])
def test_wrong_key(emulator, run, connect, deferrable):
    """A refused key fails at once, and the key is not in the text."""
    connect(host=emulator.base_url, password="sk_wrong_key")
    done = run(deferrable=deferrable, **FINAL)
    assert_refused(run, done, "AuthenticationError", "401")
    assert "sk_wrong_key" not in done.errors[0][1]


def test_table_of_another_shape(emulator, run):
    """A table whose column cannot take the rows stays as it is; only a person can mend that."""
    import duckdb

    with duckdb.connect(str(run.database)) as connection:
        connection.execute("CREATE TABLE events (span_id INTEGER)")
    assert_refused(run, run(**FINAL), "SchemaMismatch", "span_id")


@pytest.mark.parametrize("deferrable", [False, True])
def test_never_ready(emulator, run, deferrable):
    """An export that never gets ready fails at its timeout, and each try asks for a new one."""
    emulator.fault("export_poll", "never_ready", times=0)
    done = run(deferrable=deferrable, timeout=0.5, **FINAL)
    assert done.state == "failed"
    assert [name for name, _ in done.errors] == ["AnalyticsExportTimeout"] * 2
    assert "0.5 s" in done.errors[0][1]
    assert (run.file.exists(), run.rows()) == (False, [])
    assert emulator.counters()["exports_created"] == 2


@pytest.mark.parametrize(
    "deferrable",
    # Without a state store the count travels with the deferral, whose arguments `dag.test()` drops.
    [False, pytest.param(True, marks=pytest.mark.airflow33)],
)
def test_failed_export(emulator, run, deferrable):
    """An export that the service could not make is requested again, twice at most; then the try fails."""
    emulator.fault("export_poll", "task_failed", body="out of rows", times=1)
    done = run(deferrable=deferrable)
    assert (done.state, done.result["recreated"]) == ("success", 1)
    emulator.fault("export_poll", "task_failed", body="out of rows", times=0)
    emulator.reset_counters()
    done = run(deferrable=deferrable)
    assert [name for name, _ in done.errors] == ["AnalyticsExportFailed"]
    assert "out of rows" in done.errors[0][1]
    assert emulator.counters()["exports_created"] == 3


def test_damaged_file(emulator, run):
    """A file that is cut never lands, however often it is requested, and what landed before stands."""
    before = run()
    content, rows = run.file.read_bytes(), run.rows()
    emulator.fault("download", "truncate", times=0, fraction=0.5, framing="chunked")
    emulator.burst(1, at=last_day().start)
    done = run()
    assert (before.state, done.state) == ("success", "failed")
    assert done.errors[0][0] == "AnalyticsDownloadFailed"
    assert (run.file.read_bytes(), run.rows()) == (content, rows)


def test_another_exports_file_is_not_taken(emulator, run):
    """The file of another window is refused, and a new export lands."""
    run()
    emulator.fault("download", "wrong_file", times=1)
    done = run(start="{{ data_interval_start + macros.timedelta(hours=12) }}")
    assert (done.state, done.result["recreated"]) == ("success", 1)
    assert done.result["rows"] < len(run.rows())


def test_full_disk(emulator, run, tmp_path):
    """A disk that fills up fails the task, and what landed before stands."""
    run()
    content, rows = run.file.read_bytes(), run.rows()
    emulator.burst(1, at=last_day().start)
    script = """
import resource, sys
from airflow_provider_vectorshift.operators import VectorShiftExportOperator
from vectorshift_orchestration import PublishError

file, database, start, end = sys.argv[1:]
task = VectorShiftExportOperator(
    task_id="export", destination=file, table="events", duckdb_path=database, start=start, end=end
)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    task.execute({})
except PublishError as error:
    print(error)
"""
    window = last_day().to_dict()
    command = [sys.executable, "-c", script, run.file, run.database, window["start"], window["end"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "File too large" in done.stdout, done.stderr
    assert (run.file.read_bytes(), run.rows()) == (content, rows)
    assert [path.name for path in run.file.parent.iterdir()] == ["events.csv"]
