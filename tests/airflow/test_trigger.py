"""The trigger in a plain event loop against the emulator: what it tells, and that it only looks."""

import asyncio
import time
from importlib import import_module
from inspect import signature

import pytest
from airflow.triggers.base import BaseTrigger
from hypothesis import given, settings, strategies as st

from airflow_provider_vectorshift._events import read_export_event
from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.triggers import VectorShiftExportTrigger


@pytest.fixture
def export_id(emulator):
    """An export of everything, pending for 0.2 s; what was counted for it is forgotten."""
    with VectorShiftHook().get_conn() as client:
        task = client.query().export("CSV", "everything.csv")
    emulator.reset_counters()
    return task["task_id"]


def told(export_id, *, seconds=30.0, connection="vectorshift_default"):
    """The one event of a trigger that may take `seconds`."""
    trigger = VectorShiftExportTrigger(
        vectorshift_conn_id=connection,
        export_id=export_id,
        deadline=time.time() + seconds,
        poll_interval=0.05,
    )
    (event,) = events_of(trigger)
    return read_export_event(event.payload)


def events_of(trigger):
    """Every event of a trigger."""

    async def events():
        return [event async for event in trigger.run()]

    return asyncio.run(events())


def test_ready(emulator, export_id):
    """A ready export is reported with its id alone, and nothing was created or downloaded for it."""
    assert told(export_id) == {"status": "ready", "export_id": export_id, "error": ""}
    counted = emulator.counters()
    assert set(counted["requests"]) == {"export_poll"}
    assert counted["exports_created"] == 0


def test_failed(emulator, export_id):
    """A failed export is reported with the service's reason, without any URL's query."""
    emulator.fault("export_poll", "task_failed", body="see http://x/y?signature=secret")
    event = told(export_id)
    assert (event["status"], event["error"]) == ("failed", "see http://x/y?***")


def test_missing(emulator):
    """An export that the service does not know is reported as missing."""
    assert told("ex_unknown")["status"] == "missing"


@pytest.mark.parametrize("connection", ["vectorshift_default", "vs_elsewhere"])
def test_refused(emulator, export_id, connect, connection):
    """A wrong key and a missing connection are reported at once, not waited out."""
    connect(host=emulator.base_url, password="sk_wrong_key")
    event = told(export_id, connection=connection)
    assert event["status"] == "refused"
    assert ("401" in event["error"]) != ("vs_elsewhere" in event["error"])
    assert "sk_wrong_key" not in event["error"]


def test_passing_errors_are_waited_out(emulator, export_id):
    """Answers that may get better do not end the wait."""
    emulator.fault("export_poll", "status", code=429, retry_after="3600", times=2)
    emulator.fault("export_poll", "html_200", times=2)
    assert told(export_id)["status"] == "ready"
    assert [fault["injected"] for fault in emulator.faults()] == [2, 2]


def test_deadline(emulator, export_id):
    """At the deadline the trigger says so, with the last error."""
    emulator.fault("export_poll", "status", code=429, retry_after="3600", times=0)
    event = told(export_id, seconds=0.5)
    assert event["status"] == "timeout"
    assert "429" in event["error"]


def test_deadline_holds_when_the_service_hangs(emulator, export_id):
    """A service that never answers delays the timeout by 2 s at most."""
    emulator.fault("export_poll", "hang", times=0)
    began = time.monotonic()
    assert told(export_id, seconds=0.5)["status"] == "timeout"
    assert time.monotonic() - began < 0.5 + 2.0 + 0.5


def test_polls_get_rarer(emulator, export_id):
    """The interval grows, so that a long export is not asked about all the time."""
    emulator.fault("export_poll", "never_ready", times=0)
    assert told(export_id, seconds=2.0)["status"] == "timeout"
    assert 4 <= emulator.counters()["polls"] <= 9  # at 0.05 s each there would be 40


def test_a_last_poll_after_the_deadline(emulator, export_id):
    """A triggerer that was away until after the deadline still finds an export that got ready."""
    told(export_id)
    assert told(export_id, seconds=-5.0)["status"] == "ready"


def test_timeout_counts_from_the_start(emulator, export_id):
    """Where the task starts in the triggerer, its time begins there."""
    emulator.fault("export_poll", "never_ready", times=0)
    trigger = VectorShiftExportTrigger(
        vectorshift_conn_id="vectorshift_default",
        export_id=export_id,
        timeout=0.3,
        poll_interval=0.05,
    )
    began = time.monotonic()
    assert events_of(trigger)[0].payload["status"] == "timeout"
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("limits", [{}, {"deadline": 1.0, "timeout": 1.0}])
def test_one_limit(limits):
    """A trigger has one end: neither none, nor two that disagree."""
    with pytest.raises(TypeError, match="either deadline= or timeout="):
        VectorShiftExportTrigger(vectorshift_conn_id="vs", export_id="ex_1", **limits)


def test_empty_id(emulator):
    """A template that came out empty is reported as such, and nobody is asked."""
    event = told("")
    assert (event["status"], event["error"]) == ("refused", "export_id= is empty.")
    assert emulator.counters()["requests"] == {}


seconds = st.floats(min_value=0.001, max_value=1e10)


@settings(max_examples=100, deadline=None, database=None)
@given(
    limit=st.fixed_dictionaries({"deadline": seconds})
    | st.fixed_dictionaries({"timeout": seconds}),
    others=st.fixed_dictionaries(
        {"vectorshift_conn_id": st.text(), "export_id": st.text()},
        optional={
            "poll_interval": seconds,
            "longest_interval": seconds,
            "complete_in_triggerer": st.booleans(),
            "soft_fail": st.booleans(),
            "do_xcom_push": st.booleans(),
        },
    ),
)
def test_serialize_is_init(limit, others):
    """What Airflow stores of a trigger makes an equal trigger, whatever it was made with."""
    from airflow.models.trigger import Trigger

    given_arguments = others | limit
    path, arguments = VectorShiftExportTrigger(**given_arguments).serialize()
    assert arguments == arguments | given_arguments
    stored = Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(arguments))
    module, name = path.rsplit(".", 1)
    again = getattr(import_module(module), name)(**stored)
    assert again.serialize() == (path, arguments)


def test_serialize_names_every_argument():
    """No argument is left out of what is stored."""
    parameters = signature(VectorShiftExportTrigger).parameters
    trigger = VectorShiftExportTrigger(vectorshift_conn_id="vs", export_id="ex_1", deadline=1.5)
    assert list(trigger.serialize()[1]) == list(parameters)


class Named(VectorShiftExportTrigger):
    """A user's trigger with an argument more, which passes the others on."""

    def __init__(self, *, name: str, **kwargs):
        super().__init__(**kwargs)
        self.name = name


def test_a_trigger_of_a_users_own_keeps_all_arguments():
    """Those of its own and those that it passes on are stored, so that it can be made again."""
    trigger = Named(name="ours", vectorshift_conn_id="vs", export_id="ex_1", deadline=1.5)
    path, arguments = trigger.serialize()
    assert (path.endswith(".Named"), arguments["name"]) == (True, "ours")
    assert Named(**arguments).serialize() == (path, arguments)


@pytest.mark.airflow33
def test_nothing_is_undone():
    """A killed task leaves its export alone: Airflow calls `on_kill` also when nobody killed it."""
    assert VectorShiftExportTrigger.on_kill is BaseTrigger.on_kill


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"status": "ready", "export_id": ""},
        {"status": "ready", "export_id": "", "error": ""},
        {"status": "done", "export_id": "ex_1", "error": ""},
        {"status": "ready", "export_id": "ex_1", "error": None},
        {"status": "ready", "export_id": "ex_1", "error": "", "download_url": "http://x"},
    ],
)
def test_foreign_events_are_refused(event):
    """What is not an event of ours does not resume a task."""
    with pytest.raises(ValueError, match="not an event of VectorShiftExportTrigger"):
        read_export_event(event)
