"""How long after its end a window is let alone, and when it should be there."""

from __future__ import annotations

from datetime import timedelta

from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.windows.crons import settled

_MINUTE = timedelta(minutes=1)
_DELAY = timedelta(hours=4)
_SHORTEST = {
    "HOURLY": timedelta(hours=1),
    "DAILY": timedelta(days=1),
    "WEEKLY": timedelta(days=7),
    "MONTHLY": timedelta(days=28),
}
"""How long a window of each cadence lasts at the least, by the clock."""


def require_settle(settle: timedelta, **windows: int) -> None:
    """Raise `SpecError` for a time to settle that is not whole minutes, and numbers of windows below 0."""
    if not isinstance(settle, timedelta):
        raise SpecError(f"settle is a time, such as timedelta(hours=2), not {settle!r}.")
    if min(windows.values(), default=0) < 0 or settle < timedelta(0) or settle % _MINUTE:
        counts = " and ".join(f"{name}={count}" for name, count in windows.items())
        raise SpecError(
            f"{counts} are numbers of partitions, 0 or more, and settle={settle} is a number of whole "
            "minutes."
        )


def delay_of(delay: timedelta | None, widest: timedelta) -> timedelta:
    """How long after its end a window is due, in whole minutes: four hours, or half of a shorter window.

    Raises `SpecError` for less than a minute.
    """
    chosen = min(_DELAY, widest / 2) if delay is None else delay
    if chosen < _MINUTE:
        raise SpecError(
            f"The delay until a partition is due is positive, a minute or more, not {chosen}."
        )
    return chosen // _MINUTE * _MINUTE


def deadline(cron: str, cadence: str, delay: timedelta) -> str:
    """When the window that has just ended should be there, as a cron expression.

    `cron` ticks where windows of the cadence begin: HOURLY, DAILY, WEEKLY or MONTHLY. Raises
    `SpecError` for a delay that reaches beyond the next window, and where no expression says so.
    """
    if delay >= _SHORTEST[cadence]:
        raise SpecError(
            f"A partition that is due {delay} after its end is due after the next one has ended. "
            "Give a shorter delay."
        )
    if (due := settled(cron, delay)) is None:
        raise SpecError(
            f"Not every month has a day on which a partition would be due after {delay}. "
            "Give another delay."
        )
    return due
