"""What one `where(...)` call adds to a query: positional filters and the twelve names.

Source: reference page "where"; docs/contract.md B3, C.
"""

from typing import Any

from vectorshift.analytics._enums import LogicalOp, choice, nearest
from vectorshift.analytics._filters import (
    Atom,
    EventField,
    FieldFilter,
    Filter,
    FilterGroup,
    Term,
    equal,
)
from vectorshift.analytics._literals import shown
from vectorshift.errors import AnalyticsInvalidQuery

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
    positional: tuple[Any, ...], logical_op: Any, keywords: dict[str, Any]
) -> tuple[Term, ...]:
    """Return the terms that one `where(...)` call adds. Positional arguments join by `logical_op`, named ones always AND."""
    joined = choice(LogicalOp, logical_op, "logical operator")
    terms = tuple(map(filterable, positional))
    if joined is LogicalOp.OR and terms:
        terms = (
            FilterGroup([atom for term in terms for atom in _alternatives(term)], LogicalOp.OR),
        )
    return (
        (*terms, *(_named(name, value) for name, value in keywords.items())) if keywords else terms
    )


def filterable(each: Any) -> Term:
    """Return a filter as it is; anything else, and a field that cannot be filtered, raises `AnalyticsInvalidQuery`."""
    if not isinstance(each, (Filter, FieldFilter, FilterGroup)):
        raise AnalyticsInvalidQuery(
            f"where() got {shown(each)}, which is not a filter. Use EventField operators, Filter, FieldFilter, FilterGroup, "
            f"or one of the names {', '.join(ALIASES)} as name=value."
        )
    if isinstance(each, FilterGroup):
        for atom in each.filters:
            filterable(atom)
    elif each.column.category == "aggregate":
        raise AnalyticsInvalidQuery(
            f"EventField.{each.column.name} is an aggregation/group-by dimension only; it cannot be filtered on."
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
        raise AnalyticsInvalidQuery(
            f"Unknown where() kwarg {name!r}.{nearest(name, list(ALIASES))}"
        )
    return equal(field, value)
