"""The export sensor: what it refuses where a DAG is read, and what each of its steps does."""

import asyncio
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest

from airflow_provider_vectorshift._airflow import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.sensors import VectorShiftExportSensor
from tests.airflow.moved import TaskDeferred
from tests.airflow.running import given_to_trigger, stored_and_read

IN_TRIGGERER = {"deferrable": True, "complete_in_triggerer": True}
STARTING_THERE = {"deferrable": True, "start_from_trigger": True}
ALL_THERE = IN_TRIGGERER | STARTING_THERE
QUICK = {"poke_interval": 0.05, "timeout": 30}


@pytest.fixture
def export_id(emulator):
    """An export of everything that nobody has looked at."""
    with VectorShiftHook().get_conn() as client:
        return client.query().export("CSV", "everything.csv")["task_id"]


@pytest.fixture
def dag():
    """A DAG to define tasks in."""
    from airflow.sdk import DAG

    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as created:
        yield created


def sensor(export_id, **arguments):
    """A sensor that looks every 0.05 s, for half a minute."""
    return VectorShiftExportSensor(task_id="wait", export_id=export_id, **QUICK | arguments)


def deferral(task):
    """What a task defers with."""
    with pytest.raises(TaskDeferred) as deferred:
        task.execute({})
    return deferred.value


def fired(trigger):
    """The one event of a trigger."""

    async def events():
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(events())
    return event


# --- where the DAG is read ---


def test_importing_adds_little():
    """After `import airflow`, the sensor brings no library and nothing heavy of Airflow."""
    script = (
        "import airflow, airflow.sdk, sys\n"
        "from airflow.sdk import BaseSensorOperator, BaseHook, BaseOperatorLink\n"
        "import airflow_provider_vectorshift._airflow\n"
        "before = set(sys.modules)\n"
        "import airflow_provider_vectorshift.sensors.export\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    added = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    ours = {"airflow_provider_vectorshift", "vectorshift", "vectorshift_orchestration"}
    assert added - ours - sys.stdlib_module_names == set()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"export_id": " "}, "export_id= is empty"),
        ({"export_id": 3}, "export_id= is the text of an export's task_id, not 3"),
        ({"vectorshift_conn_id": ""}, "vectorshift_conn_id= is the id"),
        ({"poke_interval": 0}, "poke_interval="),
        ({"deferrable": None}, "deferrable= is True or False, not None"),
        ({"complete_in_triggerer": True}, "complete_in_triggerer=True needs deferrable=True"),
        ({"start_from_trigger": True}, "start_from_trigger=True needs deferrable=True"),
        (IN_TRIGGERER | {"outlets": ["x"]}, "would ignore outlets="),
        (IN_TRIGGERER | {"multiple_outputs": True}, "would ignore multiple_outputs="),
        (IN_TRIGGERER | {"on_skipped_callback": print}, "would ignore on_skipped_callback="),
        (IN_TRIGGERER | {"on_success_callback": [print]}, "would ignore on_success_callback="),
        (
            IN_TRIGGERER | {"default_args": {"on_success_callback": print}},
            "would ignore on_success_callback=",
        ),
        (IN_TRIGGERER | {"post_execute": print}, "would ignore post_execute="),
        (ALL_THERE | {"pre_execute": print}, "would ignore pre_execute="),
        (ALL_THERE | {"on_execute_callback": print}, "would ignore on_execute_callback="),
    ],
)
def test_bad_arguments(arguments, words):
    """Arguments that do not go together are refused with operator, task and argument."""
    with pytest.raises(ValueError, match=words) as caught:
        VectorShiftExportSensor(task_id="wait", **{"export_id": "ex_1", **arguments})
    assert "VectorShiftExportSensor 'wait'" in str(caught.value)


@pytest.mark.airflow33
def test_a_retry_policy_would_be_lost():
    """A policy is asked on workers only, so a task that the triggerer fails cannot have one."""
    from airflow_provider_vectorshift.retry import VectorShiftRetryPolicy

    with pytest.raises(ValueError, match="would ignore retry_policy="):
        sensor("ex_1", retry_policy=VectorShiftRetryPolicy(), **IN_TRIGGERER)


def test_mail_would_be_lost():
    """Airflow mails from workers only."""
    with (
        pytest.warns(DeprecationWarning, match="email"),
        pytest.raises(ValueError, match="would ignore email="),
    ):
        sensor("ex_1", email="me@example.org", **IN_TRIGGERER)


def test_a_subclass_whose_hook_would_be_lost():
    """A hook that a subclass overrides runs on workers only, like one that is given."""

    class Telling(VectorShiftExportSensor):
        def post_execute(self, context, result=None):
            raise AssertionError("not called")

    with pytest.raises(ValueError, match="would ignore its method post_execute"):
        Telling(task_id="wait", export_id="ex_1", **IN_TRIGGERER)


def test_what_is_called_in_any_case_is_taken():
    """Airflow calls these for a task that the triggerer ends, or before the wait on a worker."""
    stored = ("on_failure_callback", "on_retry_callback", "on_execute_callback", "pre_execute")
    sensor("ex_1", **dict.fromkeys(stored, print), **IN_TRIGGERER)


@pytest.mark.airflow33
@pytest.mark.parametrize("ended", ["success", "skipped", "failed"])
def test_callbacks_of_a_task_that_the_triggerer_ends(ended):
    """What Airflow itself does: of the callbacks, it has the DAG processor call those of failures alone."""
    from airflow.callbacks.callback_requests import TaskCallbackRequest
    from airflow.utils.state import TaskInstanceState

    state = TaskInstanceState(ended)
    request = TaskCallbackRequest.model_construct(task_callback_type=state)
    assert request.is_failure_callback == (ended == "failed")


@pytest.mark.airflow33
@pytest.mark.parametrize(
    "export_id",
    [
        "ex_1",
        "{{ params.export_id }}",
        "{{ params['ti'] }}",
        "{{ dag_run.conf['export_id'] | trim }}",
        "{% if params.x %}{{ run_id }}{% endif %}",
        "{{ macros.ds_add(ds, 1) }}-{{ data_interval_end }}",
    ],
)
def test_values_that_the_triggerer_can_fill_in(export_id):
    """Literals and templates of the run's own values may start in the triggerer."""
    task = sensor(export_id, **STARTING_THERE)
    assert task.start_from_trigger
    assert task.start_trigger_args.trigger_kwargs["export_id"] == export_id


def test_an_earlier_airflow_starts_on_a_worker(emulator, export_id, monkeypatch):
    """Where triggers fill in no templates, such a sensor is started by a worker, and defers from there."""
    from airflow.triggers.base import BaseTrigger

    monkeypatch.delattr(BaseTrigger, "render_template_fields", raising=False)
    task = sensor(export_id, **STARTING_THERE)
    assert not task.start_from_trigger
    assert fired(deferral(task).trigger).payload["status"] == "ready"


@pytest.mark.parametrize(
    "export_id",
    [
        "{{ ti.xcom_pull('submit') }}",
        "{{ task_instance.xcom_pull(task_ids='submit')['task_id'] }}",
        "{{- ti . xcom_pull ( 'submit' ) -}}",
        "x{% set pull = ti.xcom_pull %}{{ pull('submit') }}",
        "{% for x in [ti] %}{{ x.xcom_pull('submit') }}{% endfor %}",
        "{{ context['ti'].xcom_pull('submit') }}",
        "{{ prev_start_date_success }}",
        "{{ inlet_events }}",
        "{{ own_macro() }}",
        "{{ params.x",
    ],
)
def test_templates_that_would_hang(export_id):
    """A template of more than the run's own values is refused where the task would start in the triggerer."""
    assert_would_hang(export_id)


UPSTREAM = {
    "itself": lambda upstream: upstream,
    "one key": lambda upstream: upstream["task_id"],
    "mapped over": lambda upstream: upstream.map(lambda found: found),
    "zipped": lambda upstream: upstream.zip(upstream),
    "in text": lambda upstream: f"{upstream}",
    "in a template": lambda upstream: "ex_{{ params.x }}" + f"{upstream}",
    "in a list": lambda upstream: [upstream],
    "in a nested list": lambda upstream: [["ex_1", f"{upstream}"]],
    "in a dict": lambda upstream: {"id": [upstream]},
}
"""The forms in which another task's result is handed over."""


@pytest.mark.parametrize("form", UPSTREAM)
def test_results_that_would_hang(dag, form):
    """So is the result of another task, in whatever form."""
    from airflow.sdk import task

    upstream = task(task_id="submit")(lambda: "ex_1")()
    assert_would_hang(UPSTREAM[form](upstream))


def assert_would_hang(export_id):
    """The sentence names operator, task and argument."""
    with pytest.raises(ValueError, match="stay deferred for ever") as caught:
        sensor(export_id, **STARTING_THERE)
    assert "VectorShiftExportSensor 'wait': export_id=" in str(caught.value)


def test_the_same_values_are_fine_on_a_worker(dag):
    """Without `start_from_trigger`, a worker fills every template in."""
    from airflow.sdk import task

    upstream = task(task_id="submit")(lambda: "ex_1")()
    waiting = sensor(upstream, **IN_TRIGGERER)
    assert waiting.upstream_task_ids == {"submit"}
    VectorShiftExportSensor(
        task_id="templated", export_id="{{ ti.xcom_pull('submit') }}", **IN_TRIGGERER
    )


def test_mapped(dag):
    """A mapped sensor may be ended by the triggerer, but starting there is refused."""
    with pytest.raises(ValueError, match="'wait': start_from_trigger= does not work with mapped"):
        VectorShiftExportSensor.partial(task_id="wait", **STARTING_THERE)
    mapped = VectorShiftExportSensor.partial(task_id="wait", **IN_TRIGGERER)
    assert mapped.expand(export_id=["ex_1", "ex_2"]).start_trigger_args is None


@pytest.mark.airflow33
def test_serialized_dag_starts_the_trigger(dag):
    """What the scheduler keeps of a task that starts in the triggerer makes its trigger there."""
    from airflow.models.trigger import Trigger
    from airflow.sdk.module_loading import import_string

    sensor("{{ params.x }}", **STARTING_THERE, soft_fail=True, complete_in_triggerer=True)
    task = stored_and_read(dag).get_task("wait")
    started = task.start_trigger_args
    stored = Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(started.trigger_kwargs))
    trigger = import_string(started.trigger_cls)(**given_to_trigger(stored))
    assert task.start_from_trigger
    assert started.timeout == timedelta(seconds=30 + 60)
    assert trigger.serialize()[1] == {
        "vectorshift_conn_id": "vectorshift_default",
        "export_id": "{{ params.x }}",
        "deadline": None,
        "timeout": 30,
        "poll_interval": 0.05,
        "longest_interval": 0.05,
        "complete_in_triggerer": True,
        "soft_fail": True,
        "do_xcom_push": True,
    }


# --- one process at a time ---


def test_ready_export_needs_no_triggerer(emulator, export_id):
    """A deferrable sensor looks once first, and ends at once when the export is ready."""
    sensor(export_id).execute({})
    emulator.reset_counters()
    assert sensor(export_id, deferrable=True).execute({}) == {
        "export_id": export_id,
        "status": "ready",
    }
    assert emulator.counters()["requests"] == {"export_poll": 1}


def test_deferral(emulator, export_id):
    """An export under way is waited for in the triggerer, with one deadline and no URL."""
    before = time.time()
    deferred = deferral(sensor(export_id, deferrable=True))
    trigger = deferred.trigger
    assert before + 30 <= trigger.deadline <= time.time() + 30
    assert deferred.timeout == timedelta(seconds=30 + 60)  # the scheduler's, if no triggerer lives
    event = fired(trigger).payload
    done = sensor(export_id, deferrable=True).execute_complete({}, event=event)
    assert done == sensor(export_id).execute({})
    assert emulator.base_url.rpartition("/")[0] not in str([event, trigger.serialize(), done])
    assert emulator.counters()["exports_created"] == 1


def test_polls_grow_rarer_up_to_the_poke_interval(emulator, export_id):
    """Deferred, the looks begin early and end up a poke interval apart."""
    trigger = deferral(sensor(export_id, deferrable=True, poke_interval=300)).trigger
    assert (trigger.poll_interval, trigger.longest_interval) == (2.0, 300.0)


def of_a_task(trigger):
    """A trigger as the triggerer prepares it: for a task, here one that nobody knows."""
    from airflow.sdk.api.datamodels._generated import TaskInstance

    trigger.task_instance = TaskInstance(
        id=uuid4(), dag_id="d", task_id="wait", run_id="r", try_number=1, dag_version_id=uuid4()
    )
    return trigger


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"timeout": 20, "execution_timeout": timedelta(seconds=600)}, AirflowSensorTimeout),
        ({"timeout": 600, "execution_timeout": timedelta(seconds=20)}, AirflowTaskTimeout),
    ],
)
def test_the_earlier_limit_holds_while_deferred(emulator, export_id, limits, error):
    """The earlier of `timeout` and `execution_timeout` is the trigger's deadline, and says how the try ends."""
    emulator.fault("export_poll", "never_ready", times=0)
    task = sensor(export_id, deferrable=True, **limits)
    deferred = deferral(task)
    assert 0 < deferred.trigger.deadline - time.time() <= 20
    assert timedelta(seconds=60) < deferred.timeout <= timedelta(seconds=80)
    late = {"status": "timeout", "export_id": export_id, "error": ""}
    with pytest.raises(error, match="20 s"):
        task.resume_execution("execute_complete", {"event": late}, {})
    soft = sensor(export_id, deferrable=True, soft_fail=True, **limits)
    with pytest.raises(AirflowSkipException):
        soft.resume_execution("execute_complete", {"event": late}, {})


def test_time_before_the_wait_counts(emulator, export_id):
    """`execution_timeout` counts from the try's start, as it does on a worker."""
    emulator.fault("export_poll", "never_ready", times=0)
    began = datetime.now(UTC) - timedelta(seconds=500)
    task = sensor(
        export_id, deferrable=True, timeout=3600, execution_timeout=timedelta(seconds=600)
    )
    instance = SimpleNamespace(start_date=began, xcom_push=lambda **_: None)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute({"ti": instance})
    assert 0 < deferred.value.trigger.deadline - time.time() <= 100


@pytest.mark.airflow33
def test_the_earlier_limit_holds_from_the_start():
    """So it does for a task that starts in the triggerer."""
    task = sensor("ex_1", execution_timeout=timedelta(seconds=20), **STARTING_THERE)
    assert task.start_trigger_args.trigger_kwargs["timeout"] == 20
    assert task.start_trigger_args.timeout == timedelta(seconds=80)


def test_no_triggerer_answers_within_the_execution_timeout(emulator):
    """When Airflow ends the deferral for the triggerer, the earlier limit says how as well."""
    from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason

    failed = {"error": TriggerFailureReason.TRIGGER_TIMEOUT}
    task = sensor("ex_1", deferrable=True, execution_timeout=timedelta(seconds=20))
    with pytest.raises(AirflowTaskTimeout):
        task.resume_execution(TRIGGER_FAIL_REPR, failed, {})


def test_assets_are_reported(emulator, export_id):
    """The assets among the outlets get the result as the extra of their events, in every mode."""
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import OutletEventAccessors

    asset = Asset("lake://events")
    for deferrable in (False, True):
        events = OutletEventAccessors()
        task = sensor(export_id, outlets=[asset], deferrable=deferrable)
        reported = {"status": "ready", "export_id": export_id, "error": ""}
        task.resume_execution("execute_complete", {"event": reported}, {"outlet_events": events})
        assert events[asset].extra == {"export_id": export_id, "status": "ready"}


def test_ended_by_the_triggerer(emulator, export_id):
    """Where no result is wanted, the trigger ends the task alone."""
    task = sensor(export_id, **IN_TRIGGERER, do_xcom_push=False)
    event = fired(of_a_task(deferral(task).trigger))
    assert type(event).__name__ == "TaskSuccessEvent"
    assert event.xcoms is None


def test_result_that_cannot_be_stored(emulator, export_id):
    """Where the triggerer cannot store the result, a worker ends the task with it."""
    task = sensor(export_id, **IN_TRIGGERER)
    event = fired(of_a_task(deferral(task).trigger))  # there is nobody here to store it
    assert type(event).__name__ == "TriggerEvent"
    result = sensor(export_id, **IN_TRIGGERER).execute_complete({}, event=event.payload)
    assert result == {"export_id": export_id, "status": "ready"}


@pytest.mark.parametrize(
    ("arguments", "ending"),
    [
        ({}, "TaskFailedEvent"),
        ({"soft_fail": True}, "TaskSkippedEvent"),
        ({"never_fail": True}, "TaskSkippedEvent"),
    ],
)
@pytest.mark.parametrize("fault", ["task_failed", "never_ready"])
def test_failure_ended_by_the_triggerer(emulator, export_id, arguments, ending, fault):
    """A failed export and a timeout end the task as failed, or as skipped where that is wanted."""
    task = sensor(export_id, **IN_TRIGGERER | arguments | {"timeout": 0.5})
    trigger = of_a_task(deferral(task).trigger)
    emulator.fault("export_poll", fault, times=0)
    assert type(fired(trigger)).__name__ == ending


@pytest.mark.parametrize("value", [None, "None", " ", 17, {"task_id": "ex_1"}, ["ex_1"]], ids=repr)
@pytest.mark.parametrize("deferrable", [False, True])
def test_rendered_to_no_id(emulator, value, deferrable):
    """An upstream task that returned something else is told to return the id alone."""
    task = sensor("ex_1", deferrable=deferrable)
    task.export_id = value  # as rendering the template leaves it
    with pytest.raises(AirflowFailException, match=r"Sensor 'wait': export_id= .* return that id"):
        task.execute({})
    assert emulator.counters()["requests"] == {}


@pytest.mark.parametrize("deferrable", [False, True])
def test_error_that_may_pass(emulator, export_id, deferrable):
    """Such an error fails a try, with `silent_fail` does not, and is waited out when deferred."""
    from vectorshift.errors import RateLimitError

    def limited():
        emulator.clear_faults()
        emulator.fault("export_poll", "status", code=429, retry_after="3600", times=1)
        return sensor(export_id, deferrable=deferrable, silent_fail=not deferrable)

    limited()
    with pytest.raises(RateLimitError):
        sensor(export_id).execute({})
    if deferrable:
        assert fired(deferral(limited()).trigger).payload["status"] == "ready"
    else:
        assert limited().execute({}) == {"export_id": export_id, "status": "ready"}


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("connection", ["vectorshift_default", "vs_elsewhere"])
def test_refused(emulator, export_id, connect, deferrable, connection):
    """A refused key and a missing connection fail at once, or skip with `soft_fail`, without the key."""
    connect(host=emulator.base_url, password="sk_wrong_key")
    arguments = {"vectorshift_conn_id": connection, "deferrable": deferrable}
    with pytest.raises(AirflowFailException, match=r"'wait': .*(401|vs_elsewhere)") as caught:
        sensor(export_id, **arguments).execute({})
    assert "sk_wrong_key" not in str(caught.value)
    with pytest.raises(AirflowSkipException):
        sensor(export_id, **arguments, soft_fail=True).execute({})


@pytest.mark.parametrize("soft_fail", [False, True])
def test_no_triggerer_answers(emulator, soft_fail):
    """When the scheduler steps in for a dead triggerer, the sensor has timed out as ever."""
    task = sensor("ex_1", deferrable=True, soft_fail=soft_fail)
    with pytest.raises(AirflowSkipException if soft_fail else AirflowSensorTimeout):
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, {})


def test_the_connection_may_be_a_template(export_id):
    """Its id is rendered; one that comes out as nothing is refused by name, for good."""
    task = sensor(export_id, vectorshift_conn_id="{{ params.account }}")
    task.render_template_fields({"params": {"account": "vectorshift_default"}})
    assert task.execute({}) == {"export_id": export_id, "status": "ready"}
    empty = sensor(export_id, vectorshift_conn_id="{{ params.account }}")
    empty.render_template_fields({"params": {"account": ""}})
    with pytest.raises(AirflowFailException, match="vectorshift_conn_id"):
        empty.execute({})
