"""Columns and the filters on them: `EventField`, whose operators build `Filter` (scope columns) and `FieldFilter` (data columns).

A filter has no truth value: `T1 <= FIELD < T2`, `a and b` and `not f` would each drop a condition in silence, so they
raise. Source: reference page "EventField", "EventField operators", "Filter helpers"; docs/contract.md A3, A7, B3.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NoReturn, TypeAlias

from msgspec import Struct
from msgspec.structs import force_setattr

from vectorshift.analytics import _literals as literals, _validation as check
from vectorshift.analytics._enums import EventStatus, FieldFilterOp, FieldOp, LogicalOp, choice
from vectorshift.errors import (
    AnalyticsInvalidQuery,
    AnalyticsTypeError,
    AnalyticsUnsupported,
)

Category = Literal["scope", "data", "aggregate"]
# Looking a member up in its class takes longer than comparing it.
_GT, _GTE, _LT, _LTE = FieldFilterOp.GT, FieldFilterOp.GTE, FieldFilterOp.LT, FieldFilterOp.LTE
_EQUAL = FieldOp.EQ


class EventField(StrEnum):
    """One column of an event; its value is the column's name on the wire.

    Comparing a member with a value builds a filter (`EventField.STATUS == "failure"`); comparing two members gives a
    plain bool, so members work in lists, sets and dicts.
    """

    OBJECT_ID = "ObjectId"
    PARENT_EVENT_ID = "ParentSpanId"
    OBJECT_INFO = "ObjectInfo"
    EVENT_ID = "SpanId"
    TRACE_ID = "TraceId"
    SESSION_SOURCE = "SessionSource"
    SESSION_COLLECTION = "SessionCollection"
    PROJECT_ID = "ProjectId"
    EXECUTION_ID = "ExecutionId"
    SOURCE = "SOURCE"
    EVENT_START_TIME = "SPAN_START_TIME"
    EVENT_END_TIME = "SPAN_END_TIME"
    STATUS = "STATUS"
    EVENT_ATTRIBUTES = "SPAN_ATTRIBUTES"
    CALLER = "CALLER"
    INTERFACE_DATA = "INTERFACE_DATA"
    INTERFACE_TYPE = "INTERFACE_TYPE"
    INTERFACE_NAME = "INTERFACE_NAME"
    ERROR_MESSAGE = "ERROR_MESSAGE"
    SESSION_NAME = "SESSION_NAME"
    SESSION_LAST_MESSAGE_TIME = "SESSION_LAST_MESSAGE_TIME"
    SESSION_USERS = "SESSION_USERS"
    SESSION_AI_SOURCE = "SESSION_AI_SOURCE"
    LATENCY = "LATENCY"
    MODEL_ID = "MODEL_ID"
    NODE_TYPE = "NODE_TYPE"

    __array_ufunc__ = None  # numpy's values leave comparisons to the column

    category: Category
    """`scope` (for `Filter`), `data` (for `FieldFilter`) or `aggregate` (group-by and table columns only)."""
    label: str
    """The column's label in a table: the member name in lower case. Source: docs/contract.md A4."""

    def __init__(self, name: str) -> None:
        self.label = self._name_.lower()
        self.category = "data" if name.isupper() else "scope"
        if self._name_ in ("LATENCY", "MODEL_ID", "NODE_TYPE"):
            self.category = "aggregate"

    def __eq__(self, other: object) -> Any:
        if isinstance(other, EventField):
            return self is other
        return equal(self, other)

    def __ne__(self, other: object) -> Any:
        if isinstance(other, EventField):
            return self is not other
        raise AnalyticsUnsupported(
            f"EventField.{self._name_} != value: the service has no NEQ operator. List the wanted values with in_([...])."
        )

    def __hash__(self) -> int:
        return hash(self._name_)

    def __gt__(self, other: Any) -> "FieldFilter":  # type: ignore[override]  # a filter, not a bool
        return FieldFilter(self, other, _GT)

    def __ge__(self, other: Any) -> "FieldFilter":  # type: ignore[override]  # a filter, not a bool
        return FieldFilter(self, other, _GTE)

    def __lt__(self, other: Any) -> "FieldFilter":  # type: ignore[override]  # a filter, not a bool
        return FieldFilter(self, other, _LT)

    def __le__(self, other: Any) -> "FieldFilter":  # type: ignore[override]  # a filter, not a bool
        return FieldFilter(self, other, _LTE)

    def in_(self, values: Iterable[Any]) -> "Filter | FieldFilter":
        """Any of `values`: IN on a scope field, INCLUDES on a data field."""
        return (
            Filter.in_(self, values)
            if self.category == "scope"
            else FieldFilter.includes(self, values)
        )

    def matches(self, pattern: str) -> "FieldFilter":
        """A regular expression, or a part of the text."""
        return FieldFilter.matches(self, pattern)

    def includes(self, values: Iterable[Any]) -> "FieldFilter":
        """Any of `values` (data fields)."""
        return FieldFilter.includes(self, values)


_COMPARISONS = frozenset(FieldFilterOp) - {FieldFilterOp.MATCHES, FieldFilterOp.INCLUDES}
_STATUS = EventField.STATUS
_STATUSES = frozenset(each.value for each in EventStatus)


class _Truthless:
    """Equality and hash that distinguish 1, 1.0 and True (as the wire does), and no truth value."""

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
    raise AnalyticsTypeError(
        f"a filter needs an EventField as its column, not {literals.shown(column)}."
    )


def _value(column: EventField, value: Any, *, several: bool) -> Any:
    """Return what a filter compares with, checked; a tuple where it is any of several."""
    label = f"a filter on EventField.{column.name}"
    values = literals.listed(value, label) if several else [value]
    if not values:
        raise AnalyticsInvalidQuery(
            f"{label} got an empty list, which can match nothing. Name at least one value."
        )
    for each in values:
        if isinstance(each, EventField):
            raise AnalyticsInvalidQuery(
                f"{label} got the column EventField.{each.name}: the service compares columns with values only."
            )
    checked = tuple(literals.scalar(each, label) for each in values)
    return checked if several else checked[0]


def _refuse_unjoinable(column: EventField, values: tuple[literals.Scalar, ...]) -> None:
    for each in values:
        if isinstance(each, (bool, float, datetime)) or "," in str(each):
            raise AnalyticsInvalidQuery(
                f"a filter on EventField.{column.name} got {literals.shown(each)}: the wire joins IN values by commas, so it would match "
                "something else. Query each value separately."
            )


class Filter(_Truthless, Struct, frozen=True, eq=False):
    """A condition on a scope column (OBJECT_ID, TRACE_ID, PROJECT_ID, EXECUTION_ID, …).

    `Filter.eq` and `Filter.in_` build it; a data column raises a TypeError that names `FieldFilter`.
    The hosted service is said to match nothing for IN with several values (docs/contract.md C): `Query.fan_out()` splits
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
        if self.op is _EQUAL and literals.goes_as_it_is(self.value):
            return
        force_setattr(self, "op", choice(FieldOp, self.op, "scope operator"))
        checked = _value(self.column, self.value, several=self.op is FieldOp.IN)
        if isinstance(checked, tuple) and len(checked) > 1:
            _refuse_unjoinable(self.column, checked)
        force_setattr(self, "value", checked)

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


class FieldFilter(_Truthless, Struct, frozen=True, eq=False):
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
        if (
            type(self.op) is FieldFilterOp  # not text that is equal to one
            and self.op in _COMPARISONS
            and literals.goes_as_it_is(self.value)
            and (self.column is not _STATUS or self.value in _STATUSES)
        ):
            return
        force_setattr(self, "op", choice(FieldFilterOp, self.op, "filter operator"))
        checked = _value(self.column, self.value, several=self.op is FieldFilterOp.INCLUDES)
        if self.op is FieldFilterOp.MATCHES:
            checked = check.text(checked, f"a pattern for EventField.{self.column.name}")
        if self.column is EventField.STATUS and self.op in (
            FieldFilterOp.EQ,
            FieldFilterOp.INCLUDES,
        ):
            checked = (
                tuple(map(check.status, checked))
                if isinstance(checked, tuple)
                else check.status(checked)
            )
        force_setattr(self, "value", checked)

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


class FilterGroup(_Truthless, Struct, frozen=True, eq=False):
    """Filters joined by one `LogicalOp`. Flat: a group inside a group is not representable on the wire."""

    filters: Any
    op: LogicalOp = LogicalOp.AND

    def __post_init__(self) -> None:
        force_setattr(self, "op", choice(LogicalOp, self.op, "logical operator"))
        if not isinstance(self.filters, (list, tuple)):
            raise AnalyticsTypeError(
                f"FilterGroup needs a list of filters, not {literals.shown(self.filters)}."
            )
        for each in self.filters:
            if isinstance(each, FilterGroup):
                raise AnalyticsInvalidQuery(
                    "a FilterGroup inside a FilterGroup is not representable on the wire: use a flat OR group, "
                    "and separate where() calls for AND."
                )
            if not isinstance(each, (Filter, FieldFilter)):
                raise AnalyticsInvalidQuery(
                    f"{literals.shown(each)} is not a filter; build one with EventField operators."
                )
        force_setattr(self, "filters", tuple(self.filters))

    def _key(self) -> tuple[Any, ...]:
        return self.op, self.filters


Term: TypeAlias = Filter | FieldFilter | FilterGroup


def equal(field: EventField, value: Any) -> Atom:
    """The column equals `value`: the filter that fits its category."""
    return Filter(field, value) if field.category == "scope" else FieldFilter(field, value)
