"""The half-open interval [start, end) that every extract, export and table write is about.

**How a window travels.** The wire has one `start_time` and one `end_time` and cannot say whether
a bound is strict (CONTRACT.md A3), and nobody knows whether the service includes its bounds
(CONTRACT.md G1). Its event clock has a resolution of one millisecond. So `Window.bound` sends
both ends moved back by 500 microseconds, to instants at which no event can lie. An event at
`start` is after the lower bound, an event at `end` is after the upper one: the first is in, the
second is out, whether the service compares with < or <=. Neighbouring windows share the moved
bound, so together they miss nothing and count nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from vectorshift_orchestration.errors import WindowError

if TYPE_CHECKING:
    from vectorshift.analytics import Query

_GRID = timedelta(milliseconds=1)
_OFF_GRID = timedelta(microseconds=500)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open interval of time, `start <= t < end`, in UTC.

    Both ends are aware datetimes on whole milliseconds, in any zone; they are stored as UTC.
    Raises `WindowError` for a naive end, an end that is finer than a millisecond, a zero-width
    and a reversed interval.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _instant(self.start, "start"))
        object.__setattr__(self, "end", _instant(self.end, "end"))
        if self.start == self.end:
            raise WindowError(
                f"The window starts and ends at {_iso(self.start)}, so it holds nothing. "
                "Give the interval's own end, not its start twice."
            )
        if self.start > self.end:
            raise WindowError(
                f"The window starts at {_iso(self.start)}, after its end {_iso(self.end)}. "
                "Swap the two."
            )

    @classmethod
    def parse(cls, start: datetime | str, end: datetime | str) -> Self:
        """A window from datetimes or ISO 8601 text with `Z` or an offset.

        Raises `WindowError` like the constructor, and for text that is not ISO 8601.
        """
        return cls(_datetime(start, "start"), _datetime(end, "end"))

    @classmethod
    def day(cls, day: date) -> Self:
        """The whole UTC day `day`. A datetime is refused: it names an instant, not a day."""
        if isinstance(day, datetime):
            raise WindowError(f"{day!r} is an instant; give its date() to get the whole UTC day.")
        midnight = datetime.combine(day, time(), UTC)
        return cls(midnight, midnight + _DAY)

    @classmethod
    def from_dict(cls, value: Any) -> Self:
        """The window that `to_dict` described. Raises `WindowError` for anything else."""
        if not isinstance(value, Mapping) or set(value) != {"start", "end"}:
            raise WindowError("A window is described by exactly two keys, start and end.")
        return cls.parse(value["start"], value["end"])

    def to_dict(self) -> dict[str, str]:
        """The window as JSON: `start` and `end` in RFC 3339, UTC."""
        return {"start": _iso(self.start), "end": _iso(self.end)}

    @property
    def width(self) -> timedelta:
        """The time between the two ends."""
        return self.end - self.start

    @property
    def label(self) -> str:
        """A short name that is the same in every process and safe in a path.

        `2026-11-22` for a whole UTC day, else both ends: `20261122T010000Z-20261122T020000Z`.
        """
        if self.width == _DAY and self.start.time() == time():
            return f"{self.start:%Y-%m-%d}"
        return f"{_stamp(self.start)}-{_stamp(self.end)}"

    def contains(self, instant: datetime) -> bool:
        """Whether an aware instant lies in the window. Raises `WindowError` for a naive one."""
        if instant.tzinfo is None or instant.utcoffset() is None:
            raise WindowError(f"{instant!r} has no time zone, so no window can hold it.")
        return self.start <= instant < self.end

    def split(self, step: timedelta) -> list[Window]:
        """The consecutive windows of width `step` that make up this one; the last may be shorter.

        Raises `WindowError` when `step` is not a positive number of whole milliseconds.
        """
        if step <= timedelta(0) or step % _GRID:
            raise WindowError(f"A window is split by a positive time in whole ms, not by {step!r}.")
        parts = -(-self.width // step)
        edges = [self.start + step * part for part in range(parts)] + [self.end]
        return [Window(start, end) for start, end in pairwise(edges)]

    def lookback(self, windows: int) -> Window:
        """This window, widened into the past by `windows` times its own width.

        Late events and runs that were still in progress are picked up by writing the last few
        windows again. Raises `WindowError` for a negative number. For calendar windows of uneven
        width (local days, months) join the earlier windows themselves instead.
        """
        if windows < 0:
            raise WindowError(f"A lookback is a number of windows, 0 or more, not {windows}.")
        return Window(self.start - self.width * windows, self.end)

    def is_aligned(self, interval: str) -> bool:
        """Whether both ends are edges of the service's time buckets.

        `interval` is hour, day, week, month or year, in UTC, weeks from Monday (CONTRACT.md G4).
        """
        return all(_is_edge(instant, interval) for instant in (self.start, self.end))

    def bound(self, query: Query) -> Query:
        """The query, limited to this window's events, exactly (see the top of this module)."""
        from vectorshift.analytics import EventField

        at = EventField.EVENT_START_TIME
        return query.where(at >= self.start - _OFF_GRID, at < self.end - _OFF_GRID)


def _is_edge(instant: datetime, interval: str) -> bool:
    if interval == "hour":
        return not (instant.minute or instant.second or instant.microsecond)
    on_day = instant.time() == time()
    if interval == "week":
        return on_day and instant.weekday() == 0
    first_of_month = on_day and instant.day == 1
    return {
        "day": on_day,
        "month": first_of_month,
        "year": first_of_month and instant.month == 1,
    }[interval]


def _datetime(value: datetime | str, name: str) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise WindowError(
            f"The window's {name} is {value!r}; give an aware datetime or ISO 8601 text such as "
            "2026-11-22T00:00:00Z."
        ) from None


def _instant(value: datetime, name: str) -> datetime:
    """The same instant as a plain UTC datetime (orchestrators pass subclasses of their own)."""
    if not isinstance(value, datetime):
        raise WindowError(f"The window's {name} is {value!r}, not a datetime.")
    if value.tzinfo is None or value.utcoffset() is None:
        raise WindowError(
            f"The window's {name} {value.isoformat()} has no time zone. Say which instant is "
            "meant: give an aware datetime or add Z or an offset."
        )
    if value.microsecond % 1000:
        raise WindowError(
            f"The window's {name} {value.isoformat()} is finer than the service's clock. "
            "Round it to a whole millisecond."
        )
    utc = value.astimezone(UTC)
    return datetime.combine(
        date(utc.year, utc.month, utc.day),
        time(utc.hour, utc.minute, utc.second, utc.microsecond),
        UTC,
    )


def _iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _stamp(instant: datetime) -> str:
    fraction = f".{instant.microsecond // 1000:03d}" if instant.microsecond else ""
    return f"{instant:%Y%m%dT%H%M%S}{fraction}Z"
