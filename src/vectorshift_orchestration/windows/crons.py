"""Cron expressions as the edges of windows: which unit they tick by, and when windows have settled."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from vectorshift_orchestration.windows import Window
from vectorshift_orchestration.windows.edges import TICK

_MINUTE = timedelta(minutes=1)
_DAY = 24 * 60
_SAFE_DAYS = 28

_UNITS = {
    "@hourly": "hour",
    "0 * * * *": "hour",
    "@daily": "day",
    "@midnight": "day",
    "0 0 * * *": "day",
    "0 0 * * 1": "week",
    "0 0 * * mon": "week",
    "@monthly": "month",
    "0 0 1 * *": "month",
    "@yearly": "year",
    "@annually": "year",
    "0 0 1 1 *": "year",
}


def unit_of(cron: str) -> str | None:
    """The unit of the calendar whose edges are the ticks of a cron expression, where there is one."""
    return _UNITS.get(" ".join(cron.lower().split()))


def period_from(tick: datetime, cron: str, zone: tzinfo) -> Window | None:
    """The window from a tick of a cron expression to the next one, by the clocks of a zone.

    None for an expression that is not a calendar's own periods, between whose ticks the distance is a
    guess, and where no tick is. Of a midnight that comes twice the tick is the second.
    """
    if (unit := unit_of(cron)) is None:
        return None
    window = Window(tick, tick + TICK).align(unit, zone, fold=1)
    return window if window.start == tick else None


def settled(cron: str, settle: timedelta) -> str | None:
    """The cron expression whose ticks come `settle` after those of another, by the clocks of one zone.

    None where no cron expression says so: for another cadence than hours, days, weeks and months, and
    for days that not every month has.
    """
    fields = cron.split()
    if len(fields) != 5 or not fields[0].isdigit():
        return None
    minute, hour, day_of_month, month, day_of_week = fields
    minutes = int(minute) + settle // _MINUTE
    if fields[1:] == ["*"] * 4:
        return f"{minutes % 60} * * * *"
    if not hour.isdigit() or month != "*":
        return None
    days, clock = divmod(int(hour) * 60 + minutes, _DAY)
    time = f"{clock % 60} {clock // 60}"
    if day_of_month == day_of_week == "*":
        return f"{time} * * *"
    if day_of_month == "*" and day_of_week.isdigit():
        return f"{time} * * {(int(day_of_week) + days) % 7}"
    if day_of_week == "*" and day_of_month.isdigit() and int(day_of_month) + days <= _SAFE_DAYS:
        return f"{time} {int(day_of_month) + days} * *"
    return None
