"""Filters as values: `Filter` (scope columns), `FieldFilter` (data columns) and `FilterGroup`.

A filter has no truth value: `T1 <= FIELD < T2`, `a and b` and `not f` would each drop a condition in silence, so they
raise. Source: reference page "Filter helpers", "EventField operators"; CONTRACT.md A3, B3.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from vectorshift.analytics import _validation as check
from vectorshift.analytics._enums import FieldFilterOp, FieldOp, LogicalOp, choice
from vectorshift.analytics._fields import EventField
from vectorshift.errors import AnalyticsInvalidQuery, AnalyticsTypeError


class _Truthless:
    """Equality and hash that tell 1, 1.0 and True apart (the wire does), and no truth value."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        raise AnalyticsTypeError(
            "a filter has no truth value, so `a < FIELD < b`, `a and b`, `a or b` and `not f` cannot work. "
            "Pass both filters: where(FIELD >= a, FIELD < b); for either of them use logical_op=LogicalOp.OR."
        )

    def _key(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._key()))


def _typed(value: Any) -> tuple[Any, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple((type(each).__name__, each) for each in values)


def _column(column: Any) -> EventField:
    if isinstance(column, EventField):
        return column
    raise AnalyticsTypeError(f"a filter needs an EventField as its column, not {column!r}.")


@dataclass(frozen=True, slots=True, eq=False)
class Filter(_Truthless):
    """A condition on a scope column (OBJECT_ID, TRACE_ID, PROJECT_ID, EXECUTION_ID, …).

    `Filter.eq` and `Filter.in_` build it; a data column raises a TypeError that names `FieldFilter`.
    The hosted service is said to match nothing for IN with several values (CONTRACT.md C): `Query.fan_out()` splits
    such a query into one query per value, whose counts and sums add up.
    """

    column: EventField
    value: Any
    op: FieldOp = FieldOp.EQ

    def __post_init__(self) -> None:
        if _column(self.column).category != "scope":
            raise AnalyticsTypeError(
                f"EventField.{self.column.name} is a data column: use FieldFilter.eq(...) or an operator, not Filter."
            )
        object.__setattr__(self, "op", choice(FieldOp, self.op, "scope operator"))
        what = f"a filter on EventField.{self.column.name}"
        checked = (
            check.scalars(self.value, what)
            if self.op is FieldOp.IN
            else check.scalar(self.value, what)
        )
        if (
            isinstance(checked, tuple)
            and any("," in str(value) for value in checked)
            and len(checked) > 1
        ):
            raise AnalyticsInvalidQuery(
                f"{what} got a value with a comma: the wire joins IN values by commas, so it would match something else. "
                "Query each value separately."
            )
        object.__setattr__(self, "value", checked)

    @classmethod
    def eq(cls, column: EventField, value: Any) -> "Filter":
        """The column equals `value`."""
        return cls(column, value, FieldOp.EQ)

    @classmethod
    def in_(cls, column: EventField, values: Iterable[Any]) -> "Filter":
        """The column is any of `values`."""
        return cls(column, values, FieldOp.IN)

    def _key(self) -> tuple[Any, ...]:
        return self.column, self.op, _typed(self.value)


@dataclass(frozen=True, slots=True, eq=False)
class FieldFilter(_Truthless):
    """A condition on a data column (STATUS, ERROR_MESSAGE, EVENT_START_TIME, INTERFACE_TYPE, …).

    Raises `AnalyticsInvalidQuery` for a scope column, a naive datetime, a status that does not exist, or a value that
    the wire cannot carry. Comparisons of `EVENT_START_TIME` with a datetime are the time bounds of a query.
    """

    column: EventField
    value: Any
    op: FieldFilterOp = FieldFilterOp.EQ

    def __post_init__(self) -> None:
        if _column(self.column).category == "scope":
            raise AnalyticsInvalidQuery(
                f"EventField.{self.column.name} is a scope column: it can only be compared for equality, "
                "with Filter.eq(...), Filter.in_(...) or ==."
            )
        object.__setattr__(self, "op", choice(FieldFilterOp, self.op, "filter operator"))
        what = f"a filter on EventField.{self.column.name}"
        several = self.op is FieldFilterOp.INCLUDES
        checked = check.scalars(self.value, what) if several else check.scalar(self.value, what)
        if self.op is FieldFilterOp.MATCHES:
            checked = check.text(self.value, f"{what}: the pattern")
        if self.column is EventField.STATUS and self.op in (
            FieldFilterOp.EQ,
            FieldFilterOp.INCLUDES,
        ):
            checked = (
                tuple(map(check.status, checked))
                if isinstance(checked, tuple)
                else check.status(checked)
            )
        object.__setattr__(self, "value", checked)

    @classmethod
    def eq(cls, column: EventField, value: Any) -> "FieldFilter":
        """The column equals `value`."""
        return cls(column, value, FieldFilterOp.EQ)

    @classmethod
    def gt(cls, column: EventField, value: Any) -> "FieldFilter":
        """The column is greater than `value`."""
        return cls(column, value, FieldFilterOp.GT)

    @classmethod
    def gte(cls, column: EventField, value: Any) -> "FieldFilter":
        """The column is `value` or greater."""
        return cls(column, value, FieldFilterOp.GTE)

    @classmethod
    def lt(cls, column: EventField, value: Any) -> "FieldFilter":
        """The column is less than `value`."""
        return cls(column, value, FieldFilterOp.LT)

    @classmethod
    def lte(cls, column: EventField, value: Any) -> "FieldFilter":
        """The column is `value` or less."""
        return cls(column, value, FieldFilterOp.LTE)

    @classmethod
    def matches(cls, column: EventField, pattern: str) -> "FieldFilter":
        """The column matches a regular expression, or contains the text."""
        return cls(column, pattern, FieldFilterOp.MATCHES)

    @classmethod
    def includes(cls, column: EventField, values: Iterable[Any]) -> "FieldFilter":
        """The column is, or holds, any of `values`."""
        return cls(column, values, FieldFilterOp.INCLUDES)

    def _key(self) -> tuple[Any, ...]:
        return self.column, self.op, _typed(self.value)


Atom: TypeAlias = Filter | FieldFilter


@dataclass(frozen=True, slots=True, eq=False)
class FilterGroup(_Truthless):
    """Filters joined by one `LogicalOp`. Flat: a group inside a group is not representable on the wire."""

    filters: Any
    op: LogicalOp = LogicalOp.AND

    def __post_init__(self) -> None:
        object.__setattr__(self, "op", choice(LogicalOp, self.op, "logical operator"))
        if not isinstance(self.filters, (list, tuple)):
            raise AnalyticsTypeError(f"FilterGroup needs a list of filters, not {self.filters!r}.")
        for each in self.filters:
            if isinstance(each, FilterGroup):
                raise AnalyticsInvalidQuery(
                    "a FilterGroup inside a FilterGroup is not representable on the wire: use a flat OR group, "
                    "and separate where() calls for AND."
                )
            if not isinstance(each, (Filter, FieldFilter)):
                raise AnalyticsInvalidQuery(
                    f"{each!r} is no filter; build one with EventField operators."
                )
        object.__setattr__(self, "filters", tuple(self.filters))

    def _key(self) -> tuple[Any, ...]:
        return self.op, self.filters


Term: TypeAlias = Filter | FieldFilter | FilterGroup

ALIASES: dict[str, EventField] = {
    field.label: field
    for field in (
        EventField.TRACE_ID,
        EventField.SESSION_SOURCE,
        EventField.SOURCE,
        EventField.EVENT_START_TIME,
        EventField.EVENT_END_TIME,
        EventField.STATUS,
        EventField.CALLER,
        EventField.INTERFACE_TYPE,
        EventField.INTERFACE_NAME,
        EventField.ERROR_MESSAGE,
        EventField.SESSION_NAME,
        EventField.SESSION_USERS,
    )
}


def combine(
    positional: tuple[Any, ...], logical_op: Any, named: dict[str, Any]
) -> tuple[Term, ...]:
    """Return the terms that one `where(...)` call adds. Positional arguments join by `logical_op`, named ones always AND.

    Source: reference page "where" (three forms, the 12 aliases); CONTRACT.md B3, C.
    """
    joined = choice(LogicalOp, logical_op, "logical operator")
    terms = tuple(filterable(each) for each in positional)
    if joined is LogicalOp.OR and terms:
        terms = (
            FilterGroup([atom for term in terms for atom in _alternatives(term)], LogicalOp.OR),
        )
    return terms + tuple(_named(name, value) for name, value in named.items())


def filterable(each: Any) -> Term:
    if not isinstance(each, (Filter, FieldFilter, FilterGroup)):
        raise AnalyticsInvalidQuery(
            f"where() got {each!r}, which is no filter. Use EventField operators, Filter, FieldFilter, FilterGroup, "
            f"or one of the names {', '.join(ALIASES)} as name=value."
        )
    for atom in each.filters if isinstance(each, FilterGroup) else (each,):
        if atom.column.category == "aggregate":
            raise AnalyticsInvalidQuery(
                f"EventField.{atom.column.name} is an aggregation/group-by dimension only; it cannot be filtered on."
            )
    return each


def _alternatives(term: Term) -> tuple[Atom, ...]:
    if not isinstance(term, FilterGroup):
        return (term,)
    if term.op is LogicalOp.AND and len(term.filters) > 1:
        raise AnalyticsInvalidQuery(
            "an AND group as one alternative of an OR is not representable on the wire: query each alternative separately."
        )
    atoms: tuple[Atom, ...] = term.filters
    return atoms


def _named(name: str, value: Any) -> Atom:
    field = ALIASES.get(name)
    if field is None:
        from vectorshift.analytics._enums import nearest

        raise AnalyticsInvalidQuery(
            f"Unknown where() kwarg {name!r}.{nearest(name, list(ALIASES))}"
        )
    return Filter.eq(field, value) if field.category == "scope" else FieldFilter.eq(field, value)
