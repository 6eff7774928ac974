"""Queries with a group-by: the same aggregations, one figure per slice. Source: reference page "group_by"."""

from dataclasses import dataclass

from vectorshift.analytics import _flows as flows
from vectorshift.analytics._enums import AggregationField, AggregationOp
from vectorshift.analytics._results import AggregationResult
from vectorshift.analytics._runnable import Runnable

Slice = dict[str, float] | AggregationResult


@dataclass(frozen=True, slots=True, repr=False)
class _GroupedQuery(Runnable):
    """A query with a group-by. One dimension gives `{slice label: figure}`, more give an `AggregationResult`."""

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
