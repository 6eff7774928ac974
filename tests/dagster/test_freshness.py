"""Whether the latest partition arrived in time, whatever else was materialized."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from dagster_vectorshift import build_health_freshness_checks, build_health_freshness_policy

DAYS = dg.DailyPartitionsDefinition("2025-01-01")
HOUR = timedelta(hours=1)


def deadline(partitions_def, **options):
    """The cron expression of the checks of one asset, and its time zone."""
    (check,) = build_health_freshness_checks(["health"], partitions_def=partitions_def, **options)
    (spec,) = check.check_specs
    reported = spec.metadata["dagster/freshness_params"].value
    return reported["deadline_cron"], reported["timezone"]


@pytest.mark.parametrize(
    ("partitions_def", "delay", "cron"),
    [
        (DAYS, None, "0 4 * * *"),
        (DAYS, timedelta(minutes=150), "30 2 * * *"),
        (dg.DailyPartitionsDefinition("2025-01-01", hour_offset=6), 2 * HOUR, "0 8 * * *"),
        (dg.HourlyPartitionsDefinition("2025-01-01-00:00"), None, "30 * * * *"),
        (dg.HourlyPartitionsDefinition("2025-01-01-00:00"), HOUR / 4, "15 * * * *"),
        (dg.WeeklyPartitionsDefinition("2025-01-01", day_offset=1), None, "0 4 * * 1"),
        (dg.WeeklyPartitionsDefinition("2025-01-01"), 30 * HOUR, "0 6 * * 1"),
        (dg.MonthlyPartitionsDefinition("2025-01-01"), 50 * HOUR, "0 2 3 * *"),
    ],
)
def test_a_partition_is_due_a_while_after_its_end(partitions_def, delay, cron):
    """The deadline comes once for each partition, `delay` after its end, in the partitions' zone."""
    assert deadline(partitions_def, delay=delay) == (cron, "UTC")


def test_a_deadline_is_local_time():
    """Days of a zone are due by its clocks."""
    days = dg.DailyPartitionsDefinition("2025-01-01", timezone="America/New_York")
    assert deadline(days) == ("0 4 * * *", "America/New_York")


@pytest.mark.parametrize(
    ("partitions_def", "delay", "message"),
    [
        (DAYS, timedelta(0), "positive"),
        (DAYS, timedelta(days=1), "shorter delay"),
        (dg.MonthlyPartitionsDefinition("2025-01-01"), timedelta(days=28), "shorter delay"),
        (
            dg.TimeWindowPartitionsDefinition(
                start="2025-01-01-00:00", fmt="%Y-%m-%d-%H:%M", cron_schedule="0 */6 * * *"
            ),
            None,
            "deadline_cron of your own",
        ),
    ],
)
def test_unusable_delays_and_cadences_are_refused(partitions_def, delay, message):
    """What has no deadline fails where it is written, with the way out."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        build_health_freshness_checks(["health"], partitions_def=partitions_def, delay=delay)


@pytest.mark.parametrize(("back", "passed"), [(0, True), (1, False)])
def test_only_the_partition_that_is_due_counts(instance, back, passed):
    """An older day that was materialized a moment ago does not make the asset fresh."""
    ended = datetime.now(UTC) - 3 * HOUR
    days = dg.DailyPartitionsDefinition("2025-01-01", hour_offset=ended.hour)
    health = dg.asset(lambda: None, name="health", partitions_def=days)
    checks = build_health_freshness_checks([health], partitions_def=days, delay=HOUR)
    look = dg.define_asset_job("look", dg.AssetSelection.checks(*checks))
    job = dg.Definitions([health], asset_checks=checks, jobs=[look]).resolve_job_def("look")
    key = days.get_partition_keys()[-1 - back]
    instance.report_runless_asset_event(dg.AssetMaterialization("health", partition=key))
    (result,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert result.passed == passed
    assert result.severity is dg.AssetCheckSeverity.WARN


@pytest.mark.parametrize(
    ("partitions_def", "fail", "warn"),
    [
        (DAYS, 28 * HOUR, 26 * HOUR),
        (dg.HourlyPartitionsDefinition("2025-01-01-00:00"), 1.5 * HOUR, 1.25 * HOUR),
        (dg.MonthlyPartitionsDefinition("2026-02-01"), 748 * HOUR, 746 * HOUR),
        (
            dg.DailyPartitionsDefinition("2026-02-01", timezone="Europe/Berlin"),
            29 * HOUR,
            27 * HOUR,
        ),
        (
            dg.WeeklyPartitionsDefinition("2026-02-01", timezone="America/New_York"),
            173 * HOUR,
            171 * HOUR,
        ),
    ],
)
def test_a_policy_waits_for_a_partition_and_a_delay(partitions_def, fail, warn):
    """The asset may be as old as the widest partition is long, and a delay more."""
    policy = build_health_freshness_policy(partitions_def)
    assert (policy.fail_window.to_timedelta(), policy.warn_window.to_timedelta()) == (fail, warn)
    assert dg.AssetSpec("health", freshness_policy=policy).freshness_policy == policy
