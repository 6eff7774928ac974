"""From Airflow's context to a window: the only reader of data intervals and partition keys.

In Airflow 3 a run may have no data interval (an API or asset-triggered run), or an empty one:
`schedule="@daily"` is a trigger timetable, whose interval starts and ends at the same instant. A run
of `CronPartitionTimetable` has none either, but the date of a partition (Airflow 3.3).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration.errors import WindowError

if TYPE_CHECKING:
    from vectorshift_orchestration import Window

_HINT = (
    "Schedule the DAG with CronDataIntervalTimetable (in Airflow 3 a plain '@daily' has no "
    "interval), trigger it with a logical date, or give the operator start= and end=."
)

_OF_A_KEY = (
    'Give the operator start= and end=; for a day of UTC whose key is its midnight: start="{{ '
    'partition_key }}Z", end="{{ macros.datetime.fromisoformat(partition_key) + '
    'macros.timedelta(days=1) }}Z".'
)
"""What a DAG can do that runs for the partitions of an asset."""


def window_of(
    context: Mapping[str, Any], start: datetime | str | None, end: datetime | str | None
) -> "Window":
    """The window from `start` to `end`; an end that is None comes from the run's data interval.

    Timetables that start with a run's own moment give microseconds, which are cut. Raises
    `WindowError` with what to do when the run has no interval or an empty one, and for ends that are
    naive, reversed, or not times.
    """
    from vectorshift_orchestration.windows.clock import between

    if start is None or end is None:
        first, last = data_interval(context)
        start, end = first if start is None else start, last if end is None else end
    return between(start, end)


def data_interval(context: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """The run's data interval, or its partition's. Raises `WindowError` when it is missing or empty."""
    first, last = context.get("data_interval_start"), context.get("data_interval_end")
    if first is None or last is None:
        if context.get("partition_key") is not None:
            partition = _partition(context)
            return partition.start, partition.end
        raise WindowError(f"This run has no data interval. {_HINT}")
    if first == last:
        raise WindowError(
            f"This run's data interval is empty: it starts and ends at {first.isoformat()}. {_HINT}"
        )
    return first, last


def _partition(context: Mapping[str, Any]) -> "Window":
    """The period that begins with the run's partition date, as long as the timetable's ticks say.

    Only a calendar's own periods are taken: what lies between two ticks of another cron expression
    is a guess. A partition that has not ended is refused, since its events are not all there.
    """
    from vectorshift_orchestration.windows.crons import period_from

    key, begin = context["partition_key"], context.get("partition_date")
    timetable = getattr(context.get("dag"), "timetable", None)
    expression = str(getattr(timetable, "expression", ""))
    zone = getattr(timetable, "timezone", UTC)
    window = None if begin is None else period_from(begin, expression, zone)
    if window is None:
        if not expression:  # it runs for the partition of another asset, so it has no cron
            raise WindowError(
                f"This run's partition {key!r} comes from an asset and does not say when it ends. "
                f"{_OF_A_KEY}"
            )
        raise WindowError(
            f"This run's partition {key!r} does not say when it ends. Schedule the DAG with a "
            "CronPartitionTimetable of whole hours, days, weeks from Monday ('0 0 * * 1'), months or "
            "years, or give the operator start= and end=."
        )
    if window.end > datetime.now(UTC):
        raise WindowError(
            f"This run's partition {key!r} ends at {window.end.isoformat()}, which is still to come. "
            "Give the CronPartitionTimetable run_offset=-1, so that a run is about the period before."
        )
    return window
