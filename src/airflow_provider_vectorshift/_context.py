"""From Airflow's context to a window: the only reader of `data_interval_start` and `data_interval_end`.

In Airflow 3 a run may have no data interval (an API or asset-triggered run), or an empty one:
`schedule="@daily"` is a trigger timetable, whose interval starts and ends at the same instant.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vectorshift_orchestration import Window, WindowError

_WAY_OUT = (
    "Schedule the DAG with CronDataIntervalTimetable (in Airflow 3 a plain '@daily' has no "
    "interval), trigger it with a logical date, or give the operator start= and end=."
)


def window_of(
    context: Mapping[str, Any], start: datetime | str | None, end: datetime | str | None
) -> Window:
    """The window from `start` to `end`; what is None is taken from the run's data interval.

    Raises `WindowError` with what to do when the run has no interval or an empty one, and for
    ends that are naive, reversed, or no times.
    """
    if start is not None and end is not None:
        return Window.parse(start, end)
    first, last = data_interval(context)
    return Window.parse(first if start is None else start, last if end is None else end)


def data_interval(context: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """The run's data interval. Raises `WindowError` when it has none or an empty one."""
    first, last = context.get("data_interval_start"), context.get("data_interval_end")
    if first is None or last is None:
        raise WindowError(f"This run has no data interval. {_WAY_OUT}")
    if first == last:
        raise WindowError(
            f"This run's data interval is empty: it starts and ends at {first.isoformat()}. {_WAY_OUT}"
        )
    return first, last
