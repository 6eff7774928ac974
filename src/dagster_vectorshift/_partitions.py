"""From Dagster's partitions to windows of time: the only module that knows both."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

import dagster as dg

from vectorshift_orchestration.errors import WindowError
from vectorshift_orchestration.thresholds.judging import Before
from vectorshift_orchestration.windows import Window, edges

_MONTHS_SAMPLED = 14
_MONTH = timedelta(days=30)


def partition_windows(
    context: dg.AssetExecutionContext, partitions_def: dg.TimeWindowPartitionsDefinition
) -> dict[str, Window]:
    """The window of each partition of this run, in order.

    Raises `WindowError` for a run without partitions, for one that does not exist (any more, or
    yet), and for a partition that is not a usable window.
    """
    for key in context.partition_keys or ["of this run"]:
        if not partitions_def.has_partition_key(key):
            raise WindowError(
                f"Partition {key} does not exist; they go from {partitions_def.get_first_partition_key()} "
                f"to {partitions_def.get_last_partition_key()}. Nothing was requested."
            )
    if (zone := partitions_def.timezone) != "UTC":
        context.log.info("Partitions of %s are cut by time zone data %s.", zone, edges.database())
    return {
        key: Window(*partitions_def.time_window_for_partition_key(key))
        for key in context.partition_keys
    }


def before(partitions_def: dg.TimeWindowPartitionsDefinition | None) -> Before:
    """Which windows a rule takes for those before one: partitions, else windows of its width."""
    if partitions_def is None:
        return Window.earlier

    def earlier(window: Window, count: int) -> list[Window]:
        windows = islice(back(partitions_def, window.start, respect_bounds=False), count)
        return [Window(*each) for each in windows][::-1]

    return earlier


def back(
    partitions_def: dg.TimeWindowPartitionsDefinition,
    instant: datetime,
    *,
    respect_bounds: bool = True,
) -> Iterator[dg.TimeWindow]:
    """The partitions that ended before an instant or at it, latest first."""
    while (
        window := partitions_def.get_prev_partition_window(instant, respect_bounds=respect_bounds)
    ) is not None:
        yield window
        instant = window.start


def edges_of(window: Window) -> dict[str, dg.MetadataValue[float]]:
    """The ends of a window, as metadata."""
    return {
        f"vectorshift/window_{edge}": dg.MetadataValue.timestamp(getattr(window, edge))
        for edge in ("start", "end")
    }


def require_time(
    partitions_def: dg.PartitionsDefinition[str], noun: str, hint: str = ""
) -> dg.TimeWindowPartitionsDefinition:
    """The partitions, when they are windows of time; `dg.DagsterInvalidDefinitionError` else."""
    if isinstance(partitions_def, dg.TimeWindowPartitionsDefinition):
        return partitions_def
    raise dg.DagsterInvalidDefinitionError(
        f"{noun} needs partitions of time, such as dg.DailyPartitionsDefinition('2026-01-01'), "
        f"not {type(partitions_def).__name__}. {hint}".rstrip()
    )


@lru_cache
def sampled(partitions_def: dg.TimeWindowPartitionsDefinition) -> list[Window]:
    """A partition of every month of a year, and those in which the clocks of the zone change."""
    start = partitions_def.start.astimezone(UTC)
    windows = [
        beginning(partitions_def, start + month * _MONTH) for month in range(_MONTHS_SAMPLED)
    ]
    zone = ZoneInfo(partitions_def.timezone)
    for before, after in edges.changes(zone, start, start + _MONTHS_SAMPLED * _MONTH):
        window = beginning(partitions_def, before - 2 * windows[0].width)
        while window.start < after:
            windows.append(window)
            window = beginning(partitions_def, window.end)
    return windows


def widest(partitions_def: dg.TimeWindowPartitionsDefinition) -> timedelta:
    """The width of the widest partition: months and the days of a zone differ."""
    return max(window.width for window in sampled(partitions_def))


def beginning(partitions_def: dg.TimeWindowPartitionsDefinition, moment: datetime) -> Window:
    """The first partition that begins at an instant or after it, whether it exists or not."""
    window = partitions_def.get_next_partition_window(moment, respect_bounds=False)
    assert window is not None  # without bounds there is always another one
    return Window(*window)
