"""A query limited to a window, so that the service takes the window's events and no others.

Counts, pages, tables and exports take conditions on columns, which say whether an edge belongs to
the window (`Window.bound`). Only how finely the service compares times can spoil them, and whole
seconds survive all that a service may cut. Aggregations take `start_time` and `end_time` alone, and
it is unknown which of the two is inclusive. What is sent, by `Query.time_precision`:

    us      both ends a microsecond early, between two ticks of the event clock
    ms, s   the ends themselves; an event that starts exactly on one is looked for by a count, and
            where there is one, it is tried which bounds take it rightly

A window that the service cannot compare, or bounds that nothing makes right, are a `WindowError`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from vectorshift_orchestration.errors import WindowError
from vectorshift_orchestration.extract.steps import Step, Steps, arun, run
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift import TimePrecision
    from vectorshift.analytics import Query

_SECOND = timedelta(seconds=1)
_A_LITTLE = timedelta(microseconds=1)
"""Which leads between two ticks, or to the step before where bounds are cut."""


def for_rows(query: Query, window: Window) -> Query:
    """The query for counts, pages, tables and exports of the window.

    Asks nothing where both ends are whole seconds. Raises `WindowError` when they are finer than
    the service can compare, and the SDK's errors.
    """
    return run(_rows(query, window))


async def afor_rows(query: Query, window: Window) -> Query:
    """`for_rows`, awaiting."""
    return await arun(_rows(query, window))


def splits_seconds(query: Query, window: Window) -> bool:
    """Whether the service can compare times within a second, as its events around the window show."""
    return run(_precision(query, window)) != "s"


def around(query: Query, window: Window) -> Query:
    """The query within a range of whole seconds that holds the window and what lies just beside it."""
    from vectorshift.analytics import EventField

    at, seconds = EventField.EVENT_START_TIME, window.align(_SECOND)
    return query.where(at >= seconds.start - _SECOND, at < seconds.end + _SECOND)


def for_figures(query: Query, window: Window) -> Steps[Query | None]:
    """The query for an aggregation over the window; None where no bounds make it exact.

    Raises `WindowError` as `for_rows`, and the SDK's errors.
    """
    from vectorshift.analytics import EventField, FieldFilter
    from vectorshift_orchestration.specs.measurable import require_timeless

    at = EventField.EVENT_START_TIME
    precision = yield from _precision(query, window)
    _check(window, precision)
    if precision == "us":
        return query.where(at >= window.start - _A_LITTLE, at < window.end - _A_LITTLE)
    require_timeless(query)  # or the bounds that are tried here would not be the ones that are sent
    start, end = window.start, window.end
    wide = query.where(at >= start - 3 * _SECOND, at < end + _SECOND)
    if (yield from _count(wide.where(at.includes([start, end])))):
        on_start, on_end = FieldFilter.eq(at, start), FieldFilter.eq(at, end)
        after = start + _SECOND
        taken = yield from _count(query.where(at >= start, at < after, on_start))
        if taken < (yield from _count(wide.where(on_start))):  # the lower bound is exclusive
            start -= _A_LITTLE
            if (yield from _count(query.where(at >= start, at < after, at < window.start))):
                return None
        before = end - 2 * _SECOND
        if (
            yield from _count(query.where(at >= before, at < end, on_end))
        ):  # the upper is inclusive
            end -= _A_LITTLE
            last = at >= before, at < window.end
            taken = yield from _count(query.where(at >= before, at < end, *last))
            if taken < (yield from _count(wide.where(*last))):
                return None
    return query.where(at >= start, at < end)


def _rows(query: Query, window: Window) -> Steps[Query]:
    if not _is_on_seconds(window):
        _check(window, (yield from _precision(query, window)))
    return window.bound(query)


def _precision(query: Query, window: Window) -> Steps[TimePrecision | None]:
    precision: TimePrecision | None = yield Step(around(query, window), "time_precision")
    return precision


def _count(query: Query) -> Steps[int]:
    answer = yield Step(query, "count")
    count: int = answer["count"]
    return count


def _is_on_seconds(window: Window) -> bool:
    return not (window.start.microsecond or window.end.microsecond)


def _check(window: Window, precision: TimePrecision | None) -> None:
    if precision == "s" and not _is_on_seconds(window):
        raise WindowError(
            f"Window {window.label} does not begin and end on whole seconds, and nothing shows that the "
            "service compares times more finely than that: it could lose events at the edges. Give a "
            "window on whole seconds. If the service is known to compare milliseconds, tell the "
            "client: time_precision='ms'."
        )
