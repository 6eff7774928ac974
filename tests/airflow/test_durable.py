"""Retries in real Airflow go on with the export that the first try requested."""

import sqlite3

import pytest

from tests.airflow.running import Runner, last_day, truth

pytestmark = pytest.mark.airflow
RETRY = {"retries": 1, "retry_delay": 0}


@pytest.fixture
def run(tmp_path, monkeypatch, metadata_database):
    """Runs a DAG of one export."""
    return Runner(tmp_path, monkeypatch)


def noted(database, run_id):
    """The keys that a run's task has in Airflow's state store."""
    with sqlite3.connect(database) as connection:
        query = (
            "SELECT s.key FROM task_state_store s JOIN dag_run r ON r.id = s.dag_run_id "
            "WHERE r.run_id = ?"
        )
        return connection.execute(query, [run_id]).fetchall()


@pytest.mark.airflow33
@pytest.mark.parametrize("deferrable", [False, True])
def test_retry_goes_on_with_the_export(emulator, run, deferrable):
    """When landing fails, the retry lands the same export: one is created, same result as ever."""
    run.file.parent.write_text("a file where the folder should be")
    done = run(deferrable=deferrable, **RETRY)
    assert [name for name, _ in done.errors] == ["PublishError"]
    assert done.state == "success"
    assert run.rows() == truth(emulator, last_day())
    assert emulator.counters()["exports_created"] == 1
    again = run()
    assert done.result | {"task_id": again.result["task_id"]} == again.result


@pytest.mark.airflow33
@pytest.mark.parametrize("deferrable", [False, True])
def test_retry_goes_on_with_the_chunks(emulator, run, deferrable):
    """A chunk that was given up costs the retry that chunk alone, also where the triggerer waited for it."""
    emulator.fault("export_poll", "task_failed", times=3, body="no memory")
    emulator.settings(export_delay=1.5 if deferrable else 0)
    done = run(deferrable=deferrable, destination=None, chunks=3, **RETRY)
    assert [name for name, _ in done.errors] == ["AnalyticsExportFailed"]
    assert done.state == "success"
    assert run.rows() == truth(emulator, last_day())
    assert emulator.counters()["exports_created"] == 3 + 3


@pytest.mark.airflow33
def test_retry_after_rate_limit(emulator, run):
    """A 429 that asks for a long wait fails the try; the retry needs no new export."""
    emulator.fault("count", "status", code=429, retry_after="3600", times=1)
    done = run(**RETRY)
    assert [name for name, _ in done.errors] == ["RateLimitError"]
    assert done.state == "success"
    assert emulator.counters()["exports_created"] == 1


def test_not_durable_asks_again(emulator, run):
    """With durable=False, each try asks for an export of its own."""
    run.file.parent.write_text("a file where the folder should be")
    done = run(durable=False, **RETRY)
    assert done.state == "success"
    assert emulator.counters()["exports_created"] == 2


@pytest.mark.airflow33
def test_note_lives_as_long_as_the_export(emulator, run, metadata_database):
    """The note of an export is gone once it landed, and stays when it may still land."""
    landed = run()
    assert noted(metadata_database, landed.run_id) == []
    run.file.unlink()
    run.file.parent.rmdir()
    run.file.parent.write_text("a file where the folder should be")
    failed = run()
    assert failed.state == "failed"
    assert noted(metadata_database, failed.run_id) == [("vectorshift_export",)]


@pytest.mark.airflow33
def test_expired_export_is_requested_again(emulator, run):
    """A retry whose export the service no longer knows asks for a new one."""
    emulator.settings(export_mode="sync")  # so that only the retry looks
    emulator.fault("count", "status", code=429, retry_after="3600", times=1)
    emulator.fault("export_poll", "status", code=404, times=1)
    done = run(**RETRY)
    assert done.state == "success"
    assert emulator.counters()["exports_created"] == 2
