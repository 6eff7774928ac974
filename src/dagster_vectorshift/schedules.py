"""When partitions are materialized: after they have settled, again for late events, and all that
were missed while nothing ran."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import dagster as dg

from dagster_vectorshift._documents import Document, OptionalText, minutes, resolver
from dagster_vectorshift._partitions import back
from dagster_vectorshift.failures import as_invalid_definition
from vectorshift_orchestration.arguments import takes
from vectorshift_orchestration.windows.clock import has_settled
from vectorshift_orchestration.windows.crons import settled
from vectorshift_orchestration.windows.deadlines import require_settle
from vectorshift_orchestration.windows.ranges import contiguous, missed

_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")

RUNNING = dg.Resolver(
    lambda context, running: (
        dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
    ),
    model_field_name="running",
    model_field_type=bool,
    description="Whether the schedule starts with the code location.",
)


@dataclass(frozen=True, kw_only=True)
class Schedule(Document):
    """When partitions are materialized.

    name: the schedule's name; its job is named like it with `_job`.
    settle: how long after its end a partition is let alone, whole minutes. Its last runs end and its
        last events arrive in that time.
    lookback: how many earlier partitions each tick writes again.
    catch_up: how many partitions back it searches for missed ones; 0 turns that off.
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
        with as_invalid_definition():
            require_settle(self.settle, lookback=self.lookback, catch_up=self.catch_up)


@dataclass(frozen=True)
class ScheduleOptions(Schedule):
    """A schedule and the assets that it runs: of `build_health_assets` or `build_export_asset`."""

    assets: dg.AssetsDefinition


PLANNED = resolver(Schedule)


def planned(
    assets: dg.AssetsDefinition,
    schedule: Schedule | Mapping[str, Any] | None,
    condition: dg.AutomationCondition[Any] | None,
) -> list[dg.ScheduleDefinition]:
    """The requested schedule, or the default one unless an automation condition replaces it."""
    if schedule is None and condition is not None:
        return []
    options = vars(schedule) if isinstance(schedule, Schedule) else schedule or {}
    return [build_health_schedule(assets, **options)]


@takes(ScheduleOptions)
def build_health_schedule(options: ScheduleOptions) -> dg.ScheduleDefinition:
    """A schedule that keeps partitioned assets up to date, with the job that it runs.

    Each tick asks for one run over a range of partitions: the newest one that has settled, the
    `lookback` partitions before it, because events may arrive late, and every partition that was
    missed since the last one that is materialized or under way. So a daemon that was down for a
    week catches up in one run. With a backfill policy that caps a run, a range is several runs.

    The arguments are described at `Schedule`. Raises `dg.DagsterInvalidDefinitionError` for assets
    without partitions of time, negative numbers, and a settle delay that is not a number of whole
    minutes.
    """
    assets, days = options.assets, getattr(options.assets, "partitions_def", None)
    if not isinstance(days, dg.TimeWindowPartitionsDefinition):
        raise dg.DagsterInvalidDefinitionError(
            "A health schedule needs assets with partitions of time, such as those of "
            "build_health_assets."
        )
    name = options.name or f"{assets.node_def.name}_schedule"
    keys, policy = sorted(assets.keys), assets.backfill_policy
    cap = policy.max_partitions_per_run if policy is not None else None
    settle, lookback, catch_up = options.settle, options.lookback, options.catch_up
    cron = options.cron_schedule or settled(days.cron_schedule, settle) or days.cron_schedule

    def due(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        newest = newest_settled(days, context.scheduled_execution_time, settle, cron)
        if newest is None:
            yield dg.SkipReason("No partition has ended and settled yet.")
            return
        latest = chain([newest], islice(back(days, newest.start), max(lookback, catch_up)))
        key_of = days.get_partition_key_for_timestamp
        reach = [key_of(window.start.timestamp()) for window in latest][::-1]
        earlier = reach[-1 - catch_up : -1] if catch_up else []
        selected = {*_missed(context.instance, keys, days, earlier), *reach[-1 - lookback :]}
        for part in contiguous(reach, selected, cap):
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
        default_status=options.default_status,
        description=f"Each partition, {settle} after its end, and the {lookback} before it again.",
    )


def newest_settled(
    partitions_def: dg.TimeWindowPartitionsDefinition,
    tick: datetime,
    settle: timedelta,
    cron_schedule: str,
) -> dg.TimeWindow | None:
    """The newest partition that exists and has settled at a tick, according to `has_settled`."""
    zone = ZoneInfo(partitions_def.timezone)
    daily = (
        cron_schedule == settled(partitions_def.cron_schedule, settle)
        and "* * * *" not in cron_schedule
    )
    last = partitions_def.get_last_partition_window()
    if last is None:
        return None
    # With a negative offset, the last ones that have ended do not exist yet.
    ended = islice(
        back(partitions_def, tick.astimezone(UTC)), max(-partitions_def.end_offset, 0), None
    )
    existing = (window for window in ended if window.start <= last.start)
    return next(
        (each for each in existing if has_settled(each.end, tick, settle, zone, daily=daily)), None
    )


def _missed(
    instance: dg.DagsterInstance,
    keys: Sequence[dg.AssetKey],
    partitions_def: dg.TimeWindowPartitionsDefinition,
    reach: Sequence[str],
) -> set[str]:
    """The partitions, after the first that all assets have, that an asset neither has nor is about to have.

    A run that failed or was cancelled leaves its partitions missed, whatever came after them.
    """
    complete_statuses = (dg.AssetPartitionStatus.MATERIALIZED, dg.AssetPartitionStatus.IN_PROGRESS)
    statuses = [instance.get_status_by_partition(key, reach, partitions_def) or {} for key in keys]
    complete = [
        name for name in reach if all(each.get(name) in complete_statuses for each in statuses)
    ]
    firsts = [instance.fetch_materializations(key, limit=1, ascending=True).records for key in keys]
    # What was materialized before the reach is history that begins before it.
    has_older = all(first and first[0].partition_key not in reach for first in firsts)
    return missed(reach, complete, has_older=has_older)
