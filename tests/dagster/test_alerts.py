"""Failed checks become alerts: each once, none lost, whatever happens to the cursor or the channel."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
import pytest

from dagster_vectorshift import (
    Alert,
    VectorShiftResource,
    build_check_alert_sensor,
    build_error_rate_check,
)
from tests.days import MIDNIGHT

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
YESTERDAY = MIDNIGHT.date() - timedelta(days=1)


@pytest.fixture
def files(tmp_path):
    """An instance with Dagster's default storage, in which every run has a file of its own."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def evaluate(instance):
    """Records an evaluation without a run."""

    def evaluate(
        passed=False,
        asset="health",
        check="error_rate",
        partition=None,
        severity=ERROR,
        metadata=None,
    ):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                dg.AssetKey.from_user_string(asset),
                check,
                passed=passed,
                partition=partition,
                severity=severity,
                metadata=metadata,
            )
        )

    return evaluate


@pytest.fixture
def told():
    """The alerts that arrived, in order."""
    return []


@pytest.fixture
def tick(instance, told):
    """One tick of an alert sensor, and the cursor after it."""

    def tick(cursor=None, notify=None, where_to_look=instance, **options):
        sensor = build_check_alert_sensor(notify or told.append, **options)
        context = dg.build_sensor_context(where_to_look, cursor=cursor)
        return sensor.evaluate_tick(context).cursor

    return tick


def places(alerts):
    """What the alerts are about, in short."""
    return [(each.check, each.partition, each.severity) for each in alerts]


def test_an_alert_says_what_the_check_saw(blank, instance, tick, told):
    """Asset, check, partition, severity, window, figures and messages arrive as they were measured."""
    days = dg.DailyPartitionsDefinition("2025-01-01")
    noon = datetime.combine(YESTERDAY, datetime.min.time(), UTC) + timedelta(hours=12)
    blank.burst(30, at=noon, error_message="quota exceeded")
    health = dg.asset(lambda: None, name="health", key_prefix="vectorshift", partitions_def=days)
    account = VectorShiftResource(api_key=blank.api_key, base_url=blank.base_url)
    run = dg.materialize(
        [health, build_error_rate_check(health, warn=0.05, error=0.2)],
        instance=instance,
        partition_key=str(YESTERDAY),
        resources={"vectorshift": account},
    )
    tick()
    (alert,) = told
    displayed = alert.to_dict()
    assert datetime.fromisoformat(displayed.pop("evaluated_at")) == alert.evaluated_at
    assert displayed.pop("dedup_key").startswith(
        f"vectorshift/health|error_rate|{YESTERDAY}|ERROR|"
    )
    assert displayed.pop("reason").endswith("past the ERROR limit of 0.2.")
    assert displayed == {
        "asset": "vectorshift/health",
        "check": "error_rate",
        "partition": str(YESTERDAY),
        "severity": "ERROR",
        "run_id": run.run_id,
        "window": {
            "start": f"{YESTERDAY}T00:00:00Z",
            "end": f"{YESTERDAY + timedelta(days=1)}T00:00:00Z",
        },
        "observed": 1.0,
        "limit": 0.2,
        "sample": 30,
        "top_errors": [{"message": "quota exceeded", "count": 30}],
        "title": f"ERROR: error_rate of vectorshift/health [{YESTERDAY}]",
    }
    assert json.loads(json.dumps(alert.to_dict())) == alert.to_dict()


def test_a_check_of_somebody_else_is_reported_as_well(instance, tick, told):
    """A check that knows nothing of us has no figures, and its alert says so."""

    @dg.asset
    def table() -> None: ...

    @dg.asset_check(asset=table)
    def has_rows() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description="no rows", metadata={"rows": 0})

    dg.materialize([table, has_rows], instance=instance)
    tick()
    (alert,) = told
    assert (alert.asset, alert.check, alert.reason) == ("table", "has_rows", "no rows")
    assert (alert.observed, alert.limit, alert.window, alert.top_errors) == (None, None, None, ())


def test_passed_checks_are_not_told(evaluate, tick, told):
    """A check that passes is not an alert, and the tick says that there was none."""
    evaluate(passed=True)
    tick()
    assert told == []


@pytest.mark.parametrize(
    "cursor",
    [
        None,
        "",
        "17",
        "no cursor at all",
        '{"version": 1}',
        '{"version": 1, "until": "yesterday"}',
        '{"version": 1, "until": "2026-01-01T00:00:00"}',
        '{"version": 1, "until": "2199-01-01T00:00:00+00:00"}',
        '{"version": 99, "until": "2026-01-01T00:00:00+00:00", "told": 5}',
        "[]",
    ],
)
def test_no_cursor_loses_or_repeats_an_alert(evaluate, tick, told, cursor):
    """Whatever the cursor is (none, garbage, an id, of the future, of another version), all is reported once."""
    evaluate(partition="a")
    evaluate(partition="b", severity=WARN)
    tick(cursor)
    assert places(told) == [("error_rate", "a", "ERROR"), ("error_rate", "b", "WARN")]
    tick(cursor)
    assert len(told) == 2


def test_a_repeated_tick_reports_nothing_again(evaluate, tick, told):
    """The same cursor twice, and the next one, find nothing that was not reported."""
    start = tick()
    evaluate()
    after = tick(start)
    tick(start)
    tick(after)
    assert len(told) == 1


def test_trouble_that_goes_on_is_reported_once(evaluate, tick, told):
    """A check that fails again and again is one alert; a worse severity is another, a better one is not."""
    cursor = None
    for severity in (WARN, WARN, ERROR, ERROR, WARN):
        evaluate(severity=severity)
        cursor = tick(cursor)
    assert [each.severity for each in told] == ["WARN", "ERROR"]


def test_trouble_that_comes_back_is_reported_again(evaluate, tick, told):
    """After the check has passed, the next failure is a new alert with a key of its own."""
    cursor = None
    for passed in (False, True, False, False):
        evaluate(passed=passed)
        cursor = tick(cursor)
    assert len({each.dedup_key for each in told}) == len(told) == 2
    tick(None)
    assert len(told) == 2


def test_partitions_and_checks_have_troubles_of_their_own(evaluate, tick, told):
    """The same check on another partition, and another check, are reported by themselves."""
    for partition, check in (("a", "one"), ("b", "one"), ("a", "two"), (None, "one")):
        evaluate(partition=partition, check=check)
    tick()
    assert len({each.place for each in told}) == 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"severity": "ERROR"}, {"1", "3", "4"}),
        ({"assets": ["a/b"]}, {"1", "2"}),
        ({"assets": [dg.AssetSpec("c")]}, {"3", "4"}),
        ({"checks": ["latency_p95"]}, {"4"}),
        ({"where": lambda alert: alert.partition > "2"}, {"3", "4"}),
        ({"assets": []}, set()),
    ],
)
def test_alerts_can_be_chosen(evaluate, tick, told, options, expected):
    """By severity, asset, check and anything that an alert says, partition included."""
    evaluate(asset="a/b", partition="1")
    evaluate(asset="a/b", partition="2", severity=WARN)
    evaluate(asset="c", partition="3")
    evaluate(asset="c", partition="4", check="latency_p95")
    tick(**options)
    assert {each.partition for each in told} == expected


def test_an_alert_that_cannot_be_sent_is_tried_again(evaluate, tick, told):
    """The tick fails and is seen to; the others are reported meanwhile, once, and this one in the end."""
    for partition in "abc":
        evaluate(partition=partition)
    broken = True

    def notify(alert):
        if broken and alert.partition == "b":
            raise ConnectionError("the channel is down")
        told.append(alert)

    for _ in range(2):
        with pytest.raises(ExceptionGroup, match="1 alerts could not be sent"):
            tick(notify=notify)
    assert [each.partition for each in told] == ["a", "c"]
    broken = False
    tick(notify=notify)
    assert [each.partition for each in told] == ["a", "c", "b"]


@pytest.mark.parametrize("answer", [False, 0, ""])
def test_a_channel_that_says_no_has_not_taken_the_alert(evaluate, tick, told, answer):
    """A false result, as Apprise gives it instead of an error, is a failure; None and true ones are not."""
    evaluate()
    with pytest.raises(ExceptionGroup, match="1 alerts could not be sent") as failed:
        tick(notify=lambda alert: answer)
    assert repr(answer) in str(failed.value.exceptions[0])
    tick(notify=lambda alert: told.append(alert) or True)
    tick()
    assert len(told) == 1


def test_a_backfill_of_old_days_stays_silent(evaluate, tick, told):
    """With `max_age` only what ended lately is reported; without it, everything is."""
    now = datetime.now(UTC).replace(microsecond=0)
    for partition, days in (("old", 40), ("new", 1)):
        window = {
            f"vectorshift/window_{edge}": dg.MetadataValue.timestamp(
                now - timedelta(days=days, hours=hours)
            )
            for edge, hours in (("start", 24), ("end", 0))
        }
        evaluate(partition=partition, metadata=window)
    evaluate(partition="no window")
    tick(max_age=timedelta(days=3))
    assert [each.partition for each in told] == ["new", "no window"]
    tick()
    assert {each.partition for each in told} == {"new", "no window", "old"}


def test_a_crash_right_after_sending_repeats_the_same_key(evaluate, tick, told):
    """When nobody noted that an alert was sent it is sent again, recognizable by its key."""

    class Crash(BaseException):
        """Ends the process, as far as the sensor can see."""

    def crash(alert):
        told.append(alert)
        raise Crash

    evaluate()
    with pytest.raises(Crash):
        tick(notify=crash)
    tick()
    tick()
    assert len(told) == 2
    assert told[0] == told[1]
    assert told[0].dedup_key == told[1].dedup_key


def test_a_tick_out_of_time_leaves_the_rest_to_the_next(evaluate, tick, told):
    """With no time at all one alert is sent in each tick, oldest first, and none is lost."""
    for partition in "abc":
        evaluate(partition=partition)
    cursor = tick(time_budget=0)
    assert [each.partition for each in told] == ["a"]
    cursor = tick(cursor, time_budget=0)
    tick(cursor, time_budget=0)
    assert [each.partition for each in told] == ["a", "b", "c"]


def test_two_sensors_report_independently(evaluate, tick, told):
    """What one channel has received, another one has not."""
    evaluate()
    tick(name="pager")
    tick(name="chat")
    tick(name="pager")
    assert len(told) == 2


def test_a_new_sensor_does_not_report_old_times(evaluate, tick, told):
    """A sensor without a cursor looks back as far as it was told to."""
    evaluate()
    tick(lookback=timedelta(minutes=-6))
    assert told == []
    tick()
    assert len(told) == 1


@pytest.mark.slow
def test_runs_of_any_length_are_reported(files, tick, told):
    """With SQLite ids begin again in every run: a short run after a long one is not overlooked."""
    steps = [dg.asset(lambda: None, name=f"step_{n}") for n in range(4)]

    def failing(asset):
        @dg.asset_check(asset=asset, name=f"check_{asset.key.path[-1]}")
        def check() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=False)

        return check

    long_last, short = failing(steps[3]), failing(steps[0])
    dg.materialize([*steps, long_last], instance=files)
    cursor = tick(where_to_look=files)
    dg.materialize([steps[0], short], instance=files)
    tick(cursor, where_to_look=files)
    assert [each.check for each in told] == ["check_step_3", "check_step_0"]


@pytest.mark.slow
def test_a_check_is_reported_while_its_run_goes_on(files, tick, told):
    """The alert does not wait for the end of the run, and is not lost when the cursor has moved on."""
    look = partial(tick, where_to_look=files)

    @dg.asset
    def first() -> None: ...

    @dg.asset_check(asset=first)
    def fails() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    @dg.asset(deps=[first])
    def second() -> None:
        look(look())

    @dg.asset_check(asset=second)
    def later() -> dg.AssetCheckResult:
        look(look())
        return dg.AssetCheckResult(passed=False)

    dg.materialize([first, fails, second, later], instance=files)
    look(look())
    assert {each.check for each in told} == {"fails", "later"}
    assert len(told) == 2


def test_what_was_sent_can_be_seen(instance, evaluate, tick):
    """Every alert is an observation of the sensor's own asset, and of nothing that is checked."""
    evaluate(partition="a")
    tick(name="pager")
    key = dg.AssetKey(["vectorshift_alerts", "pager"])
    (record,) = instance.fetch_observations(key, limit=10).records
    assert record.asset_observation.metadata["vectorshift/alert"].value["partition"] == "a"
    assert instance.fetch_observations(dg.AssetKey("health"), limit=1).records == []


def test_an_alert_is_a_value():
    """Two alerts of the same evaluation are equal, and their keys with them."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert Alert("a", "b", None, "WARN", at) == Alert("a", "b", None, "WARN", at)
    assert Alert("a", "b", None, "WARN", at).title == "WARN: b of a"
