"""Which queries can be measured window by window, checked before any request.

An aggregation has no data filters and no OR on the wire (docs/contract.md A3, G2), and the windows are
the caller's. The service's client refuses such a query as well, but only when it is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration.errors import SpecError

if TYPE_CHECKING:
    from vectorshift.analytics import Query


def require_timeless(query: Query | None) -> None:
    """Refuse a query with its own time, which would cut the requested windows.

    None is every event. Raises `SpecError` for a condition on the start of events.
    """
    from vectorshift.analytics import EventField

    started = EventField.EVENT_START_TIME
    if any(term["field"] == started.name for term, _ in _terms(_where(query))):
        raise SpecError(
            f"The query has a condition on {started.label}, but windows are taken whole: leave time "
            "out of the query."
        )


def require_measurable(query: Query | None) -> None:
    """Refuse a query that no aggregation of a window can answer; None is every event.

    Raises `SpecError` like `require_timeless`, for a condition on a data column, and for
    alternatives (OR).
    """
    from vectorshift.analytics import EventField

    require_timeless(query)
    for term, is_alternative in _terms(_where(query)):
        field = EventField[term["field"]]
        if field.category != "scope":
            raise SpecError(
                f"No aggregation filters by the data column {field.label}, so this query cannot be "
                "measured: narrow it by object, kinds or scope columns, or export the events."
            )
        if is_alternative:
            raise SpecError(
                f"No aggregation takes alternatives (OR), here on {field.label}: list the values "
                "with in_([...]), or measure each alternative by itself."
            )


def has_alternatives(query: Query) -> bool:
    """Whether a query has an OR."""
    return any(is_alternative for _, is_alternative in _terms(_where(query)))


def _where(query: Query | None) -> Sequence[Mapping[str, Any]]:
    terms: Sequence[Mapping[str, Any]] = () if query is None else query.to_dict().get("where", ())
    return terms


def _terms(
    where: Sequence[Mapping[str, Any]], is_alternative: bool = False
) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """The single conditions, and whether another one beside it would do as well."""
    for term in where:
        if "filters" in term:
            inner = term["filters"]
            yield from _terms(inner, is_alternative or (term["op"] == "OR" and len(inner) > 1))
        else:
            yield term, is_alternative
