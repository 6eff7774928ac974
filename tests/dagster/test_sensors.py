"""The service watched without runs: what is counted, what is said, and what a tick repeats."""

import time
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from dagster_vectorshift import (
    VectorShiftResource,
    build_check_alert_sensor,
    build_error_count_check,
    build_error_count_sensor,
)
from vectorshift.errors import VectorshiftError
from vectorshift_orchestration.errors import SpecError

HOURS = dg.HourlyPartitionsDefinition("2025-01-01-00:00")


def this_hour():
    """The start of the current hour, in UTC."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def key(back):
    """The partition of an hour so many hours before the current one."""
    return f"{this_hour() - timedelta(hours=back):%Y-%m-%d-%H:%M}"


def errors(emulator, back, count, **options):
    """Failed runs in an hour so many hours before the current one."""
    emulator.burst(count, at=this_hour() - timedelta(hours=back) + timedelta(minutes=30), **options)


@pytest.fixture
def tick(blank, instance):
    """One tick of a sensor that warns above 2 errors in an hour, and fails above 10."""

    def tick(cursor=None, **options):
        texts = {"partitions_def": HOURS, "warn": 2, "error": 10, "lookback": 3}
        sensor = build_error_count_sensor("vectorshift/runs", **(texts | options))
        account = VectorShiftResource(
            api_key=blank.api_key, base_url=blank.base_url, time_precision="us"
        )
        assets = [options["target"]] if "target" in options else []
        with dg.build_sensor_context(
            instance,
            cursor=cursor,
            resources={"vectorshift": account},
            sensor_name=sensor.name,
            definitions=dg.Definitions(
                assets, sensors=[sensor], resources={"vectorshift": account}
            ),
        ) as context:
            return sensor.evaluate_tick(context)

    return tick


def evaluations(tick):
    """The evaluations of a tick: partition, severity (None when passed) and errors."""
    return [
        (
            event.metadata["vectorshift/partition"].value,
            None if event.passed else event.severity.value,
            int(event.metadata["vectorshift/observed"].value),
        )
        for event in tick.asset_events
        if isinstance(event, dg.AssetCheckEvaluation)
    ]


def test_each_window_is_observed_and_judged_without_a_run(blank, tick):
    """A first tick tells of the last hours, one request for all of them, and asks for no run."""
    errors(blank, 1, 30, error_message="quota exceeded")
    errors(blank, 2, 5)
    blank.reset_counters()
    first = tick()
    assert blank.counters()["requests"] == {"aggregations": 1, "tables": 2}
    assert evaluations(first) == [(key(3), None, 0), (key(2), "WARN", 5), (key(1), "ERROR", 30)]
    observed = [event for event in first.asset_events if isinstance(event, dg.AssetObservation)]
    assert [event.partition for event in observed] == [key(back) for back in (3, 2, 1)]
    assert [event.metadata["vectorshift/errors_sum"].value for event in observed] == [0, 5, 30]
    assert {event.asset_key for event in observed} == {dg.AssetKey(["vectorshift", "runs"])}
    assert not first.run_requests


def test_what_is_recorded_is_not_reported_again(blank, tick):
    """A second tick without news records nothing; the same tick again says the same."""
    errors(blank, 1, 30)
    first = tick()
    assert evaluations(tick(first.cursor)) == []
    assert tick(first.cursor).cursor == tick(first.cursor).cursor
    assert evaluations(tick()) == evaluations(first)


def test_late_events_change_a_window(blank, tick):
    """Events that arrive after their hour was counted make the hour news, and no other one."""
    errors(blank, 2, 2)
    cursor = tick().cursor
    errors(blank, 2, 9)
    second = tick(cursor)
    assert evaluations(second) == [(key(2), "ERROR", 11)]
    assert evaluations(tick(second.cursor)) == []


def test_a_pause_is_caught_up_with(blank, tick):
    """After a pause of a day every hour since is counted, in one request."""
    errors(blank, 20, 5)
    until = (this_hour() - timedelta(hours=24)).isoformat()
    blank.reset_counters()
    reported = evaluations(tick(f'{{"version": 1, "until": "{until}"}}'))
    assert blank.counters()["requests"]["aggregations"] == 1
    assert [partition for partition, *_ in reported] == [key(back) for back in range(27, 0, -1)]
    assert (key(20), "WARN", 5) in reported


def test_a_long_pause_is_caught_up_with_in_several_ticks(tick):
    """Thirty days of hours take two ticks, neither of which leaves an hour out."""
    cursor = f'{{"version": 1, "until": "{(this_hour() - timedelta(days=30)).isoformat()}"}}'
    seen = []
    for _ in range(2):
        result = tick(cursor)
        seen += [partition for partition, *_ in evaluations(result)]
        cursor = result.cursor
    assert seen == [key(back) for back in range(30 * 24 + 3, 0, -1)]
    assert evaluations(tick(cursor)) == []


@pytest.mark.parametrize(
    "cursor",
    ["", "no cursor", "[]", "12", '{"version": 1, "until": "2199-01-01T00:00:00+00:00"}'],
)
def test_an_unusable_cursor_begins_again(blank, tick, cursor):
    """What cannot be read, and what lies in the future, is as no cursor: the last hours are reported."""
    errors(blank, 1, 30)
    assert evaluations(tick(cursor)) == evaluations(tick()) != []


def test_a_cursor_of_another_version_loses_no_time(blank, tick):
    """A cursor that a newer release wrote still says until when everything is known."""
    until = (this_hour() - timedelta(hours=9)).isoformat()
    reported = evaluations(tick(f'{{"version": 7, "until": "{until}", "more": []}}'))
    assert reported[0][0] == key(12)


def test_the_current_hour_is_reported_early_when_it_is_a_partition(blank, tick):
    """With `end_offset=1` the hour that goes on is counted, and told again only when it changes."""
    now = dg.HourlyPartitionsDefinition("2025-01-01-00:00", end_offset=1)
    blank.burst(3)
    first = tick(partitions_def=now)
    current = evaluations(first)[-1]
    assert current[1:] == ("WARN", 3)
    blank.burst(10)
    second = tick(first.cursor, partitions_def=now)
    assert [each[1:] for each in evaluations(second)] == [("ERROR", 13)]
    assert evaluations(tick(second.cursor, partitions_def=now)) == []


def test_runs_are_requested_once_for_each_state_of_a_window(blank, tick):
    """With a target, a limit that is passed asks for the hour's partition; its key has hour and figures."""

    @dg.asset(partitions_def=HOURS)
    def hourly() -> None: ...

    errors(blank, 2, 5)
    first = tick(target=hourly)
    (requested,) = first.run_requests
    assert not first.asset_events
    assert requested.partition_key == key(2)
    assert requested.run_key.startswith("vectorshift_runs_error_count:")
    assert requested.run_key.endswith(":WARN.5.5")
    assert tick(first.cursor, target=hourly).run_requests == []
    assert [each.run_key for each in tick(target=hourly).run_requests] == [requested.run_key]
    errors(blank, 2, 9)
    (again,) = tick(first.cursor, target=hourly).run_requests
    assert again.partition_key == requested.partition_key
    assert again.run_key != requested.run_key


def test_a_failing_service_fails_the_tick(blank, tick):
    """A tick whose request fails raises, so its cursor stays and the next tick asks again."""
    blank.fault("aggregations", "status", code=401, times=0)
    with pytest.raises(VectorshiftError):
        tick()
    blank.clear_faults()
    assert len(evaluations(tick())) == 3


def test_a_service_that_hangs_is_given_up_in_time(blank, tick):
    """A request that is not answered ends with the tick's time, long before the account's own limit."""
    blank.fault("aggregations", "hang", times=0)
    start = time.monotonic()
    with pytest.raises(VectorshiftError):
        tick(time_budget=0.3)
    assert time.monotonic() - start < 5


def test_partitions_that_have_not_begun_are_not_windows(tick):
    """Before the first window has ended there is nothing to count."""
    later = dg.HourlyPartitionsDefinition("2190-01-01-00:00")
    assert "No window" in tick(partitions_def=later).skip_message


def test_limits_are_needed():
    """A sensor without a limit fails where it is written."""
    with pytest.raises(SpecError, match="needs a limit"):
        build_error_count_sensor("runs", partitions_def=HOURS)


def test_bursts_are_alerted_once_however_often_ticks_are_repeated(blank, instance, tick):
    """From two bursts to two alerts: both sensors may repeat their ticks, the alerts do not repeat."""
    errors(blank, 1, 30, error_message="quota exceeded")
    errors(blank, 3, 30)
    reported = []
    alerts = build_check_alert_sensor(reported.append)
    for _ in range(3):
        for event in tick().asset_events:  # what the daemon does with a tick's result
            instance.report_runless_asset_event(event)
        alerts.evaluate_tick(dg.build_sensor_context(instance))
    assert [alert.partition for alert in reported] == [key(3), key(1)]
    alert = reported[1]
    assert (alert.partition, alert.severity, alert.observed, alert.limit) == (
        key(1),
        "ERROR",
        30,
        10,
    )
    assert alert.top_errors == (("quota exceeded", 30),)


def test_the_check_that_is_evaluated_can_be_declared():
    """The same words make the sensor and the check that it evaluates, in definitions that load."""
    limits = {"warn": 2, "error": 10}
    defs = dg.Definitions(
        assets=[dg.AssetSpec("runs", partitions_def=HOURS)],
        asset_checks=[build_error_count_check("runs", **limits)],
        sensors=[build_error_count_sensor("runs", partitions_def=HOURS, **limits)],
        resources={"vectorshift": VectorShiftResource(api_key=dg.EnvVar("VECTORSHIFT_API_KEY"))},
    )
    dg.Definitions.validate_loadable(defs)
    assert defs.resolve_sensor_def("runs_error_count").required_resource_keys == {"vectorshift"}
