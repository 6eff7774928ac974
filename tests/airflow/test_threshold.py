"""VectorShiftThresholdCheckOperator: verdicts, what they do to the task, and what they tell."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift.operators import (
    VectorShiftThresholdBreached,
    VectorShiftThresholdCheckOperator,
)
from tests.airflow.measuring import Measurements
from tests.airflow.running import last_day, stored_and_read
from vectorshift import Analytics
from vectorshift.errors import RateLimitError
from vectorshift_orchestration import Absolute, Baseline, Change, Rate

DAY = last_day()
NOON = DAY.start + timedelta(hours=12)
UNTIL = {"start": DAY.start, "end": DAY.end}
OVER_TEN = Absolute(metric="errors.sum", warn=5, error=10)
QUERY = Analytics.query(object_type="pipeline")


def check(**arguments):
    """The operator, about the pipelines' last complete day."""
    return VectorShiftThresholdCheckOperator(
        task_id="check", **{"rule": OVER_TEN, "query": QUERY, **UNTIL, **arguments}
    )


@pytest.fixture
def run(tmp_path, monkeypatch, metadata_database):
    """Runs a DAG of tasks that measure."""
    return Measurements(tmp_path, monkeypatch)


@pytest.fixture
def failures(emulator):
    """Makes the last complete day have so many failed runs more."""

    def burst(count, error_message="quota exceeded"):
        emulator.burst(count, at=NOON, object_id="pl_1", error_message=error_message)

    return burst


def test_within_the_limits(emulator):
    """A figure within the limits passes, and the result says so in JSON values."""
    verdict = check(rule=Absolute(metric="errors.sum", error=1_000)).execute({})
    assert verdict == json.loads(json.dumps(verdict))
    assert (verdict["ok"], verdict["state"], verdict["severity"]) == (True, "ok", None)
    assert (verdict["limit"], verdict["top_errors"]) == (1_000, [])
    assert verdict["window"] == DAY.to_dict()
    assert emulator.counters()["requests"] == {"aggregations": 1}


@pytest.mark.airflow
def test_breach_fails_at_once_and_is_reported(emulator, failures, run):
    """In a DAG run with retries, a breach fails the first try; result and notifier have the verdict."""
    failures(20)
    done = run(
        strict={
            "class": "VectorShiftThresholdCheckOperator",
            "rule": OVER_TEN.to_dict() | {"error": "{{ 5 + 5 }}"},
            "query": QUERY.to_dict(),
            "message": "{{ dag.dag_id }}: {{ '%g' | format(observed) }} > {{ limit }} {{ severity }} on {{ window.start }}, "
            "{{ rule.metric }}, {{ top_errors[0].count }} x {{ top_errors[0].message }}",
            "retries": 1,
        },
        mild={
            "class": "VectorShiftThresholdCheckOperator",
            "rule": OVER_TEN.to_dict(),
            "query": QUERY.to_dict(),
            "fail_on": "never",
        },
    )
    assert done.state == "failed"
    observed = emulator.truth(
        "SELECT count(*) AS errors FROM events WHERE is_run AND status = 'failure' "
        f"AND entity = 'pipeline' AND start_time >= TIMESTAMP '{DAY.start:%F %T}' "
        f"AND start_time < TIMESTAMP '{DAY.end:%F %T}'"
    )[0]["errors"]
    strict, mild = done.results["strict"], done.results["mild"]
    assert (strict["ok"], strict["severity"], strict["observed"]) == (False, "ERROR", observed)
    text = f"measurements: {observed} > 10.0 ERROR on {DAY.to_dict()['start']}, errors.sum, 20 x quota exceeded"
    assert strict["message"] == text
    assert done.errors == [("VectorShiftThresholdBreached", text)]
    assert strict | {"message": ""} == mild | {"message": ""}
    assert f"errors.sum is {observed}: past the ERROR limit of 10" in mild["message"]
    assert "20 x quota exceeded" in mild["message"]


@pytest.mark.parametrize(
    ("fail_on", "count", "fails"),
    [
        ("error", 7, False),
        ("error", 20, True),
        ("warn", 7, True),
        ("warn", 20, True),
        ("never", 20, False),
    ],
)
def test_what_fails(failures, capfd, fail_on, count, fails):
    """`fail_on` says which limit fails the task; a breach that does not is logged as a warning."""
    failures(count)
    pushed = {}

    class Task:
        def xcom_push(self, key, value):
            pushed[key] = value

    task = check(fail_on=fail_on)
    if fails:
        with pytest.raises(VectorShiftThresholdBreached, match="past the") as caught:
            task.execute({"ti": Task()})
        assert issubclass(caught.type, AirflowFailException)
        assert pushed["return_value"]["message"] == str(caught.value)
    else:
        verdict = task.execute({})
        assert verdict["severity"] == ("ERROR" if count == 20 else "WARN")
        assert not verdict["ok"]
        lines = capfd.readouterr().out.splitlines()
        assert [line for line in lines if "[warning" in line and "past the" in line]


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [({}, {"return_value"}), ({"do_xcom_push": False}, set()), ({"multiple_outputs": True}, None)],
    ids=["as ever", "do_xcom_push=False", "multiple_outputs=True"],
)
def test_results_of_a_task_that_fails(failures, arguments, keys):
    """A failing check pushes what Airflow would have pushed for it, had it succeeded."""
    failures(20)
    pushed = {}
    task = SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))
    with pytest.raises(VectorShiftThresholdBreached):
        check(**arguments).execute({"ti": task})
    verdict = check(**arguments, fail_on="never").execute({})
    assert set(pushed) == ({*verdict, "return_value"} if keys is None else keys)
    assert all(value == verdict[key] for key, value in pushed.items() if key != "return_value")


@pytest.mark.parametrize(
    "rule",
    [
        Rate(error=0.5, minimum_sample=10_000),
        Baseline(metric="errors.sum", error=3, windows=5, minimum_windows=5, minimum_sample=10_000),
    ],
)
def test_too_little_to_judge(emulator, rule):
    """Too few runs are not a breach: the task passes, and says that it could not judge."""
    verdict = check(rule=rule).execute({})
    assert (verdict["ok"], verdict["state"]) == (True, "insufficient_data")
    assert verdict["message"].startswith("Too little to judge")


def test_rules_that_look_back(emulator, failures):
    """A change and a baseline come with one request, the windows before included, also by local days."""
    failures(60)
    for rule in (Change(metric="errors.sum", error=2), Baseline(metric="errors.sum", error=5)):
        verdict = check(rule=rule, fail_on="never").execute({})
        assert (verdict["ok"], verdict["rule"]) == (False, rule.to_dict())
    assert emulator.counters()["requests"]["aggregations"] == 2
    local = check(
        rule=Change(metric="errors.sum", error=2),
        fail_on="never",
        start=DAY.start - timedelta(hours=9),
        end=DAY.end - timedelta(hours=9),
        every="day",
        timezone="Asia/Tokyo",
    ).execute({})
    assert not local["ok"]


def test_money_is_json(emulator):
    """A rule about costs gives plain numbers."""
    verdict = check(rule=Absolute(metric="model_costs.sum", error=0), fail_on="never").execute({})
    assert json.loads(json.dumps(verdict))["observed"] > 0


def test_no_messages_is_still_an_alert(emulator, failures):
    """When the error messages cannot be read, the breach is reported without them."""
    failures(20)
    emulator.fault("tables", "status", code=403, times=0)
    verdict = check(fail_on="never").execute({})
    assert (verdict["severity"], verdict["top_errors"]) == ("ERROR", [])


def test_message_with_an_unknown_name(emulator, failures):
    """A message that names what there is not fails the task, and does not lose the verdict."""
    failures(20)
    with pytest.raises(
        AirflowFailException, match=r"message= cannot be rendered.*'observd'.*past the"
    ):
        check(message="{{ observd + 1 }}").execute({})


def test_passing_errors_are_for_retries(emulator):
    """A limit of the service fails the try only; a refused key fails the task."""
    emulator.fault("aggregations", "status", code=429, retry_after="3600", times=0)
    with pytest.raises(RateLimitError):
        check().execute({})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rule": {"rule": "absolut", "error": 1}}, "rule=.*Did you mean absolute"),
        ({"rule": {"rule": "absolute", "metric": "erors.sum", "error": 1}}, "rule=.*errors"),
        ({"rule": {"rule": "absolute", "metric": "errors.sum"}}, "rule=.*needs a limit"),
        ({"rule": 5}, "rule=.*not by 5"),
        ({"fail_on": "always"}, "fail_on=.*never"),
        ({"every": "days"}, "every=.*Did you mean day"),
        ({"timezone": "Europe/Berln"}, "timezone=.*Did you mean Europe/Berlin"),
        ({"vectorshift_conn_id": ""}, "vectorshift_conn_id= is the id"),
        ({"message": "{{ reason"}, "message= is not a Jinja template"),
        ({"message": 5}, "message= is a Jinja template, not 5"),
        ({"query": QUERY.where(status="failure")}, "query=.*data column"),
    ],
)
def test_bad_arguments(arguments, words):
    """What cannot work is refused where the DAG is read, with operator and argument."""
    with pytest.raises(ValueError, match=words) as caught:
        check(**arguments)
    assert "VectorShiftThresholdCheckOperator 'check'" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"rule": {"rule": "absolute", "metric": "errors.sum", "error": "{{ x }}"}},
            "rule=.*{{ x }}",
        ),
        (
            {"rule": Change(metric="errors.sum", warn=1), "every": "{{ 'days' }}"},
            "Interval .* does not exist",
        ),
        (
            {"rule": Change(metric="errors.sum", warn=1), "start": NOON + timedelta(minutes=1)},
            "hours",
        ),
        ({"start": None}, "no data interval"),
        ({"vectorshift_conn_id": "vs_elsewhere"}, "vs_elsewhere"),
    ],
)
def test_bad_at_run_time(emulator, arguments, words):
    """What only shows when the task runs fails it without retries, before any request."""
    with pytest.raises(AirflowFailException, match=words):
        check(**arguments).execute({})
    assert emulator.counters()["requests"] == {}


def test_serialized_round_trip():
    """A DAG with the check, plain and mapped over rules, serializes to JSON and back."""
    from airflow.sdk import DAG

    with DAG(dag_id="d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        VectorShiftThresholdCheckOperator(task_id="plain", rule=OVER_TEN)
        VectorShiftThresholdCheckOperator.partial(task_id="mapped", query=QUERY.to_dict()).expand(
            rule=[OVER_TEN.to_dict(), Rate(error=0.5).to_dict()]
        )
    again = stored_and_read(dag)
    assert again.get_task("plain").rule == OVER_TEN.to_dict()
    mapped = again.get_task("mapped")
    assert [each["rule"] for each in mapped.expand_input.value["rule"]] == ["absolute", "rate"]
