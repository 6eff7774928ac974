"""The half-open interval [start, end) that every extract, export and table write is about.

**How a window travels.** The wire has one `start_time` and one `end_time` and cannot say whether
a bound is strict (docs/contract.md A3), and it is unknown whether the service includes its bounds
(docs/contract.md G1). Conditions on columns can say it. So `Window.bound` sends bounds a second wider
than the window, which let the service find it fast, and beside them two conditions on the start
time, `>=` and `<`, with the window's own ends. Whole seconds are exact under everything that a service may
do to a time on its way; what of finer ends, and of aggregations, which take no conditions, is in
`extract.bounds`. Rows are looked at again when they arrive (`contains`, `tables.first_outside`).

**How a window arrives.** Orchestrators hand over pairs of instants: `Window.parse`. Calendars are
cut into windows by `Window.split`, in any time zone (see `edges`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct
from msgspec.structs import force_setattr

from vectorshift_orchestration.errors import WindowError
from vectorshift_orchestration.windows import edges
from vectorshift_orchestration.windows.edges import TICK

if TYPE_CHECKING:
    from vectorshift.analytics import Query

_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_A_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_SOONEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

_BELOW_MICROSECONDS = re.compile(r"[.,]\d{6}\d*[1-9]")  # which `fromisoformat` would drop

_KEYS = dict.fromkeys(edges.UNITS, "%Y-%m-%d") | {"hour": "%Y-%m-%d-%H:%M"}

Every = timedelta | str
"""A fixed width, or a unit of the calendar: hour, day, week, month or year."""


class Window(Struct, frozen=True, order=True):
    """A half-open interval of time, `start <= t < end`, in UTC.

    Both ends are aware datetimes on whole milliseconds, in any zone; they are stored as UTC.
    Raises `WindowError` for a naive end, an end that is finer than a millisecond, a zero-width
    and a reversed interval, and an end that only stands for "no bound" (before 1970, after 2200).
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        force_setattr(self, "start", _instant(self.start, "start"))
        force_setattr(self, "end", _instant(self.end, "end"))
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
    def day(cls, day: date, tz: str | tzinfo = "UTC") -> Self:
        """The whole day `day` of a time zone. A datetime is refused: it names an instant."""
        if isinstance(day, datetime):
            raise WindowError(f"{day!r} is an instant; give its date() to get the whole day.")
        zone = edges.zone(tz)
        return cls(edges.day_start(day, zone), edges.day_start(day + _DAY, zone))

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

    @property
    def in_words(self) -> str:
        """The window for people, in UTC: `2026-11-22`, `2026-11-01 to 2026-11-08`, or with hours and minutes.

        The second one does not belong to the window.
        """
        whole_days = self.start.time() == self.end.time() == time()
        if whole_days and self.width == _DAY:
            return self.ds
        form = "%Y-%m-%d" if whole_days else "%Y-%m-%d %H:%M"
        return f"{self.start:{form}} to {self.end:{form}}"

    def contains(self, instant: datetime) -> bool:
        """Whether an aware instant lies in the window. Raises `WindowError` for a naive one."""
        if instant.tzinfo is None or instant.utcoffset() is None:
            raise WindowError(f"{instant!r} has no time zone, so no window can hold it.")
        return self.start <= instant < self.end

    @property
    def ds(self) -> str:
        """The UTC date of the start, `%Y-%m-%d`: the name that a data interval goes by."""
        return f"{self.start:%Y-%m-%d}"

    def partition_key(self, every: str, tz: str | tzinfo = "UTC") -> str:
        """The name of this window as one partition of a cadence.

        `%Y-%m-%d` of the local start, with `-%H:%M` for an hour, and with the offset after that for
        an hour that the clocks repeat. Those are Dagster's keys (1.13), but that its weeks begin on
        Sunday by default, and its hours drift in zones that change by half an hour.
        Raises `WindowError` unless the window is exactly one
        `every` of the zone.
        """
        unit, zone = edges.unit(every), edges.zone(tz)
        fold = self._fold(unit, zone)
        if fold is None or edges.after(self.start, unit, zone, fold) != self.end:
            raise WindowError(f"Window {self.label} is not exactly one {unit} in {zone}.")
        begin = self.start.astimezone(zone)
        repeated = unit == "hour" and begin.fold
        return begin.strftime(_KEYS[unit] + ("%z" if repeated else ""))

    def split(self, every: Every, tz: str | tzinfo = "UTC") -> list[Window]:
        """The consecutive windows that make up this one.

        By a `timedelta` they are that wide, counted from the start, and the last may be shorter. By
        a unit of the calendar they are cut where it begins in zone `tz`, and the first and the last
        may be parts of one. Raises `WindowError` for a width that is not a positive number of whole
        milliseconds, an unknown unit and an unknown zone.
        """
        cuts = [self.start]
        if isinstance(every, timedelta):
            step = _width(every)
            parts = -(-self.width // step)
            cuts += [self.start + step * part for part in range(1, parts)]
        else:
            unit, zone = edges.unit(every), edges.zone(tz)
            fold = self._fold(unit, zone) or 0
            while (cut := edges.after(cuts[-1], unit, zone, fold)) < self.end:
                cuts.append(cut)
        return [Window(start, end) for start, end in pairwise([*cuts, self.end])]

    def divide(self, number: int) -> list[Window]:
        """So many consecutive windows of nearly the same width that make up this one.

        They are cut at whole minutes where they are a minute long or more, else at whole seconds, which any
        service can compare. Raises `WindowError` for more windows than there are seconds.
        """
        if type(number) is not int or number < 1:
            raise WindowError(f"A window is divided into 1 window or more, not into {number!r}.")
        unit = _MINUTE if self.width >= 2 * number * _MINUTE else _SECOND
        first = self.start + (_A_MONDAY - self.start) % unit
        cuts = [
            first + (self.end - first) * part // number // unit * unit for part in range(1, number)
        ]
        edges_of_all = [self.start, *cuts, self.end]
        if any(start >= end for start, end in pairwise(edges_of_all)):
            raise WindowError(
                f"Window {self.label} is too short for {number} windows of whole seconds. Divide it less."
            )
        return [Window(start, end) for start, end in pairwise(edges_of_all)]

    def align(self, every: Every, tz: str | tzinfo = "UTC", fold: int = 0) -> Window:
        """The narrowest window of whole `every` that covers this one.

        A `timedelta` counts from a Monday, 1970-01-05T00:00Z, whatever the zone. `fold` says which of
        two midnights begins a day, as in `edges`. Raises `WindowError` like `split`.
        """
        if isinstance(every, timedelta):
            step = _width(every)
            start = self.start - (self.start - _A_MONDAY) % step
            return Window(start, self.end + (_A_MONDAY - self.end) % step)
        unit, zone = edges.unit(every), edges.zone(tz)
        start = edges.at_or_before(self.start, unit, zone, fold)
        return Window(start, edges.after(self.end - TICK, unit, zone, fold))

    def is_aligned(self, interval: str, tz: str | tzinfo = "UTC") -> bool:
        """Whether both ends are edges of `interval`: hour, day, week, month or year of the zone.

        In UTC those are the edges of the service's time buckets (docs/contract.md G4).
        """
        return self._fold(edges.unit(interval), edges.zone(tz)) is not None

    def _fold(self, unit: str, zone: tzinfo) -> int | None:
        """Which of two midnights this window takes, when both of its ends are edges; else None."""
        for fold in (0, 1):
            ends = (self.start, self.end)
            if all(edges.at_or_before(end, unit, zone, fold) == end for end in ends):
                return fold
        return None

    def earlier(
        self, windows: int, every: Every | None = None, tz: str | tzinfo = "UTC", fold: int = 0
    ) -> list[Window]:
        """The `windows` windows just before this one, oldest first.

        Each is as wide as this one, or one `every`: calendar windows differ in width, so local
        days and months need it. `fold` says which of two midnights begins a day, as in `edges`, where
        this window's own start does not show. Raises `WindowError` for a negative number, and when
        `every` is a unit of which none begins where this window does.
        """
        if type(windows) is not int or windows < 0:
            raise WindowError(f"A lookback is a number of windows, 0 or more, not {windows!r}.")
        cuts = [self.start]
        if every is None or isinstance(every, timedelta):
            step = self.width if every is None else _width(every)
            if windows > (self.start - _SOONEST) // step:
                raise self._too_far_back(windows)
            cuts += [self.start - step * part for part in range(1, windows + 1)]
        else:
            unit, zone = edges.unit(every), edges.zone(tz)
            fitting = [
                each
                for each in (fold, 1 - fold)
                if edges.at_or_before(self.start, unit, zone, each) == self.start
            ]
            if not fitting:
                raise WindowError(f"Window {self.label} does not begin with a {unit} of {zone}.")
            for _ in range(windows):
                cuts.append(edges.at_or_before(cuts[-1] - TICK, unit, zone, fitting[0]))
                if cuts[-1] < _SOONEST:
                    raise self._too_far_back(windows)
        return [Window(start, end) for start, end in pairwise(reversed(cuts))]

    def _too_far_back(self, windows: int) -> WindowError:
        return WindowError(
            f"{windows:,} windows before {self.label} reach back beyond {_SOONEST:%Y}, where windows "
            "begin. Look back less far."
        )

    def lookback(
        self, windows: int, every: Every | None = None, tz: str | tzinfo = "UTC"
    ) -> Window:
        """This window, widened into the past by the `windows` windows that `earlier` gives.

        Late events and runs that were still in progress are picked up by writing the last few
        windows again. Raises `WindowError` like `earlier`.
        """
        return Window(min([*self.earlier(windows, every, tz), self]).start, self.end)

    def bound(self, query: Query) -> Query:
        """The query, limited to this window's events (see the top of this module).

        Exact for counts, pages, tables and exports of a window on whole seconds.
        """
        from vectorshift.analytics import EventField

        at = EventField.EVENT_START_TIME
        around = at >= self.start - _SECOND, at < self.end + _SECOND
        return query.where(*around, at >= self.start, at < self.end)


def merge(windows: Iterable[Window], *, gaps: bool = True) -> list[Window]:
    """The fewest windows that cover the same instants, in order.

    Windows that overlap or touch become one. With `gaps=False` they must leave none between them,
    so the result is one window. Raises `WindowError` then, naming the first gap, and for nothing.
    """
    merged: list[Window] = []
    for window in sorted(windows):
        if merged and window.start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(merged[-1].end, window.end))
        else:
            merged.append(window)
    if not gaps and len(merged) != 1:
        raise WindowError(
            f"There is a gap from {_iso(merged[0].end)} to {_iso(merged[1].start)}. "
            "Add the windows that are missing, or let gaps be."
            if merged
            else "There are no windows to merge. Give at least one."
        )
    return merged


def _width(step: timedelta) -> timedelta:
    """The same width as a plain timedelta (orchestrators pass subclasses of their own)."""
    longest = _LATEST - _SOONEST
    plain = timedelta(seconds=min(step.total_seconds(), longest.total_seconds() + 1))
    if not TICK <= plain <= longest or plain % TICK:
        raise WindowError(
            f"A window is split by a positive time in whole ms, of 230 years at most, not by {step!r}."
        )
    return plain


def _datetime(value: datetime | str, name: str) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise WindowError(
            f"The window's {name} is {value!r}; give an aware datetime or ISO 8601 text such as "
            "2026-11-22T00:00:00Z."
        ) from None
    if _BELOW_MICROSECONDS.search(value):
        raise _too_fine(value, name)
    return instant


def _instant(value: datetime, name: str) -> datetime:
    """The same instant as a plain UTC datetime (orchestrators pass subclasses of their own)."""
    if not isinstance(value, datetime):
        raise WindowError(f"The window's {name} is {value!r}, not a datetime.")
    if value.tzinfo is None or value.utcoffset() is None:
        raise WindowError(
            f"The window's {name} {value.isoformat()} has no time zone. Say which instant is "
            "meant: give an aware datetime or add Z or an offset."
        )
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        utc = _LATEST + _DAY
    if not _SOONEST <= utc <= _LATEST:
        raise WindowError(
            f"The window's {name} {value.isoformat()} stands for no bound at all. A window has two: "
            "give an instant from 1970 to 2200."
        )
    if value.microsecond % 1000 or getattr(value, "nanosecond", 0):  # of a pandas Timestamp
        raise _too_fine(value.isoformat(), name)
    return datetime.combine(
        date(utc.year, utc.month, utc.day),
        time(utc.hour, utc.minute, utc.second, utc.microsecond),
        UTC,
    )


def _too_fine(text: str, name: str) -> WindowError:
    return WindowError(
        f"The window's {name} {text} is finer than the service's clock. Round it to a whole "
        "millisecond."
    )


def _iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _stamp(instant: datetime) -> str:
    fraction = f".{instant.microsecond // 1000:03d}" if instant.microsecond else ""
    return f"{instant:%Y%m%dT%H%M%S}{fraction}Z"
