"""`Query`: a value with chain methods, and terminals that run it. Each terminal and its `a*` twin are one line each.

Terminals block; `a*` terminals are coroutines (asyncio). `Analytics.aquery()` returns an `AsyncQuery`, whose terminals
are the `a*` ones. Source: reference page "Refining a query" to "Data tables and export".
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from vectorshift.analytics import _flows as flows
from vectorshift.analytics import _spec as specs
from vectorshift.analytics._calls import Flow
from vectorshift.analytics._enums import (
    AggregationField,
    AggregationOp,
    ExportFormat,
    FieldOp,
    GroupBy,
    Interval,
    LogicalOp,
)
from vectorshift.analytics._fields import EventField
from vectorshift.analytics._filters import FieldFilter, Filter, FilterGroup, combine
from vectorshift.analytics._operations import AggregationOperation
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
from vectorshift.errors import ConfigurationError

if TYPE_CHECKING:
    from vectorshift._client import Client

T = TypeVar("T")
Progress = Callable[[int, int | None], None]
Slices = GroupBy | str | list[GroupBy | str] | list[GroupBy] | list[str]


class _Detached:
    """Stands for the client of a query that was pickled: its key stayed behind."""


@dataclass(frozen=True, slots=True, repr=False)
class _Runnable:
    """A spec with the client that runs it (None: the default client)."""

    _spec: specs.Spec
    _client: Any = field(default=None)

    def _bound(self) -> "Client":
        if self._client is None:
            from vectorshift._client import default_client

            return default_client()
        if self._client is _Detached:
            raise ConfigurationError(
                "this query was pickled without its client, because keys never are: give it one with query.using(client)."
            )
        client: Client = self._client
        return client

    def _run(self, flow: Flow[T]) -> T:
        return self._bound()._run(flow)

    async def _arun(self, flow: Flow[T]) -> T:
        return await self._bound()._arun(flow)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._spec, None if self._client is None else _Detached)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # immutable, and its client stays with it

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
        self, page_size: int = 500, progress: Progress | None = None
    ) -> Iterator[Event]:
        """Every matching event, newest pages first as the service orders them, each once; see `_paging.py`.

        `progress(rows so far, rows in all or None)` is called after each page. Ends complete, or raises
        `AnalyticsIncomplete`. Events that start after the walk began are not part of it.
        """
        from vectorshift.analytics import _paging as paging

        return paging.walk(paging.EventWalk(self._spec, page_size, progress), self._run)

    def aiter_events(
        self, page_size: int = 500, progress: Progress | None = None
    ) -> AsyncIterator[Event]:
        """`iter_events`, awaiting: `async for event in query.aiter_events()`."""
        from vectorshift.analytics import _paging as paging

        return paging.awalk(paging.EventWalk(self._spec, page_size, progress), self._arun)

    def iter_rows(
        self,
        columns: list[EventField | str] | list[EventField] | list[str],
        include_interface_data: bool = False,
        page_size: int = 500,
        progress: Progress | None = None,
    ) -> Iterator[DataTableRow]:
        """Every row of a table, each event once; like `iter_events`."""
        from vectorshift.analytics import _paging as paging

        return paging.walk(
            paging.RowWalk(self._spec, columns, include_interface_data, page_size, progress),
            self._run,
        )

    def aiter_rows(
        self,
        columns: list[EventField | str] | list[EventField] | list[str],
        include_interface_data: bool = False,
        page_size: int = 500,
        progress: Progress | None = None,
    ) -> AsyncIterator[DataTableRow]:
        """`iter_rows`, awaiting."""
        from vectorshift.analytics import _paging as paging

        return paging.awalk(
            paging.RowWalk(self._spec, columns, include_interface_data, page_size, progress),
            self._arun,
        )

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

    # --- the query as data ---

    def to_dict(self) -> dict[str, Any]:
        """The query as JSON values, without its client; `Query.from_dict` reads it back to an equal query."""
        return specs.to_dict(self._spec)


@dataclass(frozen=True, slots=True, repr=False)
class Query(_Runnable):
    """Which events: scope, filters, page defaults. Immutable, comparable, hashable, picklable; refining returns a copy."""

    def __repr__(self) -> str:
        parts = [
            f"{name}={value!r}"
            for name, value in specs.to_dict(self._spec).items()
            if name != "version"
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

    # --- refining ---

    def where(
        self,
        *positional: Filter | FieldFilter | FilterGroup,
        logical_op: LogicalOp | str = LogicalOp.AND,
        **kwargs: Any,
    ) -> Self:
        """Add conditions: filters, operator results, or the twelve names as `status="failure"`.

        Positional filters of one call join by `logical_op`; calls and names AND. Times must be timezone-aware. Raises
        `AnalyticsInvalidQuery` for anything that is no filter, an unknown name, or a field that cannot be filtered.
        """
        return replace(
            self,
            _spec=replace(
                self._spec, terms=self._spec.terms + combine(positional, logical_op, kwargs)
            ),
        )

    def group_by(self, slice_: Slices, interval: Interval | str | None = None) -> "_GroupedQuery":
        """Slice the following aggregations; `GroupBy.TIME` needs an interval."""
        return _GroupedQuery(self._spec.grouped(slice_, interval), self._client)

    def using(self, client: "Client") -> Self:
        """The same query, run by another client."""
        return replace(self, _client=client)

    def fan_out(self) -> list[Self]:
        """One query per value of this query's IN filter, which the hosted service is said not to answer (CONTRACT.md C).

        The values of a scope column exclude each other, so the counts and sums of the queries add up. A query without
        such a filter is returned as it is.
        """
        for index, term in enumerate(self._spec.terms):
            if isinstance(term, Filter) and term.op is FieldOp.IN:
                before, after = self._spec.terms[:index], self._spec.terms[index + 1 :]
                values = dict.fromkeys(term.value)
                return [
                    each
                    for value in values
                    for each in replace(
                        self,
                        _spec=replace(
                            self._spec, terms=(*before, Filter.eq(term.column, value), *after)
                        ),
                    ).fan_out()
                ]
        return [self]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], client: "Client | None" = None) -> Self:
        """Read what `to_dict` wrote, checking every part again. Raises `AnalyticsInvalidQuery`."""
        return cls(specs.from_dict(data), client)

    # --- aggregations: each needs a lower time bound ---

    def sum(self, field: AggregationField | str) -> float:
        """The sum of a field."""
        result: float = self._run(flows.aggregate(self._spec, field, AggregationOp.SUM))
        return result

    async def asum(self, field: AggregationField | str) -> float:
        """`sum`, awaiting."""
        result: float = await self._arun(flows.aggregate(self._spec, field, AggregationOp.SUM))
        return result

    def mean(self, field: AggregationField | str) -> float:
        """The mean of a field, within one calendar year; 0.0 when nothing matched."""
        result: float = self._run(flows.aggregate(self._spec, field, AggregationOp.MEAN))
        return result

    async def amean(self, field: AggregationField | str) -> float:
        """`mean`, awaiting."""
        result: float = await self._arun(flows.aggregate(self._spec, field, AggregationOp.MEAN))
        return result

    def min(self, field: AggregationField | str) -> float:
        """The least value of a field."""
        result: float = self._run(flows.aggregate(self._spec, field, AggregationOp.MIN))
        return result

    async def amin(self, field: AggregationField | str) -> float:
        """`min`, awaiting."""
        result: float = await self._arun(flows.aggregate(self._spec, field, AggregationOp.MIN))
        return result

    def max(self, field: AggregationField | str) -> float:
        """The greatest value of a field."""
        result: float = self._run(flows.aggregate(self._spec, field, AggregationOp.MAX))
        return result

    async def amax(self, field: AggregationField | str) -> float:
        """`max`, awaiting."""
        result: float = await self._arun(flows.aggregate(self._spec, field, AggregationOp.MAX))
        return result

    def count_distinct(self, field: AggregationField | str) -> int:
        """The number of different values of a field."""
        result: int = self._run(flows.aggregate(self._spec, field, AggregationOp.COUNT_DISTINCT))
        return result

    async def acount_distinct(self, field: AggregationField | str) -> int:
        """`count_distinct`, awaiting."""
        result: int = await self._arun(
            flows.aggregate(self._spec, field, AggregationOp.COUNT_DISTINCT)
        )
        return result

    def percentile(self, field: AggregationField | str, n: int) -> float:
        """The n-th percentile (50, 75, 95, 99) of latency or node_latency, in milliseconds."""
        result: float = self._run(flows.percentile(self._spec, field, n))
        return result

    async def apercentile(self, field: AggregationField | str, n: int) -> float:
        """`percentile`, awaiting."""
        result: float = await self._arun(flows.percentile(self._spec, field, n))
        return result


Slice = dict[str, float] | AggregationResult


@dataclass(frozen=True, slots=True, repr=False)
class _GroupedQuery(_Runnable):
    """A query with a group-by. One dimension gives `{slice label: figure}`, more give an `AggregationResult`."""

    def __repr__(self) -> str:
        return f"{Query(self._spec)!r}"

    def sum(self, field: AggregationField | str) -> Slice:
        """The sum of a field per slice."""
        result: Slice = self._run(flows.aggregate(self._spec, field, AggregationOp.SUM))
        return result

    async def asum(self, field: AggregationField | str) -> Slice:
        """`sum`, awaiting."""
        result: Slice = await self._arun(flows.aggregate(self._spec, field, AggregationOp.SUM))
        return result

    def mean(self, field: AggregationField | str) -> Slice:
        """The mean of a field per slice."""
        result: Slice = self._run(flows.aggregate(self._spec, field, AggregationOp.MEAN))
        return result

    async def amean(self, field: AggregationField | str) -> Slice:
        """`mean`, awaiting."""
        result: Slice = await self._arun(flows.aggregate(self._spec, field, AggregationOp.MEAN))
        return result

    def min(self, field: AggregationField | str) -> Slice:
        """The least value of a field per slice."""
        result: Slice = self._run(flows.aggregate(self._spec, field, AggregationOp.MIN))
        return result

    async def amin(self, field: AggregationField | str) -> Slice:
        """`min`, awaiting."""
        result: Slice = await self._arun(flows.aggregate(self._spec, field, AggregationOp.MIN))
        return result

    def max(self, field: AggregationField | str) -> Slice:
        """The greatest value of a field per slice."""
        result: Slice = self._run(flows.aggregate(self._spec, field, AggregationOp.MAX))
        return result

    async def amax(self, field: AggregationField | str) -> Slice:
        """`max`, awaiting."""
        result: Slice = await self._arun(flows.aggregate(self._spec, field, AggregationOp.MAX))
        return result

    def count_distinct(self, field: AggregationField | str) -> Slice:
        """The number of different values of a field per slice."""
        result: Slice = self._run(flows.aggregate(self._spec, field, AggregationOp.COUNT_DISTINCT))
        return result

    async def acount_distinct(self, field: AggregationField | str) -> Slice:
        """`count_distinct`, awaiting."""
        result: Slice = await self._arun(
            flows.aggregate(self._spec, field, AggregationOp.COUNT_DISTINCT)
        )
        return result

    def percentile(self, field: AggregationField | str, n: int) -> Slice:
        """The n-th percentile of latency or node_latency per slice, in milliseconds."""
        result: Slice = self._run(flows.percentile(self._spec, field, n))
        return result

    async def apercentile(self, field: AggregationField | str, n: int) -> Slice:
        """`percentile`, awaiting."""
        result: Slice = await self._arun(flows.percentile(self._spec, field, n))
        return result


TERMINALS = [
    "count",
    "events",
    "traces",
    "table",
    "export",
    "export_and_wait",
    "raw_aggregate",
    "sum",
    "mean",
    "min",
    "max",
    "count_distinct",
    "percentile",
    "iter_events",
    "iter_rows",
]


class AsyncQuery(Query):
    """A `Query` whose terminals are the awaiting ones: `await Analytics.aquery().count()`."""

    __slots__ = ()

    def group_by(
        self, slice_: Slices, interval: Interval | str | None = None
    ) -> "_AsyncGroupedQuery":
        """Slice the following aggregations; `GroupBy.TIME` needs an interval."""
        return _AsyncGroupedQuery(self._spec.grouped(slice_, interval), self._client)

    count = Query.acount  # type: ignore[assignment]  # the awaiting twin, on purpose
    events = Query.aevents  # type: ignore[assignment]  # as above
    traces = Query.atraces  # type: ignore[assignment]  # as above
    table = Query.atable  # type: ignore[assignment]  # as above
    export = Query.aexport  # type: ignore[assignment]  # as above
    export_and_wait = Query.aexport_and_wait  # type: ignore[assignment]  # as above
    raw_aggregate = Query.araw_aggregate  # type: ignore[assignment]  # as above
    sum = Query.asum  # type: ignore[assignment]  # as above
    mean = Query.amean  # type: ignore[assignment]  # as above
    min = Query.amin  # type: ignore[assignment]  # as above
    max = Query.amax  # type: ignore[assignment]  # as above
    count_distinct = Query.acount_distinct  # type: ignore[assignment]  # as above
    percentile = Query.apercentile  # type: ignore[assignment]  # as above
    iter_events = Query.aiter_events  # type: ignore[assignment]  # as above
    iter_rows = Query.aiter_rows  # type: ignore[assignment]  # as above


class _AsyncGroupedQuery(_GroupedQuery):
    """A grouped query whose terminals are the awaiting ones."""

    __slots__ = ()

    count = _GroupedQuery.acount  # type: ignore[assignment]  # the awaiting twin, on purpose
    events = _GroupedQuery.aevents  # type: ignore[assignment]  # as above
    traces = _GroupedQuery.atraces  # type: ignore[assignment]  # as above
    table = _GroupedQuery.atable  # type: ignore[assignment]  # as above
    export = _GroupedQuery.aexport  # type: ignore[assignment]  # as above
    export_and_wait = _GroupedQuery.aexport_and_wait  # type: ignore[assignment]  # as above
    raw_aggregate = _GroupedQuery.araw_aggregate  # type: ignore[assignment]  # as above
    sum = _GroupedQuery.asum  # type: ignore[assignment]  # as above
    mean = _GroupedQuery.amean  # type: ignore[assignment]  # as above
    min = _GroupedQuery.amin  # type: ignore[assignment]  # as above
    max = _GroupedQuery.amax  # type: ignore[assignment]  # as above
    count_distinct = _GroupedQuery.acount_distinct  # type: ignore[assignment]  # as above
    percentile = _GroupedQuery.apercentile  # type: ignore[assignment]  # as above
    iter_events = _GroupedQuery.aiter_events  # type: ignore[assignment]  # as above
    iter_rows = _GroupedQuery.aiter_rows  # type: ignore[assignment]  # as above
