"""Schedules: the partition that has settled, earlier ones again, and all that were missed, in one run."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from dagster_vectorshift import (
    DuckDBStorage,
    HealthTable,
    VectorShiftResource,
    build_export_asset,
    build_export_definitions,
    build_health_assets,
    build_health_definitions,
    build_health_schedule,
)
from dagster_vectorshift.schedules import newest_settled
from vectorshift_orchestration.windows.crons import settled

NIGHT = datetime(2026, 11, 23, 2, tzinfo=UTC)
TABLES = [HealthTable("one", metrics=["runs.sum"]), HealthTable("two", metrics=["errors.sum"])]


@pytest.fixture(scope="module")
def _instance(tmp_path_factory):
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("home"))) as instance:
        yield instance


@pytest.fixture
def instance(_instance):
    """An instance that has seen nothing."""
    yield _instance
    _instance.wipe()


@pytest.fixture
def asked(instance):
    """The partition ranges that a tick asks for, or why it asks for none."""

    def asked(schedule, assets, at=NIGHT):
        resources = {
            key: dg.ResourceDefinition.none_resource() for key in ("vectorshift", "storage")
        }
        defs = dg.Definitions([assets], schedules=[schedule], resources=resources)
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=at,
            repository_def=defs.get_repository_def(),
        )
        tick = schedule.evaluate_tick(context)
        return tick.skip_message or [
            (
                run.tags["dagster/asset_partition_range_start"],
                run.tags["dagster/asset_partition_range_end"],
            )
            for run in tick.run_requests
        ]

    return asked


def health(partitions_def=None, tables=TABLES, **options):
    """Two tables by day."""
    return build_health_assets(
        tables=tables,
        partitions_def=partitions_def or dg.DailyPartitionsDefinition("2026-01-01"),
        **options,
    )


def materialized(instance, *days, keys=("one", "two")):
    """Note partitions as materialized."""
    for key in keys:
        for day in days:
            instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=day))


def test_the_newest_settled_partition_is_requested(asked):
    """A tick asks for the day that ended, when that was at least the settle delay ago."""
    assets = health()
    assert asked(build_health_schedule(assets, settle=timedelta(hours=2)), assets) == [
        ("2026-11-22", "2026-11-22")
    ]
    assert asked(build_health_schedule(assets, settle=timedelta(hours=3)), assets) == [
        ("2026-11-21", "2026-11-21")
    ]


def test_earlier_partitions_are_requested_again(asked):
    """With a lookback the run reaches that many partitions further back, and not before the first."""
    assets = health()
    assert asked(build_health_schedule(assets, lookback=3), assets) == [
        ("2026-11-19", "2026-11-22")
    ]
    young = health(dg.DailyPartitionsDefinition("2026-11-21"))
    assert asked(build_health_schedule(young, lookback=3), young) == [("2026-11-21", "2026-11-22")]


def test_what_was_missed_is_caught_up_in_one_run(asked, instance):
    """After a daemon was down, one run covers the gap since the last day that every table has."""
    assets = health()
    materialized(instance, "2026-11-10", "2026-11-12")
    materialized(instance, "2026-11-15", keys=["one"])
    assert asked(build_health_schedule(assets), assets) == [
        ("2026-11-11", "2026-11-11"),
        ("2026-11-13", "2026-11-22"),
    ]
    assert asked(build_health_schedule(assets, catch_up=5), assets) == [
        ("2026-11-17", "2026-11-22")
    ]
    assert asked(build_health_schedule(assets, catch_up=0), assets) == [
        ("2026-11-22", "2026-11-22")
    ]


def test_what_failed_behind_a_finished_day_is_requested(asked, instance):
    """A night that failed or was cancelled while later ones succeeded is requested, by itself, and no finished one."""
    assets = health()
    materialized(instance, "2026-11-10", "2026-11-17", "2026-11-19", "2026-11-20", "2026-11-21")
    materialized(instance, "2026-11-16", keys=["one"])
    resources = {key: dg.ResourceDefinition.none_resource() for key in ("vectorshift", "storage")}
    failed = dg.materialize(
        [assets],
        resources=resources,
        instance=instance,
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": "2026-11-20",
            "dagster/asset_partition_range_end": "2026-11-20",
        },
    )
    assert not failed.success
    assert asked(build_health_schedule(assets), assets) == [
        ("2026-11-11", "2026-11-16"),
        ("2026-11-18", "2026-11-18"),
        ("2026-11-20", "2026-11-20"),
        ("2026-11-22", "2026-11-22"),
    ]
    assert asked(build_health_schedule(assets, lookback=1, catch_up=4), assets) == [
        ("2026-11-18", "2026-11-18"),
        ("2026-11-20", "2026-11-22"),
    ]


@pytest.mark.parametrize(
    ("end_offset", "newest"), [(-1, "2026-11-21"), (-3, "2026-11-19"), (1, "2026-11-22")]
)
def test_only_partitions_that_exist_are_requested(asked, end_offset, newest):
    """An offset that leaves out the last days leaves them out of the schedule; one that adds a day adds none that has not ended."""
    assets = health(dg.DailyPartitionsDefinition("2026-01-01", end_offset=end_offset))
    assert asked(build_health_schedule(assets), assets) == [(newest, newest)]


def test_partitions_end(asked):
    """After the last day of partitions that end there is nothing new, whatever the clock says."""
    assets = health(dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-11-20"))
    assert asked(build_health_schedule(assets), assets) == [("2026-11-19", "2026-11-19")]


@pytest.mark.parametrize("ahead", [-1, 1000])
def test_a_partition_that_does_not_exist_is_refused(ahead, instance, emulator, tmp_path):
    """A run over a day that the definition leaves out fails for good, asks for nothing and materializes nothing."""
    days = dg.DailyPartitionsDefinition("2026-01-01", end_offset=-1)
    day = str(datetime.now(UTC).date() + timedelta(days=ahead))
    resources = {
        "vectorshift": VectorShiftResource(api_key=emulator.api_key, base_url=emulator.base_url),
        "storage": DuckDBStorage(path=str(tmp_path / "health.duckdb")),
    }
    emulator.reset_counters()
    for assets in (health(days), build_export_asset("events", partitions_def=days)):
        done = dg.materialize(
            [assets],
            resources=resources,
            instance=instance,
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": day,
                "dagster/asset_partition_range_end": day,
            },
        )
        (failure,) = done.get_step_failure_events()
        assert f"Partition {day} does not exist" in str(failure.step_failure_data)
        assert not done.get_asset_materialization_events()
    assert emulator.counters()["requests"] == {}


def test_hours_are_counted_as_instants(asked):
    """In the night in which the clocks go forward the hour that has settled is requested, and not the next."""
    hours = dg.HourlyPartitionsDefinition("2026-01-01-00:00", timezone="Europe/Berlin")
    assets = health(hours, [HealthTable("one", metrics=["runs.sum"], interval="hour")])
    schedule = build_health_schedule(assets, settle=timedelta(hours=2), catch_up=0)
    for tick, hour in (
        ("2026-03-29T01:00Z", "2026-03-28-23:00"),  # 03:00 by the clock, an hour after 01:00
        ("2026-03-29T02:00Z", "2026-03-29-00:00"),
        ("2026-03-29T03:00Z", "2026-03-29-01:00"),
        ("2026-03-29T04:00Z", "2026-03-29-03:00"),
    ):
        moment = datetime.fromisoformat(tick).astimezone(ZoneInfo("Europe/Berlin"))
        assert asked(schedule, assets, moment) == [(hour, hour)]


@pytest.mark.parametrize("minutes", [30, 60, 90, 120, 150, 180, 1530])
@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("Europe/Dublin", "2026-03-26"),
        ("Africa/Casablanca", "2026-03-19"),
        ("Europe/Berlin", "2026-03-26"),
        ("America/New_York", "2026-03-05"),
        ("Europe/Berlin", "2025-10-23"),
        ("Atlantic/Azores", "2025-10-23"),
        ("Atlantic/Azores", "2026-03-26"),
    ],
)
def test_each_local_day_is_requested_once(zone, first, minutes):
    """Over a change of the clocks every tick of the real scheduler is the turn of the next day, whatever settles."""
    days = dg.DailyPartitionsDefinition("2025-01-01", timezone=zone)
    settle = timedelta(minutes=minutes)
    cron = settled(days.cron_schedule, settle)
    begin = datetime.fromisoformat(first).replace(tzinfo=ZoneInfo(zone))
    ticks = schedule_execution_time_iterator(begin.timestamp(), cron, zone)
    requested = [
        newest_settled(days, next(ticks), settle, cron).start.astimezone(ZoneInfo(zone)).date()
        for _ in range(7)
    ]
    assert [(each - requested[0]).days for each in requested] == list(range(7))


def test_another_table_renames_nothing():
    """Schedule and job are named after the first table, or as was said, cleaned as Dagster needs it."""

    def named(*tables, **options):
        defs = build_health_definitions(
            tables=[HealthTable(name, metrics=["runs.sum"]) for name in tables],
            partitions_def=dg.DailyPartitionsDefinition("2026-01-01"),
            **options,
        )
        (schedule,) = defs.schedules
        return schedule.name, schedule.job.name

    assert named("one") == named("one", "two") == ("one_schedule", "one_schedule_job")
    assert (
        named("run-health", key_prefix=["ai-ops", "v1.2"])[0] == "ai_ops_v1_2_run_health_schedule"
    )
    assert named("one", name="nightly-health")[0] == "nightly_health_schedule"
    exported = build_export_definitions(
        "run-events",
        key_prefix="ai-ops",
        two_phase=True,
        partitions_def=dg.DailyPartitionsDefinition("2026-01-01"),
    )
    assert [each.name for each in exported.schedules] == ["ai_ops_run_events_request_schedule"]
    assert [each.name for each in exported.sensors] == ["ai_ops_run_events_ready"]
    assert [each.name for each in exported.jobs] == ["ai_ops_run_events_landing"]
    assert {key for each in exported.assets for key in each.keys} == {
        dg.AssetKey(["ai-ops", "run-events"]),
        dg.AssetKey(["ai-ops", "run-events_request"]),
    }


def test_a_cap_makes_several_runs_of_a_range(asked, instance):
    """With a backfill policy of at most three partitions, a gap of ten days is four runs."""
    assets = health(backfill_policy=dg.BackfillPolicy.multi_run(3))
    materialized(instance, "2026-11-12")
    assert asked(build_health_schedule(assets), assets) == [
        ("2026-11-13", "2026-11-15"),
        ("2026-11-16", "2026-11-18"),
        ("2026-11-19", "2026-11-21"),
        ("2026-11-22", "2026-11-22"),
    ]


def test_ten_thousand_hours_are_ten_runs(asked, instance):
    """Hours that were all missed are asked for in runs of at most a thousand, without a gap."""
    hours = dg.HourlyPartitionsDefinition(f"{NIGHT - timedelta(hours=10_001):%Y-%m-%d-%H:%M}")
    assets = build_health_assets(
        tables=[HealthTable("one", metrics=["runs.sum"], interval="hour")],
        partitions_def=hours,
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1_000),
    )
    schedule = build_health_schedule(assets, settle=timedelta(0), catch_up=10_000)
    landed, *missed = hours.get_partition_keys(NIGHT)
    instance.report_runless_asset_event(dg.AssetMaterialization("one", partition=landed))
    assert len(missed) == 10_000
    assert asked(schedule, assets) == [
        (missed[first], missed[first + 999]) for first in range(0, 10_000, 1_000)
    ]


def test_nothing_is_requested_before_the_first_partition(asked):
    """Before any partition has ended the tick says so."""
    assets = health(dg.DailyPartitionsDefinition("2026-11-23"))
    assert asked(build_health_schedule(assets), assets) == "No partition has ended and settled yet."


@pytest.mark.parametrize(
    ("partitions", "settle", "cron"),
    [
        (dg.HourlyPartitionsDefinition("2026-01-01-00:00"), 15, "15 * * * *"),
        (dg.DailyPartitionsDefinition("2026-01-01"), 0, "0 0 * * *"),
        (dg.DailyPartitionsDefinition("2026-01-01"), 1530, "30 1 * * *"),
        (dg.WeeklyPartitionsDefinition("2026-01-01", day_offset=6), 1470, "30 0 * * 0"),
        (dg.MonthlyPartitionsDefinition("2026-01-01"), 2 * 1440, "0 0 3 * *"),
        (dg.MonthlyPartitionsDefinition("2026-01-01"), 29 * 1440, "0 0 1 * *"),
        (
            dg.TimeWindowPartitionsDefinition(
                start="2026-01-01", fmt="%Y-%m-%d", cron_schedule="0 0 */2 * *"
            ),
            60,
            "0 0 */2 * *",
        ),
    ],
)
def test_ticks_follow_the_partitions(partitions, settle, cron):
    """Ticks have the partitions' cadence, moved by the settle delay where cron can say so."""
    assets = health(partitions, [HealthTable("one", metrics=["runs.sum"], interval="hour")])
    schedule = build_health_schedule(assets, settle=timedelta(minutes=settle))
    assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, "UTC")


@pytest.mark.parametrize(
    "wrong", [{"lookback": -1}, {"catch_up": -1}, {"settle": timedelta(seconds=90)}]
)
def test_what_makes_no_sense_is_refused(wrong):
    """Negative numbers and parts of minutes fail when definitions load."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="whole minutes"):
        build_health_schedule(health(), **wrong)


def test_definitions_hold_what_runs_the_assets():
    """Assets come with a schedule, or with their automation condition instead of one."""
    days = dg.DailyPartitionsDefinition("2026-01-01")
    scheduled = build_health_definitions(
        tables=TABLES, partitions_def=days, schedule={"lookback": 2, "name": "nightly"}
    )
    assert [schedule.name for schedule in scheduled.schedules] == ["nightly"]
    condition = dg.AutomationCondition.on_cron("0 2 * * *")
    automated = build_health_definitions(
        tables=TABLES, partitions_def=days, automation_condition=condition
    )
    assert not automated.schedules
    (assets,) = automated.assets
    assert set(assets.automation_conditions_by_key.values()) == {condition}


# What Dagster itself calls while it evaluates conditions.
@pytest.mark.filterwarnings("ignore:.*include_sources")
@pytest.mark.parametrize(
    "condition",
    [
        dg.AutomationCondition.on_cron("0 2 * * *"),
        dg.AutomationCondition.eager(),
        dg.AutomationCondition.on_missing(),
    ],
    ids=["on_cron", "eager", "on_missing"],
)
def test_an_automation_condition_asks_for_the_newest_day(instance, condition):
    """Dagster's own conditions become true after midnight: nothing that never changes is waited for."""
    days = dg.DailyPartitionsDefinition("2026-01-01")
    defs = dg.Definitions.merge(
        build_health_definitions(
            tables=TABLES, partitions_def=days, automation_condition=condition
        ),
        build_export_definitions(
            "events", partitions_def=days, two_phase=True, automation_condition=condition
        ),
        dg.Definitions(
            resources={
                key: dg.ResourceDefinition.none_resource() for key in ("vectorshift", "storage")
            }
        ),
    )
    cursor = None
    for moment in (NIGHT - timedelta(days=1, hours=1), NIGHT + timedelta(minutes=1)):
        reported = dg.evaluate_automation_conditions(
            defs, instance, evaluation_time=moment, cursor=cursor
        )
        cursor = reported.cursor
    newest = {
        key: reported.get_requested_partitions(dg.AssetKey(key))
        for key in ("one", "two", "events_request", "events")
    }
    assert newest == {key: {"2026-11-22"} for key in ("one", "two", "events_request")} | {
        "events": set()
    }
