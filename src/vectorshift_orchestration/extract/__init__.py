"""A query over a window: every row or figure, or an error.

What the reading of rows decides is in `coverage`. Only what a triggerer needs has an awaiting twin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from vectorshift_orchestration.errors import SpecError, WindowError
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window
from vectorshift_orchestration.windows.edges import TICK

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift.analytics import AggregationResult, Query
    from vectorshift_orchestration.aggregates.measures import Figures
    from vectorshift_orchestration.extract.steps import Steps

PAGE_SIZE = 500
CHUNK_ROWS = 20_000


def events(
    query: Query,
    window: Window,
    *,
    page_size: int = PAGE_SIZE,
    chunk_rows: int = CHUNK_ROWS,
    floor: timedelta = TICK,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Every event of the query that started in the window, once each, as `tables.EVENT_SCHEMA`.

    The window is read in parts of at most `chunk_rows` events, oldest part first; no order is
    promised inside. Each part is counted, read to its end, checked row by row against its bounds,
    and compared with its count before its rows are given out; one that fell short is requested
    again in halves, down to `floor`. So memory is bounded by a part. An empty window gives no
    batch; its columns are those of the schema. `progress` is called with the rows and the pages so
    far. Events that arrive meanwhile may or may not be there: end the window in the past.

    Raises `ExtractIncomplete` when the service counts more than it hands out, `EventShapeError`
    for an event without id or start or from outside the window, `SpecError` for a query with an
    offset, `WindowError` for a window that the service cannot compare, and the SDK's errors. Rows given out before stay valid, but are not all: write them in
    one transaction. Source: docs/contract.md G1, G3.
    """
    from vectorshift.analytics import Query
    from vectorshift.errors import AnalyticsIncomplete
    from vectorshift_orchestration.extract import bounds
    from vectorshift_orchestration.extract.coverage import Coverage
    from vectorshift_orchestration.specs.measurable import has_alternatives

    _refuse_offset(query)
    coverage = Coverage(
        window,
        chunk_rows,
        floor,
        progress,
        splits_seconds=lambda part: bounds.splits_seconds(query, part),
        drops_strays=has_alternatives(query),
    )
    for part in coverage.parts():
        bound = bounds.for_rows(query, part)
        if not coverage.counted(Query.count(bound)["count"]):
            continue
        expected: int | None = coverage.expected
        if coverage.drops_strays:  # a page of an OR takes no conditions beside it
            bound, expected = bounds.around(query, part), None
        try:
            for event in Query.iter_events(bound, page_size, coverage.page, expected=expected):
                coverage.take(event)
        except AnalyticsIncomplete as problem:
            coverage.short(problem.seen)
        else:
            yield from coverage.whole()


def aggregate(query: Query, window: Window, spec: AggregationSpec) -> pa.Table:
    """Measure `spec` over the window's events in one request, as `tables.aggregation_table` shapes it.

    A window of several partitions sliced by time gives all of them at once. Figures of several
    objects come side by side with a dimension such as `pipeline_id`.

    Raises `WindowError` when the window cuts a time bucket: the service would then report a part of
    it as the whole; and when the service takes nothing that is exact (see `bounds`);
    `RowOutsideWindow` for a bucket that was not requested, `AggregationShapeError` and the SDK's errors.
    """
    from vectorshift_orchestration.tables import aggregation_table, require_buckets_inside

    return require_buckets_inside(aggregation_table(ask(query, window, spec), spec, window), window)


def figures(query: Query, window: Window, spec: AggregationSpec) -> list[Figures]:
    """The rows of `aggregate`, as dicts and without Arrow: for a few figures that are judged at once.

    Raises what `aggregate` raises.
    """
    from vectorshift_orchestration.aggregates.answers import answer_rows

    rows: list[Figures] = [*answer_rows(ask(query, window, spec), spec, window)]
    return rows


async def afigures(query: Query, window: Window, spec: AggregationSpec) -> list[Figures]:
    """`figures`, awaiting."""
    from vectorshift_orchestration.aggregates.answers import answer_rows

    rows: list[Figures] = [*answer_rows(await _aask(query, window, spec), spec, window)]
    return rows


def _refuse_offset(query: Query) -> None:
    if offset := query.to_dict().get("offset"):
        raise SpecError(
            f"The query has an offset of {offset}, so the first {offset} events would be left out. "
            "Narrow the window or the conditions instead."
        )


def ask(query: Query, window: Window, spec: AggregationSpec) -> AggregationResult:
    """The service's own answer to `aggregate`, all its levels. Raises `WindowError` as there."""
    from vectorshift_orchestration.extract.steps import run

    _check_buckets(window, spec)
    return run(_answer(query, window, spec))


async def _aask(query: Query, window: Window, spec: AggregationSpec) -> AggregationResult:
    from vectorshift_orchestration.extract.steps import arun

    _check_buckets(window, spec)
    return await arun(_answer(query, window, spec))


def _answer(query: Query, window: Window, spec: AggregationSpec) -> Steps[AggregationResult]:
    from vectorshift_orchestration.extract import bounds, buckets
    from vectorshift_orchestration.extract.steps import Step

    bound = yield from bounds.for_figures(query, window)
    sliced = spec if bound is not None else buckets.sliced(spec, window)
    result: AggregationResult = yield Step(
        bound or buckets.wide(query, window),
        "raw_aggregate",
        (sliced.operations(), sliced.dimensions(), sliced.bucket_width()),
    )
    yield from buckets.require_utc(query, window, sliced, result)
    return result if bound is not None else buckets.inside(result, spec, sliced, window)


def _check_buckets(window: Window, spec: AggregationSpec) -> None:
    if spec.interval is not None and not window.is_aligned(spec.interval):
        raise WindowError(
            f"Window {window.label} does not begin and end with a whole {spec.interval} in UTC, so "
            "its first or last bucket would be a part. Align it, or slice by a smaller interval."
        )
