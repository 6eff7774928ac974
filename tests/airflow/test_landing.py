"""The operator in real Airflow: what lands, in every mode, and what a second run leaves."""

import pytest

from tests.airflow.running import Runner, last_day, run_dag, truth
from vectorshift import Analytics
from vectorshift_orchestration.readers import read_export

pytestmark = pytest.mark.airflow


@pytest.fixture
def run(tmp_path, monkeypatch, metadata_database):
    """Runs a DAG of one export."""
    return Runner(tmp_path, monkeypatch)


def in_file(path, file_format="CSV"):
    """The ids in an export's file, in order."""
    _, batches = read_export(path, file_format)
    return sorted((cell,) for batch in batches for cell in batch.column("span_id").to_pylist())


def test_nightly_export_lands_the_day_twice(emulator, tmp_path, monkeypatch, metadata_database):
    """The example, run twice for one day, leaves that day's events once, in file and table."""
    from tests.airflow.conftest import EXAMPLES

    monkeypatch.setenv("VECTORSHIFT_EXAMPLES_HOME", str(tmp_path))
    run = Runner(tmp_path, monkeypatch)  # for its eyes: the example writes events.duckdb too
    day = last_day()
    for _ in range(2):
        assert str(run_dag("nightly_export", day.end, str(EXAMPLES)).state) == "success"
        expected = truth(emulator, day)
        assert expected == run.rows() != []
        assert in_file(tmp_path / "events" / f"dt={day.label}" / "events.csv") == expected


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("export_mode", ["async", "sync", "no-poll"])
def test_modes_land_the_same(emulator, run, deferrable, export_mode):
    """Waiting here or in the triggerer, whatever the service's way: same rows, same result."""
    emulator.settings(export_mode=export_mode)
    done = run(deferrable=deferrable)
    expected = truth(emulator, last_day())
    assert done.errors == []
    assert in_file(run.file) == run.rows() == expected
    variable = {name: done.result[name] for name in ("task_id", "bytes", "sha256")}
    assert done.result == variable | {
        "window": last_day().to_dict(),
        "rows": len(expected),
        "uri": run.file.as_uri(),
        "table": "events",
        "verified": "checksum",
        "recreated": 0,
    }
    assert emulator.counters()["exports_created"] == 1


def test_running_again_replaces(emulator, run):
    """A second run exports anew, so a late event arrives and no row is there twice."""
    day = last_day()
    first = run()
    emulator.burst(3, at=day.start)
    second = run(deferrable=True)
    assert second.result["rows"] == first.result["rows"] + 3
    assert run.rows() == truth(emulator, day)
    assert emulator.counters()["exports_created"] == 2


def test_templates_query_and_formats(emulator, run, tmp_path):
    """Query, times, path and format are templates, and only what the query names lands."""
    query = Analytics.query().where(status="failure").to_dict()
    day = last_day()
    done = run(
        query=query,
        start="{{ data_interval_start - macros.timedelta(days=1) }}",
        end="{{ data_interval_end }}",
        file_format="{{ 'json' | upper }}",
        destination=str(tmp_path) + "/dt={{ data_interval_start | ds }}/events.json",
    )
    expected = truth(emulator, day.lookback(1), "status = 'failure'")
    assert done.errors == []
    assert expected == run.rows() != []
    assert in_file(tmp_path / f"dt={day.label}" / "events.json", "JSON") == expected


def test_file_or_table_alone(emulator, run):
    """A destination without a table, and a table without a destination, land by themselves."""
    only_file = run(table=None, duckdb_path=None)
    assert (only_file.result["table"], run.database.exists()) == (None, False)
    run.file.unlink()
    only_table = run(destination=None)
    assert (only_table.result["uri"], run.file.exists()) == (None, False)
    assert run.rows() == truth(emulator, last_day())


def test_no_signed_url_outside_the_worker(emulator, run, metadata_database, capfd):
    """A deferred export leaves its URL's signature in no log and nowhere in Airflow's database."""
    capfd.readouterr()
    done = run(deferrable=True)
    printed = "".join(capfd.readouterr())
    assert done.result["task_id"] in printed  # the log was really looked at
    assert "signature=" not in printed
    stored = b"".join(path.read_bytes() for path in metadata_database.parent.glob("airflow.db*"))
    assert done.result["sha256"].encode() in stored  # and so was the database
    assert b"signature=" not in stored
    assert emulator.api_key.encode() not in stored
