"""The terminals of a query, grouped or not. Each terminal and its `a*` twin are one line each.

Terminals block; their `a*` twins are coroutines (asyncio). Source: reference page "Aggregation terminals" to "Data tables
and export".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from vectorshift._deferred import Deferred
from vectorshift._settings import TimePrecision
from vectorshift.analytics._enums import (
    AggregationField,
    AggregationOp,
    ExportFormat,
    GroupBy,
    Interval,
)
from vectorshift.analytics._runnable import Runnable

if TYPE_CHECKING:
    from vectorshift.analytics import _flows as flows
    from vectorshift.analytics._filters import EventField
    from vectorshift.analytics._operations import AggregationOperation
    from vectorshift.analytics._paging import PagingOptions
    from vectorshift.analytics._results import (
        AggregationResult,
        DataTableResult,
        DataTableRow,
        Event,
        EventCount,
        EventPage,
        ExportTask,
        Trace,
    )
else:
    flows = Deferred("vectorshift.analytics._flows")

Progress = Callable[[int, int | None], None]
Slices: TypeAlias = (
    GroupBy | str | list[GroupBy | str] | list[GroupBy] | list[str] | tuple[GroupBy | str, ...]
)

Figure = TypeVar("Figure")
Number = TypeVar("Number")


class Terminals(Runnable, Generic[Figure, Number], frozen=True):
    """The terminals. An aggregation gives a `Figure`, and `count_distinct` a `Number`: what they are is the subclass's to say."""

    # --- terminals without aggregation ---

    def count(self) -> EventCount:
        """The number of matching events, `{"count": n}`."""
        return self._run(flows.count(self._spec))

    async def acount(self) -> EventCount:
        """`count`, awaiting."""
        return await self._arun(flows.count(self._spec))

    def events(self, limit: int | None = None, offset: int | None = None) -> EventPage:
        """One page of events. `limit` and `offset` default to the query's; `iter_events` walks all pages."""
        return self._run(flows.events(self._spec, limit, offset))

    async def aevents(self, limit: int | None = None, offset: int | None = None) -> EventPage:
        """`events`, awaiting."""
        return await self._arun(flows.events(self._spec, limit, offset))

    def traces(self, limit: int | None = None, offset: int | None = None) -> list[Trace]:
        """One page of events grouped by trace; a trace that crosses the page's edge is partial."""
        return self._run(flows.traces(self._spec, limit, offset))

    async def atraces(self, limit: int | None = None, offset: int | None = None) -> list[Trace]:
        """`traces`, awaiting."""
        return await self._arun(flows.traces(self._spec, limit, offset))

    def table(
        self,
        columns: list[EventField | str] | list[EventField] | list[str],
        include_interface_data: bool = False,
        return_record_count: bool = False,
        limit: int | None = None,
        offset: int | None = None,
    ) -> DataTableResult:
        """One page of the given columns as a flat table; `iter_rows` walks all pages."""
        return self._run(
            flows.table(
                self._spec, columns, include_interface_data, return_record_count, limit, offset
            )
        )

    async def atable(
        self,
        columns: list[EventField | str] | list[EventField] | list[str],
        include_interface_data: bool = False,
        return_record_count: bool = False,
        limit: int | None = None,
        offset: int | None = None,
    ) -> DataTableResult:
        """`table`, awaiting."""
        return await self._arun(
            flows.table(
                self._spec, columns, include_interface_data, return_record_count, limit, offset
            )
        )

    def export(self, format: ExportFormat | str, file_name: str) -> ExportTask:
        """Start a server-side export of every matching event; it may be ready at once, or pending with a `task_id`."""
        return self._run(flows.export(self._spec, format, file_name))

    async def aexport(self, format: ExportFormat | str, file_name: str) -> ExportTask:
        """`export`, awaiting."""
        return await self._arun(flows.export(self._spec, format, file_name))

    def export_and_wait(
        self,
        format: ExportFormat | str,
        file_name: str,
        timeout: float = 120,
        poll_interval: float = 1.0,
    ) -> ExportTask:
        """Start an export and wait until it is ready; times in seconds.

        Raises `AnalyticsExportFailed`, `AnalyticsExportTimeout`, or `AnalyticsNotFound` when the service does not know
        the task or has no route to ask. A creation that is answered with a URL is never polled.
        """
        return self._run(
            flows.export_and_wait(self._spec, format, file_name, timeout, poll_interval)
        )

    async def aexport_and_wait(
        self,
        format: ExportFormat | str,
        file_name: str,
        timeout: float = 120,
        poll_interval: float = 1.0,
    ) -> ExportTask:
        """`export_and_wait`, awaiting."""
        return await self._arun(
            flows.export_and_wait(self._spec, format, file_name, timeout, poll_interval)
        )

    # --- walks over all pages ---

    def iter_events(
        self,
        page_size: int = 500,
        progress: Progress | None = None,
        *,
        expected: int | None = None,
    ) -> Iterator[Event]:
        """Every matching event, newest pages first as the service orders them, each once; see `_paging.py`.

        `progress(rows so far, rows in all or None)` is called after each page. `expected` is what `count()` gave, if it
        was requested already: if the service's totals are unreliable, the walk requests it itself. Ends complete, or
        raises `AnalyticsIncomplete`. Events that start after the walk began are not part of it.
        """
        from vectorshift.analytics import _paging as paging

        return paging.walk(
            paging.EventWalk(self._spec, self._paging_options(page_size, progress, expected)),
            self._run,
        )

    def aiter_events(
        self,
        page_size: int = 500,
        progress: Progress | None = None,
        *,
        expected: int | None = None,
    ) -> AsyncIterator[Event]:
        """`iter_events`, awaiting: `async for event in query.aiter_events()`."""
        from vectorshift.analytics import _paging as paging

        return paging.awalk(
            paging.EventWalk(self._spec, self._paging_options(page_size, progress, expected)),
            self._arun,
        )

    def iter_rows(
        self,
        columns: list[EventField | str] | list[EventField] | list[str],
        include_interface_data: bool = False,
        page_size: int = 500,
        progress: Progress | None = None,
        *,
        expected: int | None = None,
    ) -> Iterator[DataTableRow]:
        """Every row of a table, each event once; like `iter_events`."""
        from vectorshift.analytics import _paging as paging

        return paging.walk(
            paging.RowWalk(
                self._spec,
                columns,
                include_interface_data,
                self._paging_options(page_size, progress, expected),
            ),
            self._run,
        )

    def aiter_rows(
        self,
        columns: list[EventField | str] | list[EventField] | list[str],
        include_interface_data: bool = False,
        page_size: int = 500,
        progress: Progress | None = None,
        *,
        expected: int | None = None,
    ) -> AsyncIterator[DataTableRow]:
        """`iter_rows`, awaiting."""
        from vectorshift.analytics import _paging as paging

        return paging.awalk(
            paging.RowWalk(
                self._spec,
                columns,
                include_interface_data,
                self._paging_options(page_size, progress, expected),
            ),
            self._arun,
        )

    def _paging_options(
        self, page_size: int, progress: Progress | None, expected: int | None
    ) -> PagingOptions:
        from vectorshift.analytics._paging import PagingOptions

        return PagingOptions(page_size, progress, expected, self._bound().capabilities)

    # --- how times are compared ---

    def time_precision(self) -> TimePrecision | None:
        """How finely the service compares times: the client's setting, or what its events show, probed once.

        "us": whole, and its events start on whole milliseconds, so that a bound between two of them is exact. "ms": whole
        milliseconds are compared as they are, anything finer is not. "s": only whole seconds are, or nothing shows more.
        None when no event of the organization started within the query's time bounds; its other conditions do not count.
        """
        from vectorshift.analytics._time_precision import time_precision

        return self._run(time_precision(self._spec, self._bound().capabilities))

    async def atime_precision(self) -> TimePrecision | None:
        """`time_precision`, awaiting."""
        from vectorshift.analytics._time_precision import time_precision

        return await self._arun(time_precision(self._spec, self._bound().capabilities))

    # --- raw aggregation ---

    def raw_aggregate(
        self,
        operations: list[AggregationOperation] | list[str],
        group_by: Slices | None = None,
        interval: Interval | str | None = None,
    ) -> AggregationResult:
        """Several operations in one request, optionally grouped: one bucket per operation, nested per dimension."""
        return self._run(flows.raw_aggregate(self._spec, operations, group_by, interval))

    async def araw_aggregate(
        self,
        operations: list[AggregationOperation] | list[str],
        group_by: Slices | None = None,
        interval: Interval | str | None = None,
    ) -> AggregationResult:
        """`raw_aggregate`, awaiting."""
        return await self._arun(flows.raw_aggregate(self._spec, operations, group_by, interval))

    # --- aggregations: each needs a lower time bound ---

    def sum(self, field: AggregationField | str) -> Figure:
        """The sum of a field."""
        return self._aggregate(field, AggregationOp.SUM)

    async def asum(self, field: AggregationField | str) -> Figure:
        """`sum`, awaiting."""
        return await self._aaggregate(field, AggregationOp.SUM)

    def mean(self, field: AggregationField | str) -> Figure:
        """The mean of a field, within one calendar year; 0.0 when nothing matched."""
        return self._aggregate(field, AggregationOp.MEAN)

    async def amean(self, field: AggregationField | str) -> Figure:
        """`mean`, awaiting."""
        return await self._aaggregate(field, AggregationOp.MEAN)

    def min(self, field: AggregationField | str) -> Figure:
        """The least value of a field."""
        return self._aggregate(field, AggregationOp.MIN)

    async def amin(self, field: AggregationField | str) -> Figure:
        """`min`, awaiting."""
        return await self._aaggregate(field, AggregationOp.MIN)

    def max(self, field: AggregationField | str) -> Figure:
        """The greatest value of a field."""
        return self._aggregate(field, AggregationOp.MAX)

    async def amax(self, field: AggregationField | str) -> Figure:
        """`max`, awaiting."""
        return await self._aaggregate(field, AggregationOp.MAX)

    def count_distinct(self, field: AggregationField | str) -> Number:
        """The number of different values of a field."""
        result: Number = self._run(flows.aggregate(self._spec, field, AggregationOp.COUNT_DISTINCT))
        return result

    async def acount_distinct(self, field: AggregationField | str) -> Number:
        """`count_distinct`, awaiting."""
        result: Number = await self._arun(
            flows.aggregate(self._spec, field, AggregationOp.COUNT_DISTINCT)
        )
        return result

    def percentile(self, field: AggregationField | str, n: int) -> Figure:
        """The n-th percentile (50, 75, 95, 99) of latency or node_latency, in milliseconds."""
        result: Figure = self._run(flows.percentile(self._spec, field, n))
        return result

    async def apercentile(self, field: AggregationField | str, n: int) -> Figure:
        """`percentile`, awaiting."""
        result: Figure = await self._arun(flows.percentile(self._spec, field, n))
        return result

    def _aggregate(self, field: AggregationField | str, op: AggregationOp) -> Figure:
        result: Figure = self._run(flows.aggregate(self._spec, field, op))
        return result

    async def _aaggregate(self, field: AggregationField | str, op: AggregationOp) -> Figure:
        result: Figure = await self._arun(flows.aggregate(self._spec, field, op))
        return result


class Awaiting(Terminals[Figure, Number], frozen=True):
    """The same, where each terminal is its awaiting twin."""

    count = Terminals.acount  # type: ignore[assignment]  # the awaiting twin, on purpose
    events = Terminals.aevents  # type: ignore[assignment]  # as above
    traces = Terminals.atraces  # type: ignore[assignment]  # as above
    table = Terminals.atable  # type: ignore[assignment]  # as above
    export = Terminals.aexport  # type: ignore[assignment]  # as above
    export_and_wait = Terminals.aexport_and_wait  # type: ignore[assignment]  # as above
    iter_events = Terminals.aiter_events  # type: ignore[assignment]  # as above
    iter_rows = Terminals.aiter_rows  # type: ignore[assignment]  # as above
    time_precision = Terminals.atime_precision  # type: ignore[assignment]  # as above
    raw_aggregate = Terminals.araw_aggregate  # type: ignore[assignment]  # as above
    sum = Terminals.asum  # type: ignore[assignment]  # as above
    mean = Terminals.amean  # type: ignore[assignment]  # as above
    min = Terminals.amin  # type: ignore[assignment]  # as above
    max = Terminals.amax  # type: ignore[assignment]  # as above
    count_distinct = Terminals.acount_distinct  # type: ignore[assignment]  # as above
    percentile = Terminals.apercentile  # type: ignore[assignment]  # as above
