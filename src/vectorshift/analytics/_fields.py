"""`EventField`: the columns of an event, and the operators that turn them into filters.

Source: reference page "EventField", "EventField operators"; wire values from CONTRACT.md A7.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vectorshift.analytics._filters import FieldFilter, Filter

Category = Literal["scope", "data", "aggregate"]


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

    @property
    def category(self) -> Category:
        """`scope` (for `Filter`), `data` (for `FieldFilter`) or `aggregate` (group-by and table columns only)."""
        if self._name_ in _AGGREGATE_ONLY:
            return "aggregate"
        return "data" if self._value_.isupper() else "scope"

    @property
    def label(self) -> str:
        """The column's label in a table: the member name in lower case. Source: CONTRACT.md A4."""
        return self._name_.lower()

    def __eq__(self, other: object) -> Any:
        if isinstance(other, EventField):
            return self is other
        return _equal(self, other)

    def __ne__(self, other: object) -> Any:
        if isinstance(other, EventField):
            return self is not other
        raise NotImplementedError(
            f"EventField.{self._name_} != value: the service has no NEQ operator. List the wanted values with includes([...])."
        )

    def __hash__(self) -> int:
        return hash(self._name_)

    def __gt__(self, other: Any) -> "FieldFilter":  # type: ignore[override]  # a filter, not a bool
        return _field_filter().gt(self, other)

    def __ge__(self, other: Any) -> "FieldFilter":  # type: ignore[override]  # a filter, not a bool
        return _field_filter().gte(self, other)

    def __lt__(self, other: Any) -> "FieldFilter":  # type: ignore[override]  # a filter, not a bool
        return _field_filter().lt(self, other)

    def __le__(self, other: Any) -> "FieldFilter":  # type: ignore[override]  # a filter, not a bool
        return _field_filter().lte(self, other)

    def in_(self, values: Iterable[Any]) -> "Filter | FieldFilter":
        """Any of `values`: IN on a scope field, INCLUDES on a data field."""
        from vectorshift.analytics._filters import FieldFilter, Filter

        return (
            Filter.in_(self, values)
            if self.category == "scope"
            else FieldFilter.includes(self, values)
        )

    def matches(self, pattern: str) -> "FieldFilter":
        """A regular expression, or a part of the text."""
        return _field_filter().matches(self, pattern)

    def includes(self, values: Iterable[Any]) -> "FieldFilter":
        """Any of `values` (data fields)."""
        return _field_filter().includes(self, values)


_AGGREGATE_ONLY = frozenset({"LATENCY", "MODEL_ID", "NODE_TYPE"})


def _field_filter() -> "type[FieldFilter]":
    from vectorshift.analytics._filters import FieldFilter

    return FieldFilter


def _equal(field: EventField, value: object) -> "Filter | FieldFilter":
    from vectorshift.analytics._filters import FieldFilter, Filter

    if field.category == "scope":
        return Filter.eq(field, value)
    return FieldFilter.eq(field, value)
