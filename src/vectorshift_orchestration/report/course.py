"""Figures over time without holes that mean nothing: quiet hours are zero, hours that were not written are unknown."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate, count, groupby, pairwise, takewhile
from typing import Any, TypeAlias

from vectorshift_orchestration.report.figures import LandedTable, Row, over_time
from vectorshift_orchestration.storage.databases import Database
from vectorshift_orchestration.windows import Window

MOST_POINTS = 1000
"""With more buckets of time than these, a chart and its table show days."""

_WIDTHS = {timedelta(hours=1): "hour", timedelta(days=1): "day"}

Join: TypeAlias = Callable[[Sequence[Any]], Any]


def course(
    database: Database, table: LandedTable, columns: Sequence[str], window: Window, join: Join
) -> tuple[list[Row], str]:
    """A row for each bucket of the window, by day where they are too many, and what a row covers.

    `join` makes one figure of several: `sum`, or `max` for figures that do not add up. The service has no
    bucket for a time without runs: there a sum is 0, if the table's window was written, else unknown.
    """
    rows = over_time(database, table, columns, window)
    width = min((after[0] - row[0] for row, after in pairwise(rows)), default=timedelta(days=1))
    if width in _WIDTHS:
        rows = _filled(rows, width, window, _covered(table), join is sum)
    if len(rows) <= MOST_POINTS:
        return rows, _WIDTHS.get(width, "bucket")
    days = groupby(rows, key=lambda row: row[0].replace(hour=0, minute=0, second=0, microsecond=0))
    return [
        (day, *(_joined(join, each) for each in zip(*(row[1:] for row in group), strict=True)))
        for day, group in days
    ], "day"


def _filled(
    rows: Sequence[Row],
    width: timedelta,
    window: Window,
    is_written: Callable[[datetime], bool],
    adds_up: bool,
) -> list[Row]:
    rows_by_time = {row[0]: row for row in rows}
    columns = len(rows[0]) - 1 if rows else 0
    starts = (window.start + place * width for place in count())
    return [
        rows_by_time.get(at) or (at, *[0 if adds_up and is_written(at) else None] * columns)
        for at in takewhile(lambda at: at < window.end, starts)
        if rows
    ]


def _covered(table: LandedTable) -> Callable[[datetime], bool]:
    """Tells whether a commit covers an instant."""
    begun = [each.start for each in table.notes]
    ended = list(accumulate((each.end for each in table.notes), max))

    def covered(at: datetime) -> bool:
        place = bisect_right(begun, at)
        return place > 0 and at < ended[place - 1]

    return covered


def _joined(join: Join, figures: Sequence[Any]) -> Any:
    numbers = [each for each in figures if each is not None]
    return join(numbers) if numbers else None
