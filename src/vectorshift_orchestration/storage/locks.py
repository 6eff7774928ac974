"""The locks of a writer, so that two writers whose windows overlap never run at the same time.

A window locks the UTC days that it covers whole, and of the days at its ends only the hours that
it touches. So two windows that share an instant share a lock, while the days of a backfill and
the hours of a day run side by side. Locks are taken in one order that is the same for everybody,
so a deadlock cannot occur. A window of more than `MOST_DAYS` days locks the whole table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.windows import Window

MOST_DAYS = 64
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Lock:
    """A number for a part of a table; a shared lock is compatible with other shared ones."""

    key: int
    exclusive: bool


@dataclass(frozen=True, slots=True)
class Territory:
    """What one writer changes: a window of a table."""

    table: TableName
    window: Window

    def locks(self) -> Iterator[Lock]:
        """The locks to take, in the order in which to take them."""
        window = self.window
        if window.width > MOST_DAYS * _DAY:
            yield whole(self.table)
            return
        yield _lock(self.table, "table", exclusive=False)
        day = window.start.replace(hour=0, minute=0, second=0, microsecond=0)
        while day < window.end:
            is_whole = window.start <= day and day + _DAY <= window.end
            yield _lock(self.table, f"day {day:%Y-%m-%d}", exclusive=is_whole)
            if not is_whole:
                for hour in _hours(day, window):
                    yield _lock(self.table, f"hour {hour:%Y-%m-%dT%H}", exclusive=True)
            day += _DAY


def whole(table: TableName) -> Lock:
    """The lock that keeps every other writer of a table out."""
    return _lock(table, "table", exclusive=True)


def _lock(table: TableName, part: str, *, exclusive: bool) -> Lock:
    text = "\0".join(("vectorshift", *table.parts, part))
    digest = hashlib.sha256(text.encode()).digest()
    return Lock(int.from_bytes(digest[:8], "big", signed=True), exclusive)


def _hours(day: datetime, window: Window) -> Iterator[datetime]:
    for number in range(24):
        hour = day + number * _HOUR
        if hour < window.end and window.start < hour + _HOUR:
            yield hour
