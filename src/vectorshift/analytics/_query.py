"""`Query`: a value with chain methods, and terminals that run it. Each terminal and its `a*` twin are one line each.

Terminals block; `a*` terminals are coroutines (asyncio). `Analytics.aquery()` returns an `AsyncQuery`, whose terminals
are the `a*` ones. Source: reference page "Refining a query" to "Data tables and export".
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from vectorshift.analytics import _flows as flows, _spec as specs
from vectorshift.analytics._enums import (
    AggregationField,
    AggregationOp,
    FieldOp,
    Interval,
    LogicalOp,
)
from vectorshift.analytics._filters import FieldFilter, Filter, FilterGroup, combine
from vectorshift.analytics._grouped import _AsyncGroupedQuery, _GroupedQuery
from vectorshift.analytics._runnable import Runnable, Slices

if TYPE_CHECKING:
    from vectorshift._client import Client


@dataclass(frozen=True, slots=True, repr=False)
class Query(Runnable):
    """Which events: scope, filters, page defaults. Immutable, comparable, hashable, picklable; refining returns a copy."""

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

    def group_by(self, slice_: Slices, interval: Interval | str | None = None) -> _GroupedQuery:
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


class AsyncQuery(Query):
    """A `Query` whose terminals are the awaiting ones: `await Analytics.aquery().count()`."""

    __slots__ = ()

    def group_by(
        self, slice_: Slices, interval: Interval | str | None = None
    ) -> _AsyncGroupedQuery:
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
