"""One export over several tries: where a killed one stopped, what is reused, and what is reported in the end."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import duckdb
import pytest

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift.errors import VectorShiftTriggererTimeout
from airflow_provider_vectorshift.operators import VectorShiftExportOperator
from tests.airflow.moved import TaskDeferred, deserialize, serialize
from tests.airflow.running import MemoryStore, last_day, truth
from vectorshift.errors import AnalyticsExportTimeout

KEY = "vectorshift_export"


class Tries:
    """An export task's tries, which share a store; `xcoms` is what they pushed."""

    def __init__(self, folder, emulator=None):
        self.folder = folder
        self.emulator = emulator
        self.store = MemoryStore()
        self.xcoms = {}
        self.ti = SimpleNamespace(
            map_index=-1,
            start_date=datetime.now(UTC),
            xcom_push=lambda key, value: self.xcoms.update({key: value}),
        )

    @property
    def context(self):
        return {"task_state_store": self.store, "ti": self.ti}

    def task(self, **arguments):
        day = last_day()
        everything = {
            "start": day.start,
            "end": day.end,
            "destination": self.folder / "events.csv",
            "table": "events",
            "duckdb_path": self.folder / "events.duckdb",
            "poll_interval": 0.05,
        }
        return VectorShiftExportOperator(task_id="export", **(everything | arguments))

    def execute(self, **arguments):
        return self.task(**arguments).execute(self.context)

    def deferred(self, **arguments):
        """What the task defers with, when the service takes its time."""
        self.emulator.fault("export_poll", "never_ready", times=0)
        with pytest.raises(TaskDeferred) as caught:
            self.execute(deferrable=True, **arguments)
        self.emulator.clear_faults()
        return caught.value

    def note(self):
        return self.store.get(KEY)

    def rows(self):
        with duckdb.connect(str(self.folder / "events.duckdb")) as connection:
            return connection.execute("SELECT span_id FROM events ORDER BY 1").fetchall()


@pytest.fixture
def tries(emulator, tmp_path):
    """The tries of one task."""
    return Tries(tmp_path, emulator)


FIRST_TRY = """
import json, sys
from tests.airflow.test_export_tries import Tries
from pathlib import Path

class OnDisk:
    file = Path(sys.argv[1]) / "store.json"
    def get(self, key, default=None):
        return json.loads(self.file.read_text()) if self.file.exists() else default
    def set(self, key, value):
        self.file.write_text(json.dumps(value))
    def delete(self, key):
        self.file.unlink(missing_ok=True)

tries = Tries(Path(sys.argv[1]))
tries.store = OnDisk()
tries.execute()
"""

POINTS = {
    "export.asked": 2,  # accepted, and nobody wrote its id down: asked again, and counted
    "sql.begun": 1,
    "sql.before_commit": 1,
    "sql.committed": 1,
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_worker(emulator, tries, point):
    """Killed at any point, the next try lands each row once, and tells what an undisturbed one tells."""
    environment = os.environ | {"VECTORSHIFT_FAILPOINT": f"{point}=SIGKILL"}
    command = [sys.executable, "-c", FIRST_TRY, str(tries.folder)]
    killed = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    tries.store.set(KEY, json.loads((tries.folder / "store.json").read_text()))
    result = tries.execute()
    assert tries.rows() == truth(emulator, last_day()) != []
    assert emulator.counters()["exports_created"] == POINTS[point]
    assert tries.note() is None
    undisturbed = tries.execute()
    assert result | {"task_id": "", "recreated": 0} == undisturbed | {"task_id": ""}
    assert result["recreated"] == POINTS[point] - 1
    assert emulator.counters()["exports_created"] == POINTS[point] + 1  # what a clear does


def test_same_result_in_every_mode(emulator, tries):
    """Sync, deferred, and a try after one that died between COMMIT and success tell the same."""
    sync = tries.execute()
    deferred = tries.deferred()
    ready = {"status": "ready", "export_id": deferred.trigger.export_id, "error": ""}
    wait_for(emulator, ready["export_id"])
    resumed = tries.task().execute_complete(tries.context, event=ready, **deferred.kwargs)
    committed = []
    tries.store.delete = committed.append  # the last step is not done: as if the worker died there
    third = tries.execute()
    assert (committed, tries.note()["state"]["state"]) == ([KEY], "committed")
    del tries.store.delete
    emulator.reset_counters()
    reconnected = tries.execute()
    assert reconnected == third
    assert emulator.counters()["exports_created"] == 0
    assert {**sync, "task_id": ""} == {**resumed, "task_id": ""} == {**reconnected, "task_id": ""}
    assert tries.note() is None


def wait_for(emulator, export_id):
    """Until the emulator has an export ready."""
    from airflow_provider_vectorshift.hooks import VectorShiftHook
    from vectorshift.export_tasks import export_state

    with VectorShiftHook().get_conn() as client:
        while export_state(client.export_task(export_id)) == "pending":
            time.sleep(0.05)


def test_deferral_is_noted_and_holds_no_secret(emulator, tries):
    """Before it defers, the task has written down its export and shown the link; no URL goes anywhere."""
    deferred = tries.deferred()
    note = tries.note()
    assert note["state"]["task_id"] == deferred.trigger.export_id
    assert note == deferred.kwargs["pending"]
    assert tries.xcoms == {
        "vectorshift_export_link": f"{emulator.base_url}/analytics/exports/{deferred.trigger.export_id}"
    }
    assert deserialize(json.loads(json.dumps(serialize(deferred.kwargs)))) == deferred.kwargs
    reported = json.dumps([note, deferred.kwargs, deferred.trigger.serialize(), tries.xcoms])
    assert "signature" not in reported
    assert emulator.api_key not in reported


def test_retry_of_a_deferred_task_goes_on(emulator, tries):
    """A new try after a deferral (marked failed, then cleared) waits for the export that there is."""
    first = tries.deferred()
    second = tries.deferred()
    assert second.trigger.export_id == first.trigger.export_id
    assert second.trigger.deadline == first.trigger.deadline
    assert emulator.counters()["exports_created"] == 1


def test_changed_task_requests_again(emulator, tries):
    """Another window, query, format or account has nothing from the export of before; a target has."""
    requested = {tries.deferred().trigger.export_id}
    assert tries.deferred(table=None, duckdb_path=None).trigger.export_id in requested
    for changed in (
        {"start": last_day().start + timedelta(hours=1)},
        {"query": {"object_type": "pipeline"}},
        {"file_format": "json", "destination": None},
    ):
        again = tries.deferred(**changed).trigger.export_id
        assert again not in requested
        requested.add(again)


def test_foreign_note_is_passed_over(emulator, tries):
    """What another version may have left in the store is no reason to fail."""
    for foreign in ("ex_1", {"export_id": "ex_1"}, {"state": {"version": 9}}, []):
        tries.store.set(KEY, foreign)
        assert tries.execute()["rows"] == len(tries.rows())


def test_not_durable(emulator, tries):
    """With durable=False nothing is written down, and a deferral carries all that it needs."""
    deferred = tries.deferred(durable=False)
    assert tries.note() is None
    wait_for(emulator, deferred.trigger.export_id)
    ready = {"status": "ready", "export_id": deferred.trigger.export_id, "error": ""}
    task = tries.task(durable=False)
    result = task.execute_complete(tries.context, event=ready, **deferred.kwargs)
    assert result["task_id"] == deferred.trigger.export_id
    assert emulator.counters()["exports_created"] == 1


def test_slower_writer_brings_newer_rows(emulator, tries):
    """When another task wrote the interval meanwhile, the task exports once more, within its try."""
    deferred = tries.deferred()
    wait_for(emulator, deferred.trigger.export_id)
    Tries(tries.folder).execute()
    emulator.burst(1, at=last_day().start)
    ready = {"status": "ready", "export_id": deferred.trigger.export_id, "error": ""}
    result = tries.task().execute_complete(tries.context, event=ready, **deferred.kwargs)
    assert result["task_id"] != deferred.trigger.export_id
    assert tries.rows() == truth(emulator, last_day())
    assert tries.note() is None


def test_what_failed_for_good_is_not_gone_on_with(emulator, tries):
    """A table is repaired and the task cleared: it exports again and lands no file of before."""
    with duckdb.connect(str(tries.folder / "events.duckdb")) as connection:
        connection.execute("CREATE TABLE events (span_id INTEGER)")
    with pytest.raises(AirflowFailException, match="SchemaMismatch"):
        tries.execute()
    assert tries.note() is None
    with duckdb.connect(str(tries.folder / "events.duckdb")) as connection:
        connection.execute("DROP TABLE events")
    emulator.burst(1, at=last_day().start)
    assert tries.execute()["rows"] == len(truth(emulator, last_day()))
    assert emulator.counters()["exports_created"] == 2


# --- deadlines ---


def overdue(tries, deferred):
    """Put the deadline of a deferred export into the past."""
    note = tries.note()
    note = note | {"state": note["state"] | {"deadline": time.time() - 1}}
    tries.store.set(KEY, note)
    return deferred.kwargs | {"pending": note}


def test_timeout_forgets_the_export(emulator, tries):
    """At its deadline an export is given up with a typed error, and the next try asks for a new one."""
    emulator.fault("export_poll", "never_ready", times=0)
    with pytest.raises(AnalyticsExportTimeout, match=r"0\.3 s"):
        tries.execute(timeout=0.3)
    assert tries.note() is None
    deferred = tries.deferred(timeout=50)
    late = {"status": "timeout", "export_id": deferred.trigger.export_id, "error": ""}
    with pytest.raises(AnalyticsExportTimeout, match="50"):
        tries.task(timeout=50).execute_complete(
            tries.context, event=late, **overdue(tries, deferred)
        )
    assert tries.note() is None


def test_execution_timeout_holds_while_deferred(emulator, tries):
    """The earlier of `timeout` and `execution_timeout` is the trigger's deadline; the export is kept for a retry."""
    deferred = tries.deferred(execution_timeout=timedelta(seconds=20), timeout=3600)
    assert 0 < deferred.trigger.deadline - time.time() <= 20
    assert timedelta(seconds=60) < deferred.timeout <= timedelta(seconds=80)
    late = {"status": "timeout", "export_id": deferred.trigger.export_id, "error": ""}
    task = tries.task(execution_timeout=timedelta(seconds=20))
    with pytest.raises(AnalyticsExportTimeout, match="20"):
        task.execute_complete(tries.context, event=late, **deferred.kwargs)
    assert tries.note()["state"]["task_id"] == deferred.trigger.export_id


def test_dead_triggerer(emulator, tries):
    """When nobody reports and Airflow ends the deferral, an overdue export is let go, with a typed error."""
    from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason

    failed = {"error": TriggerFailureReason.TRIGGER_TIMEOUT}
    deferred = tries.deferred()
    overdue(tries, deferred)
    with pytest.raises(VectorShiftTriggererTimeout, match=deferred.trigger.export_id):
        tries.task().resume_execution(TRIGGER_FAIL_REPR, failed, tries.context)
    assert tries.note() is None


def test_refused_while_deferred(emulator, tries):
    """A key that was revoked meanwhile fails the task at once."""
    deferred = tries.deferred()
    refused = {"status": "refused", "export_id": deferred.trigger.export_id, "error": "401"}
    with pytest.raises(AirflowFailException, match="401"):
        tries.task().execute_complete(tries.context, event=refused, **deferred.kwargs)


def test_killed_by_hand(tries):
    """`on_kill` undoes nothing: the export stays known, for the next try."""
    tries.store.set(KEY, {"kept": 1})
    tries.task().on_kill()
    assert tries.note() == {"kept": 1}
