"""The error-count sensor: the same verdict in every mode, and how it ends without one."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest

from airflow_provider_vectorshift._airflow import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_provider_vectorshift._events import read_breach_event
from airflow_provider_vectorshift.sensors import VectorShiftErrorCountSensor
from airflow_provider_vectorshift.triggers import VectorShiftBreachTrigger
from tests.airflow.moved import TaskDeferred
from tests.airflow.running import last_day, run_dag
from vectorshift import Analytics, VectorshiftError
from vectorshift_orchestration import Baseline, Rate

WATCHED = Analytics.query(object_ids=["watched"])
MODES = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferred": {"deferrable": True},
}
QUICK = {"poke_interval": 0.05, "timeout": 30}
STATED = {
    "vectorshift_conn_id": "vs",
    "rule": Rate(error=0.5).to_dict(),
    "query": WATCHED.to_dict(),
    "window": None,
    "trailing": 600.0,
    "settle": 60.0,
    "poll_interval": 5.0,
    "deadline": 1.5,
}


@pytest.fixture
def run_sensors(metadata_database, monkeypatch):
    """Runs sensors, given as arguments by task id, for the last complete day: the finished run."""

    def run(sensors):
        monkeypatch.setenv("ERROR_COUNT_SENSORS", json.dumps(sensors))
        return run_dag("error_count_sensor", last_day().end)

    return run


def sensor(**changes):
    """A sensor for more than 20 failed runs of what the tests burst, that looks every 0.05 s."""
    arguments = {"threshold": 20, "query": WATCHED} | QUICK | changes
    return VectorShiftErrorCountSensor(task_id="watch", **arguments)


def yesterday():
    """A context whose data interval is the last complete day."""
    day = last_day()
    return {"data_interval_start": day.start, "data_interval_end": day.end}


def burst(emulator, count=30, at=None):
    """Failed runs that the sensors see, by default in the last complete day."""
    emulator.burst(
        count,
        at=at or last_day().start + timedelta(hours=12),
        object_id="watched",
        error_message="quota exceeded",
    )


def deferred_end(task, context):
    """How a deferrable task ends: its trigger is run, and a new instance resumed with the event."""
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(context)
    trigger = deferral.value.trigger

    async def first_event():
        return (await anext(trigger.run())).payload

    event = asyncio.run(first_event())
    return task.resume_execution(deferral.value.method_name, {"event": event}, context)


# --- in real Airflow ---


def test_the_verdict_is_the_same_in_every_mode(emulator, run_sensors):
    """Poked, rescheduled and deferred, a breach of the data interval leaves one and the same result."""
    burst(emulator)
    arguments = {"query": WATCHED.to_dict(), "threshold": 20} | QUICK
    run = run_sensors({name: arguments | mode for name, mode in MODES.items()})
    tasks = {each.task_id: each for each in run.get_task_instances()}
    results = [tasks[name].xcom_pull(task_ids=name) for name in MODES]
    assert {each.state for each in tasks.values()} == {"success"}
    assert results[0] == results[1] == results[2]
    assert (results[0]["ok"], results[0]["observed"], results[0]["severity"]) == (
        False,
        30,
        "ERROR",
    )
    assert results[0]["window"] == last_day().to_dict()
    assert results[0]["message"].endswith("30 x quota exceeded")
    assert tasks["act"].xcom_pull(task_ids="act") == "acted"  # behind a short circuit


def test_without_a_breach_soft_fail_skips_in_every_mode(emulator, run_sensors):
    """At the timeout the task fails, or with soft_fail is skipped, however it waited."""
    arguments = {"query": WATCHED.to_dict(), "threshold": 20, "poke_interval": 0.05, "timeout": 0.3}
    sensors = {name: arguments | mode | {"soft_fail": True} for name, mode in MODES.items()}
    run = run_sensors(sensors | {"hard": arguments | {"deferrable": True}})
    states = {each.task_id: str(each.state) for each in run.get_task_instances()}
    assert states == dict.fromkeys([*MODES, "severe", "act"], "skipped") | {"hard": "failed"}


# --- one task at a time ---


def test_a_trailing_window(emulator):
    """With `trailing` the time just gone is judged, up to `settle` ago, and again at every look."""
    now = datetime.now(UTC)
    burst(emulator, at=now - timedelta(minutes=3))
    task = sensor(trailing=timedelta(minutes=5), settle=timedelta(minutes=1))
    verdict = task.execute({})
    start, end = (datetime.fromisoformat(verdict["window"][edge]) for edge in ("start", "end"))
    assert end - start == timedelta(minutes=5)
    assert timedelta(0) <= end - (now - timedelta(minutes=1)) < timedelta(minutes=1)
    assert not sensor(trailing=60, settle=0).poke({}).is_done


def test_a_trailing_window_while_deferred(emulator):
    """A breach that comes about while the task is deferred is seen."""
    task = sensor(trailing=300, settle=0, deferrable=True)
    with pytest.raises(TaskDeferred) as deferral:
        task.execute({})
    burst(emulator, at=datetime.now(UTC) - timedelta(seconds=5))

    async def first_event():
        return (await anext(deferral.value.trigger.run())).payload

    assert task.execute_complete({}, asyncio.run(first_event()))["observed"] == 30


@pytest.mark.parametrize("deferrable", [False, True])
def test_assets_are_reported(emulator, deferrable):
    """The assets among the outlets get the verdict as the extra of their events, in every mode."""
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import OutletEventAccessors

    burst(emulator)
    asset, events = Asset("lake://failures"), OutletEventAccessors()
    task = sensor(outlets=[asset], deferrable=deferrable)
    context = {**yesterday(), "outlet_events": events}
    verdict = deferred_end(task, context) if deferrable else task.execute(context)
    assert events[asset].extra == verdict


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"timeout": 20, "execution_timeout": timedelta(seconds=600)}, AirflowSensorTimeout),
        ({"timeout": 600, "execution_timeout": timedelta(seconds=20)}, AirflowTaskTimeout),
    ],
)
def test_the_earlier_limit_holds_while_deferred(emulator, limits, error):
    """The earlier of `timeout` and `execution_timeout` is the trigger's deadline, and says how the try ends."""
    task = sensor(deferrable=True, **limits)
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(yesterday())
    assert 0 < deferral.value.trigger.deadline - time.time() <= 20
    assert timedelta(seconds=60) < deferral.value.timeout <= timedelta(seconds=80)
    late = {"event": {"status": "timeout", "verdict": None, "error": ""}}
    with pytest.raises(error, match="20 s"):
        task.resume_execution("execute_complete", late, yesterday())


def test_a_start_and_an_end(emulator):
    """Explicit ends replace the data interval, of which the run may have none."""
    burst(emulator)
    day = last_day()
    verdict = sensor(start=day.start, end=day.end.isoformat()).execute({})
    assert verdict["window"] == day.to_dict()


def test_rules_that_look_back(emulator):
    """Any rule of the core can be waited for; too little to judge is not a breach."""
    burst(emulator)
    task = sensor(rule=Baseline(metric="errors.sum", error=3.0), threshold=None)
    assert task.poke(yesterday()).xcom_value["state"] == "breached"
    task = sensor(rule=Rate(error=0.1, minimum_sample=31), threshold=None)
    result = task.poke(yesterday())
    assert (result.is_done, result.xcom_value["state"]) == (False, "insufficient_data")


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("soft_fail", [False, True])
def test_a_refused_key(emulator, connect, deferrable, soft_fail):
    """A refused key ends the wait at once in every mode, as `BaseSensorOperator` has it."""
    connect(host=emulator.base_url, password="sk_wrong_key")
    task = sensor(deferrable=deferrable, soft_fail=soft_fail)
    ended = AirflowSkipException if soft_fail else AirflowFailException
    with pytest.raises(ended) as caught:
        deferred_end(task, yesterday()) if deferrable else task.execute(yesterday())
    assert "401" in str(caught.value.__cause__ if soft_fail else caught.value)
    assert "sk_wrong_key" not in str(caught.value)


def test_a_passing_error(emulator, connect):
    """While poking it fails the try, so that retries apply; deferred, it is waited out."""
    connect(host=emulator.base_url, password=emulator.api_key, extra='{"retries": 0}')
    burst(emulator)
    emulator.fault("aggregations", "status", code=503, times=2)
    with pytest.raises(VectorshiftError, match="503"):
        sensor().execute(yesterday())
    assert deferred_end(sensor(deferrable=True), yesterday())["observed"] == 30
    assert [each["injected"] for each in emulator.faults()] == [2]


def test_a_timeout_names_the_last_error(emulator, connect):
    """Where no look came to anything until the timeout, the error says why."""
    connect(host=emulator.base_url, password=emulator.api_key, extra='{"retries": 0}')
    emulator.fault("aggregations", "status", code=503, times=0)
    with pytest.raises(AirflowSensorTimeout, match=r"not breached within 0\.3 s\. .*503"):
        deferred_end(sensor(deferrable=True, timeout=0.3), yesterday())


def test_a_service_that_hangs_does_not_hold_up_the_timeout(emulator):
    """The deadline cuts a look short whose answer never comes, before the client gives up on it."""
    emulator.fault("aggregations", "hang", times=0)
    with pytest.raises(AirflowSensorTimeout, match="The last poll had no response in time"):
        deferred_end(sensor(deferrable=True, timeout=0.3), yesterday())


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("soft_fail", [False, True])
def test_what_cannot_be_judged_fails(emulator, deferrable, soft_fail):
    """A rendered rule that is none, and a run without an interval, fail the task: soft_fail hides no mistake."""
    task = sensor(
        rule={"rule": "absolute", "metric": "{{ var }}", "error": 1},
        threshold=None,
        deferrable=deferrable,
        soft_fail=soft_fail,
    )
    task.rule = {"rule": "absolute", "metric": "eror.sum", "error": 1}  # as rendered
    with pytest.raises(AirflowFailException, match=r"VectorShiftErrorCountSensor 'watch': rule="):
        task.execute(yesterday())
    with pytest.raises(AirflowFailException, match="no data interval"):
        sensor(deferrable=deferrable, soft_fail=soft_fail).render_template_fields({})
    assert emulator.counters()["requests"] == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"threshold": None}, "give either rule= or threshold="),
        ({"rule": Rate(error=0.1)}, "give either rule= or threshold="),
        ({"threshold": "many"}, "threshold= cannot .* error is a finite number"),
        ({"rule": {"rule": "rat"}, "threshold": None}, "Did you mean rate"),
        ({"rule": 5, "threshold": None}, "rule= is a rule or its JSON form, not 5"),
        ({"trailing": 0}, "trailing= is a timedelta or a number of seconds above 0"),
        ({"settle": -1}, "settle="),
        ({"trailing": 60, "start": "2026-11-22T00:00:00Z"}, "trailing=, or start="),
        (
            {"trailing": 3600, "rule": Baseline(metric="errors.sum", error=3), "threshold": None},
            "leave out trailing=",
        ),
        ({"trailing": 60, "lookback": 1}, "trailing=, or .* lookback="),
        ({"deferrable": True, "poke_interval": 0}, "poke_interval="),
        ({"deferrable": "yes"}, "deferrable= is True or False"),
        ({"query": {"versio": 1}}, "query="),
    ],
)
def test_bad_arguments(changes, words):
    """Arguments that cannot work are refused where the DAG is read, with operator and argument."""
    with pytest.raises(ValueError, match=words) as caught:
        sensor(**changes)
    assert str(caught.value).startswith("VectorShiftErrorCountSensor 'watch': ")


def test_a_template_waits_for_its_values():
    """A rule with templates is checked when they are filled in, and rule and query are template fields."""
    from airflow.sdk import DAG

    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        task = sensor(
            rule={"rule": "absolute", "metric": "errors.sum", "error": "{{ params.limit }}"},
            threshold=None,
            trailing=60,
        )
    with DAG("text", schedule=None):
        whole = sensor(rule="{{ params.rule | tojson }}", threshold=None, trailing=60)
    task.render_template_fields({"params": {"limit": 7}})
    assert task._rule().error == 7
    whole.render_template_fields({"params": {"rule": {"rule": "rate", "error": 0.5}}})
    assert whole._rule() == Rate(error=0.5)


# --- the trigger ---


def test_serialize_is_init():
    """What Airflow stores of the trigger makes an equal one, and holds no key."""
    trigger = VectorShiftBreachTrigger(**STATED)
    path, arguments = trigger.serialize()
    assert arguments == STATED == json.loads(json.dumps(STATED))
    module, name = path.rsplit(".", 1)
    assert getattr(import_module(module), name)(**arguments).serialize() == trigger.serialize()


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"status": "breached", "verdict": None, "error": ""},
        {"status": "timeout", "verdict": {}, "error": ""},
        {"status": "done", "verdict": None, "error": ""},
        {"status": "timeout", "verdict": None},
    ],
)
def test_foreign_events_are_refused(event):
    """What is not an event of ours does not resume a task."""
    with pytest.raises(ValueError, match="not an event of VectorShiftBreachTrigger"):
        read_breach_event(event)
