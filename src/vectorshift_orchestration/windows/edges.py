"""Where the units of a calendar begin in a time zone, as UTC instants.

The edges of a unit follow from the zone alone, never from a window, and they rise strictly. So
windows that are cut at them fit together without gap or overlap, whatever the clocks do in between:
a day may last 23, 24.5 or 25 hours, or be left out altogether. An hour begins where the local clock
shows minute 0, so an hour that the clocks repeat counts twice, and one that a change of half an hour
cuts lasts an hour and a half (Lord Howe). Weeks begin on Monday, as the service's buckets do
(docs/contract.md G4).

**A midnight that comes twice** (Azores 2025-10-26, Havana 2025-11-02) begins its day when it comes
first, with `fold=0`, so that the hour between the two belongs to the new day; that is how Dagster cuts.
With `fold=1` it begins it when it comes last, and the hour belongs to the day before: Airflow's way.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, ZoneInfoNotFoundError, available_timezones

from vectorshift_orchestration.errors import WindowError

UNITS = ("hour", "day", "week", "month", "year")
"""The service's bucket widths (docs/contract.md A7, Interval), in lower case."""

TICK = timedelta(milliseconds=1)
"""The resolution of the service's event clock."""

_DAY = timedelta(days=1)
_HALF_DAY = timedelta(hours=12)
_WEEK_IN_HALF_DAYS = 14
_HOUR = timedelta(hours=1)


def unit(name: str) -> str:
    """A unit's name in lower case. Raises `WindowError` with the nearest one for anything else."""
    lowered = str(name).strip().lower()
    if lowered in UNITS:
        return lowered
    from difflib import get_close_matches

    near = get_close_matches(lowered, UNITS, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(UNITS)}, or a timedelta."
    raise WindowError(f"Interval {name!r} does not exist. {hint}")


def zone(tz: str | tzinfo) -> tzinfo:
    """The time zone of an IANA name. Raises `WindowError` with the nearest name for another.

    A zone of `pytz` is taken by its name: it does not distinguish a repeated hour from the first one.
    """
    if isinstance(tz, tzinfo):
        name = getattr(tz, "zone", None)
        if not isinstance(name, str):
            return tz
        tz = name
    if tz == "UTC":
        return UTC
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        from difflib import get_close_matches

        near = get_close_matches(str(tz), available_timezones(), n=1)
        hint = f"Did you mean {near[0]}?" if near else "Give an IANA name, such as Europe/Berlin."
        raise WindowError(f"Time zone {tz!r} does not exist. {hint}") from None


def database() -> str:
    """The version of the time zone database that cuts days here, such as `2026a`, if it is known.

    Zones change by decree, so two machines may cut the same day differently.
    """
    for folder in map(Path, TZPATH):
        if (source := folder / "tzdata.zi").is_file():
            with source.open(encoding="utf-8") as lines:
                return lines.readline().removeprefix("# version ").strip()
        if folder.is_dir():
            return f"of unknown version in {folder}"
    try:
        return f"{version('tzdata')} (package tzdata)"
    except PackageNotFoundError:
        return "of unknown version"


def at_or_before(instant: datetime, unit: str, tz: tzinfo, fold: int = 0) -> datetime:
    """The last edge of `unit` that is not after `instant`, in UTC."""
    if unit == "hour":
        return _hour_at_or_before(instant, tz)
    return day_start(_first_day(instant, unit, tz, fold), tz, fold)


def after(instant: datetime, unit: str, tz: tzinfo, fold: int = 0) -> datetime:
    """The first edge of `unit` after `instant`, in UTC."""
    if unit == "hour":
        return _hour_after(instant, tz)
    return day_start(_next(_first_day(instant, unit, tz, fold), unit), tz, fold)


def day_start(day: date, tz: tzinfo, fold: int = 0) -> datetime:
    """Local midnight, as `instant_of`."""
    return instant_of(datetime.combine(day, time()), tz, fold)


def instant_of(clock: datetime, tz: tzinfo, fold: int = 0) -> datetime:
    """The instant at which the clocks of a zone show the naive time `clock`.

    Where they repeat it the first one, or the last one with `fold`; where they skip it their change.
    Only the conversion from UTC is used: the reverse is right in `zoneinfo` alone, and not in
    `pytz` and `dateutil`.
    """
    as_utc = clock.replace(tzinfo=UTC)
    offsets = [(as_utc + days).astimezone(tz).utcoffset() for days in (-_DAY, _DAY)]
    instants = [as_utc - offset for offset in offsets if offset is not None]
    clocks = {at: at.astimezone(tz).replace(tzinfo=None) for at in instants}
    exact = [at for at in instants if clocks[at] == clock]
    if exact and fold:
        return max(exact)
    return min(at for at in instants if clocks[at] >= clock)


def _first_day(instant: datetime, unit: str, tz: tzinfo, fold: int) -> date:
    """The first day of the unit that holds `instant`.

    Where the clocks go back over midnight (Newfoundland until 2011, at 00:01), the end of the old
    date is shown again after the new one began; with `fold`, the new one is shown before it begins.
    """
    first = _begin(instant.astimezone(tz).date(), unit)
    while day_start(first, tz, fold) > instant:
        first = _begin(first - _DAY, unit)
    while day_start(_next(first, unit), tz, fold) <= instant:
        first = _next(first, unit)
    return first


def _begin(day: date, unit: str) -> date:
    if unit == "week":
        return day - day.weekday() * _DAY
    if unit == "month":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if unit == "year" else day


def _next(first: date, unit: str) -> date:
    if unit == "month":
        return _begin(first + 31 * _DAY, unit)
    if unit == "year":
        return first.replace(year=first.year + 1)
    return first + (7 * _DAY if unit == "week" else _DAY)


def _past_the_hour(instant: datetime, tz: tzinfo) -> timedelta:
    clock = instant.astimezone(tz)
    return timedelta(minutes=clock.minute, seconds=clock.second, microseconds=clock.microsecond)


def _hour_at_or_before(instant: datetime, tz: tzinfo) -> datetime:
    edge = instant.astimezone(UTC)
    while past := _past_the_hour(edge, tz):
        edge -= past
    return edge


def _hour_after(instant: datetime, tz: tzinfo) -> datetime:
    edge = instant.astimezone(UTC)
    edge += _HOUR - _past_the_hour(edge, tz)
    while past := _past_the_hour(edge, tz):
        edge += _HOUR - past
    return edge


def changes(zone: tzinfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Where the clocks of a zone change between two instants: a moment before and one after, in order.

    The two are half a day apart, counted from `start`. Changes that undo each other within a week
    are not seen.
    """

    def offset(count: int) -> timedelta | None:
        return (start + count * _HALF_DAY).astimezone(zone).utcoffset()

    earlier, last = 0, (end - start) // _HALF_DAY
    while earlier < last:
        later = min(earlier + _WEEK_IN_HALF_DAYS, last)
        if offset(earlier) == offset(later):
            earlier = later
            continue
        while later - earlier > 1:
            middle = (earlier + later) // 2
            earlier, later = (
                (earlier, middle) if offset(middle) != offset(earlier) else (middle, later)
            )
        yield start + earlier * _HALF_DAY, start + later * _HALF_DAY
        earlier = later
