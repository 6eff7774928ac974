"""When partitions are materialized: after they have settled, again for late events, and all that
were missed while nothing ran."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import dagster as dg

from dagster_vectorshift._documents import Document, OptionalText, minutes, stated
from dagster_vectorshift._options import takes
from vectorshift_orchestration.windows.crons import settled

_MINUTE = timedelta(minutes=1)
_HALF_DAY = timedelta(hours=12)
_MOMENT = timedelta(seconds=1)
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")

RUNNING = dg.Resolver(
    lambda context, running: (
        dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
    ),
    model_field_name="running",
    model_field_type=bool,
)


@dataclass(frozen=True, kw_only=True)
class Schedule(Document):
    """When partitions are materialized.

    name: the schedule's name; its job is named like it with `_job`.
    settle: how long after its end a partition is let alone, whole minutes. Its last runs end and its
        last events arrive in that time.
    lookback: how many earlier partitions each tick writes again.
    catch_up: how many partitions back it looks for missed ones; 0 is not at all.
    cron_schedule: when to tick, in the partitions' time zone; by default at the partitions' cadence,
        moved by `settle`.
    default_status: RUNNING starts the schedule with the code location.
    """

    name: OptionalText = None
    settle: Annotated[timedelta, minutes("settle_minutes")] = timedelta(0)
    lookback: int = 0
    catch_up: int = 31
    cron_schedule: OptionalText = None
    default_status: Annotated[dg.DefaultScheduleStatus, RUNNING] = dg.DefaultScheduleStatus.STOPPED

    def __post_init__(self) -> None:
        """Raise `dg.DagsterInvalidDefinitionError` for what is not a number of its kind."""
        if not isinstance(self.settle, timedelta):
            raise dg.DagsterInvalidDefinitionError(
                f"settle is a time, such as timedelta(hours=2), not {self.settle!r}."
            )
        if (
            min(self.lookback, self.catch_up) < 0
            or self.settle < timedelta(0)
            or self.settle % _MINUTE
        ):
            raise dg.DagsterInvalidDefinitionError(
                f"lookback={self.lookback} and catch_up={self.catch_up} are numbers of partitions, "
                f"0 or more, and settle={self.settle} is a number of whole minutes."
            )


@dataclass(frozen=True)
class ScheduleOptions(Schedule):
    """A schedule and the assets that it runs: of `build_health_assets` or `build_export_asset`."""

    assets: dg.AssetsDefinition


PLANNED = stated(
    Schedule, lambda found: found, "settle_minutes, lookback, catch_up, cron_schedule, running."
)


def planned(
    assets: dg.AssetsDefinition,
    schedule: Schedule | Mapping[str, Any] | None,
    condition: dg.AutomationCondition[Any] | None,
) -> list[dg.ScheduleDefinition]:
    """The schedule that was asked for, or the usual one where no automation condition takes its place."""
    if schedule is None and condition is not None:
        return []
    if isinstance(schedule, Schedule):
        return [_scheduled(assets, schedule)]
    return [build_health_schedule(assets, **(schedule or {}))]


@takes(ScheduleOptions)
def build_health_schedule(options: ScheduleOptions) -> dg.ScheduleDefinition:
    """A schedule that keeps partitioned assets up to date, with the job that it runs.

    Each tick asks for one run over a range of partitions: the newest one that has settled, the
    `lookback` partitions before it, because events may arrive late, and every partition that was
    missed since the last one that is materialized or under way. So a daemon that was down for a
    week catches up in one run. With a backfill policy that caps a run, a range is several runs.

    The arguments are told at `Schedule`. Raises `dg.DagsterInvalidDefinitionError` for assets
    without partitions of time, negative numbers, and a settle delay that is not a number of whole
    minutes.
    """
    return _scheduled(options.assets, options)


def _scheduled(assets: dg.AssetsDefinition, schedule: Schedule) -> dg.ScheduleDefinition:
    days = getattr(assets, "partitions_def", None)
    if not isinstance(days, dg.TimeWindowPartitionsDefinition):
        raise dg.DagsterInvalidDefinitionError(
            "A health schedule needs assets with partitions of time, such as those of "
            "build_health_assets."
        )
    name = schedule.name or f"{assets.node_def.name}_schedule"
    keys, policy = sorted(assets.keys), assets.backfill_policy
    cap = policy.max_partitions_per_run if policy is not None else None
    settle, lookback, catch_up = schedule.settle, schedule.lookback, schedule.catch_up
    cron = schedule.cron_schedule or settled(days.cron_schedule, settle) or days.cron_schedule

    def due(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        newest = newest_settled(days, context.scheduled_execution_time, settle, cron)
        reach = _up_to(days, newest, 1 + max(lookback, catch_up))
        if not reach:
            yield dg.SkipReason("No partition has ended and settled yet.")
            return
        missed = _missed(
            context.instance, keys, days, reach[-1 - catch_up : -1] if catch_up else []
        )
        wanted = [each in missed or each in reach[-1 - lookback :] for each in reach]
        for is_wanted, group in groupby(zip(reach, wanted, strict=True), lambda each: each[1]):
            asked = [each for each, _ in group]
            step = cap or len(asked)
            for start in range(0, len(asked) if is_wanted else 0, step):
                part = asked[start : start + step]
                yield dg.RunRequest(
                    run_key=f"{part[0]}...{part[-1]}",
                    tags=dict(zip(_RANGE, (part[0], part[-1]), strict=True)),
                )

    return dg.ScheduleDefinition(
        name=name,
        job=dg.define_asset_job(f"{name}_job", selection=[assets]),
        cron_schedule=cron,
        execution_timezone=days.timezone,
        execution_fn=due,
        default_status=schedule.default_status,
        description=f"Each partition, {settle} after its end, and the {lookback} before it again.",
    )


def newest_settled(
    partitions_def: dg.TimeWindowPartitionsDefinition,
    tick: datetime,
    settle: timedelta,
    cron_schedule: str,
) -> dg.TimeWindow | None:
    """The newest partition that exists and has settled at a tick.

    Instants are compared, not clocks. But in the night in which the clocks go forward, the only tick
    of the day comes up to two hours early, so there the date decides.
    """
    moment, zone = tick.astimezone(UTC), ZoneInfo(partitions_def.timezone)
    is_daily = (
        cron_schedule == settled(partitions_def.cron_schedule, settle)
        and "* * * *" not in cron_schedule
    )

    def has_settled(window: dg.TimeWindow) -> bool:
        end = window.end.astimezone(UTC)
        # Just before the end: the clocks may go forward at the very midnight.
        around = (end - _MOMENT, moment + _HALF_DAY)
        offsets = {each.astimezone(zone).utcoffset() for each in around}
        if is_daily and len(offsets) > 1:
            due = end.astimezone(zone).replace(tzinfo=None) + settle
            return due.date() <= moment.astimezone(zone).date()
        return end + settle <= moment

    last = partitions_def.get_last_partition_window()
    window = partitions_def.get_prev_partition_window(moment)
    for _ in range(-partitions_def.end_offset):  # the last ones that have ended do not exist yet
        window = window and partitions_def.get_prev_partition_window(window.start)
    while window and last and not (window.start <= last.start and has_settled(window)):
        window = partitions_def.get_prev_partition_window(window.start)
    return window if last else None


def _up_to(
    partitions_def: dg.TimeWindowPartitionsDefinition, window: dg.TimeWindow | None, count: int
) -> list[str]:
    """The keys of the last `count` partitions up to a window, oldest first."""
    found: list[str] = []
    while window is not None and len(found) < count:
        found.insert(0, partitions_def.get_partition_key_for_timestamp(window.start.timestamp()))
        window = partitions_def.get_prev_partition_window(window.start)
    return found


def _missed(
    instance: dg.DagsterInstance,
    keys: Sequence[dg.AssetKey],
    partitions_def: dg.TimeWindowPartitionsDefinition,
    reach: Sequence[str],
) -> set[str]:
    """The partitions, after the first that all assets have, that an asset neither has nor is about to have.

    A run that failed or was cancelled leaves its partitions missed, whatever came after them.
    """
    known = (dg.AssetPartitionStatus.MATERIALIZED, dg.AssetPartitionStatus.IN_PROGRESS)
    statuses = [instance.get_status_by_partition(key, reach, partitions_def) or {} for key in keys]
    complete = [all(each.get(key) in known for each in statuses) for key in reach]
    firsts = [instance.fetch_materializations(key, limit=1, ascending=True).records for key in keys]
    # What was materialized before the reach is history that begins before it.
    is_older = all(first and first[0].partition_key not in reach for first in firsts)
    begins = 0 if is_older else complete.index(True) if True in complete else len(reach)
    return {key for key, done in zip(reach[begins:], complete[begins:], strict=True) if not done}
