"""`Query`: a value with chain methods, and terminals that run it.

`Analytics.aquery()` returns an `AsyncQuery`, whose terminals are the `a*` ones. Source: reference page "Refining a query".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar, overload

from msgspec.structs import replace

from vectorshift.analytics._enums import FieldOp, GroupBy, Interval, LogicalOp
from vectorshift.analytics._filters import FieldFilter, Filter, FilterGroup
from vectorshift.analytics._spec import from_dict, scoped as scoped
from vectorshift.analytics._terminals import Awaiting, Slices, Terminals
from vectorshift.analytics._where import combine

if TYPE_CHECKING:
    from vectorshift._account import Account
    from vectorshift.analytics._results import AggregationResult

Sliced = TypeVar("Sliced")
Flat: TypeAlias = dict[str, float]
One: TypeAlias = GroupBy | str
"""A dimension."""


class _GroupedQuery(Terminals[Sliced, Sliced], Generic[Sliced], frozen=True):
    """A query with a group-by: one dimension gives `{slice label: figure}`, more give an `AggregationResult`."""


class _AsyncGroupedQuery(Awaiting[Sliced, Sliced], _GroupedQuery[Sliced], frozen=True):
    """A grouped query whose terminals are the awaiting ones."""


class Query(Terminals[float, int], frozen=True):
    """Which events: scope, filters, page defaults. Immutable, comparable, hashable, picklable; refining returns a copy."""

    def where(
        self,
        *positional: Filter | FieldFilter | FilterGroup,
        logical_op: LogicalOp | str = LogicalOp.AND,
        **kwargs: Any,
    ) -> Self:
        """Add conditions: filters, operator results, or the twelve names as `status="failure"`.

        Positional filters of one call join by `logical_op`; calls and names AND. Times must be timezone-aware. Raises
        `AnalyticsInvalidQuery` for anything that is not a filter, an unknown name, or a field that cannot be filtered.
        """
        return type(self)(
            self._spec.narrowed(combine(positional, logical_op, kwargs)), self._client
        )

    @overload
    def group_by(
        self, slice_: One | tuple[One], interval: Interval | str | None = None
    ) -> _GroupedQuery[Flat]: ...
    @overload
    def group_by(
        self, slice_: tuple[One, One, *tuple[One, ...]], interval: Interval | str | None = None
    ) -> _GroupedQuery[AggregationResult]: ...
    @overload
    def group_by(
        self, slice_: Slices, interval: Interval | str | None = None
    ) -> _GroupedQuery[Flat | AggregationResult]: ...
    def group_by(
        self, slice_: Slices, interval: Interval | str | None = None
    ) -> _GroupedQuery[Any]:
        """Slice the following aggregations by one dimension or several; `GroupBy.TIME` needs an interval.

        One dimension gives `{slice label: figure}`, several give an `AggregationResult`. A type checker knows how many a
        tuple holds; of a list it knows only that it is one of the two.
        """
        return _GroupedQuery(self._spec.grouped(slice_, interval), self._client)

    def using(self, client: Account) -> Self:
        """The same query, run by another client."""
        return replace(self, _client=client)

    def fan_out(self) -> list[Self]:
        """One query per value of this query's IN filter, which the hosted service is said not to answer (docs/contract.md C).

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
    def from_dict(cls, data: Mapping[str, Any], client: Account | None = None) -> Self:
        """Read what `to_dict` wrote, checking every part again. Raises `AnalyticsInvalidQuery`."""
        return cls(from_dict(data), client)


class AsyncQuery(Awaiting[float, int], Query, frozen=True):
    """A `Query` whose terminals are the awaiting ones: `await Analytics.aquery().count()`."""

    @overload
    def group_by(
        self, slice_: One | tuple[One], interval: Interval | str | None = None
    ) -> _AsyncGroupedQuery[Flat]: ...
    @overload
    def group_by(
        self, slice_: tuple[One, One, *tuple[One, ...]], interval: Interval | str | None = None
    ) -> _AsyncGroupedQuery[AggregationResult]: ...
    @overload
    def group_by(
        self, slice_: Slices, interval: Interval | str | None = None
    ) -> _AsyncGroupedQuery[Flat | AggregationResult]: ...
    def group_by(
        self, slice_: Slices, interval: Interval | str | None = None
    ) -> _AsyncGroupedQuery[Any]:
        """Slice the following aggregations by one dimension or several; `GroupBy.TIME` needs an interval.

        One dimension gives `{slice label: figure}`, several give an `AggregationResult`. A type checker knows how many a
        tuple holds; of a list it knows only that it is one of the two.
        """
        return _AsyncGroupedQuery(self._spec.grouped(slice_, interval), self._client)
