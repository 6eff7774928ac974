"""What a query selects, as one plain value, and its JSON form. No HTTP, no client.

Source: reference page "query", "group_by"; docs/contract.md B2.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from vectorshift.analytics import _literals as literals, _validation as check
from vectorshift.analytics._enums import (
    EventKind,
    FieldFilterOp,
    FieldOp,
    GroupBy,
    Interval,
    choice,
    kinds_of,
    nearest,
)
from vectorshift.analytics._filters import EventField, FieldFilter, Filter, FilterGroup, Term
from vectorshift.analytics._where import filterable
from vectorshift.errors import AnalyticsInvalidQuery, AnalyticsTypeError

VERSION = 1


class Spec(Struct, frozen=True, dict=True):
    """Scope, filters, page defaults and grouping of one query."""

    object_id: str | None = None
    object_type: str | None = None
    kinds: tuple[EventKind, ...] = ()
    terms: tuple[Term, ...] = ()
    limit: int = 50
    offset: int = 0
    dims: tuple[GroupBy, ...] = ()
    interval: Interval | None = None

    @property
    def plans(self) -> dict[str, Any]:
        """What was made of it, plans by verb and the request for its own page: once for this very object, whatever else is equal to it."""
        return self.__dict__

    def narrowed(self, terms: tuple[Term, ...]) -> "Spec":
        """The same with more conditions."""
        return Spec(
            self.object_id,
            self.object_type,
            self.kinds,
            self.terms + terms,
            self.limit,
            self.offset,
            self.dims,
            self.interval,
        )

    def grouped(self, slices: Any, interval: Any) -> "Spec":
        """The same with a group-by."""
        dims = dimensions(slices)
        return replace(self, dims=dims, interval=check.interval_for(GroupBy.TIME in dims, interval))


def dimensions(slices: Any) -> tuple[GroupBy, ...]:
    """Read one dimension or a list of them; duplicates are refused because their answer would be ambiguous."""
    if isinstance(slices, str):
        slices = [slices]
    if not isinstance(slices, (list, tuple)):
        raise AnalyticsTypeError(
            f"group_by needs a GroupBy or a list of them, not {literals.shown(slices)}."
        )
    dims = tuple(choice(GroupBy, each, "group-by dimension") for each in slices)
    if len(set(dims)) < len(dims):
        raise AnalyticsInvalidQuery(f"group_by names a dimension twice: {', '.join(dims)}.")
    return dims


def scoped(
    *, object: Any, object_type: Any, object_ids: Any, kinds: Any, limit: Any, offset: Any
) -> Spec:
    """Resolve the arguments of `Analytics.query(...)`. A scope is one object, or all objects of a type, or everything.

    `object_type=` alone becomes the kinds of that entity, because the wire has no field for it; an entity without
    kinds is refused rather than widened to everything.
    """
    ids = check.identifiers(object_ids, "object_ids")
    chosen: tuple[EventKind, ...] = ()
    derived = None
    if object is not None:
        handles = list(object) if isinstance(object, (list, tuple)) else [object]
        parts = [(_handle_id(each), _handle_type(each), _handle_kinds(each)) for each in handles]
        ids = [each[0] for each in parts] + ids
        derived = parts[0][1] if parts else None
        chosen = tuple(dict.fromkeys(kind for each in parts for kind in each[2]))
    unique = tuple(dict.fromkeys(ids)) if len(ids) > 1 else ids
    if len(unique) > 1:
        raise AnalyticsInvalidQuery(
            f"a query is scoped to a single id, not {len(unique)} ({', '.join(unique[:3])}, …): "
            "the engine matches one id per scope filter. Query each separately and merge the results."
        )
    object_id = unique[0] if unique else None
    explicit_type = (
        check.text(object_type, "object_type").lower() if object_type is not None else None
    )
    if kinds is not None:
        chosen = event_kinds(kinds)
    if object_id is None and explicit_type is not None:
        chosen = _kinds_of_type(explicit_type, chosen)
    size, start = check.limit(limit), check.offset(offset)
    return Spec(object_id, explicit_type or derived, chosen, (), size, start)


def event_kinds(values: Any) -> tuple[EventKind, ...]:
    names = literals.listed(values, "kinds")
    return tuple(dict.fromkeys(choice(EventKind, each, "event kind") for each in names))


def _kinds_of_type(object_type: str, chosen: tuple[EventKind, ...]) -> tuple[EventKind, ...]:
    members = kinds_of(object_type)
    if not members:
        entities = list(dict.fromkeys(kind.entity for kind in EventKind))
        raise AnalyticsInvalidQuery(
            f"object_type={object_type!r} has no event kinds of its own, so it cannot scope a query by itself: "
            f"name an object as well.{nearest(object_type, entities)}"
        )
    if foreign := [kind.value for kind in chosen if kind.entity != object_type]:
        raise AnalyticsInvalidQuery(
            f"object_type={object_type!r} and kinds={foreign} exclude each other: no event is of both."
        )
    return chosen or members


def _handle_id(handle: Any) -> str:
    for name in ("id", "object_id", "session_id"):
        value = getattr(handle, name, None)
        if value is not None and not callable(value):
            return check.identifier(value, f"{type(handle).__name__}.{name}")
    raise AnalyticsTypeError(
        f"object= must be a resource instance with an id, not {literals.shown(handle)}; for a raw id use object_ids=['…']."
    )


def _handle_type(handle: Any) -> str:
    return type(handle).__name__.lower()


def _handle_kinds(handle: Any) -> tuple[EventKind, ...]:
    return event_kinds(list(getattr(handle, "_analytics_kinds", ())))


def handle_of(handle: Any) -> tuple[str, str]:
    """Return (id, type) of a resource instance."""
    return _handle_id(handle), _handle_type(handle)


def to_dict(spec: Spec) -> dict[str, Any]:
    """The query as JSON values; empty parts are left out. `from_dict` reads it back to an equal query."""
    parts: dict[str, Any] = {
        "version": VERSION,
        "object_id": spec.object_id,
        "object_type": spec.object_type,
        "kinds": [kind.value for kind in spec.kinds],
        "where": [_term_to_dict(term) for term in spec.terms],
        "limit": spec.limit,
        "offset": spec.offset,
        "group_by": [dim.value for dim in spec.dims],
        "interval": spec.interval.value if spec.interval else None,
    }
    return {name: value for name, value in parts.items() if value not in (None, [])}


def from_dict(data: Mapping[str, Any]) -> Spec:
    """Read what `to_dict` wrote, checking everything again. Unknown keys are refused with the nearest known one."""
    keys = [
        "version",
        "object_id",
        "object_type",
        "kinds",
        "where",
        "limit",
        "offset",
        "group_by",
        "interval",
    ]
    if not isinstance(data, Mapping):
        raise AnalyticsTypeError(f"a query's JSON form is an object, not {literals.shown(data)}.")
    for key in data:
        if key not in keys:
            raise AnalyticsInvalidQuery(
                f"{key!r} is not a key of a query.{nearest(str(key), keys)}"
            )
    if data.get("version", VERSION) != VERSION:
        raise AnalyticsInvalidQuery(
            f"this query was written by version {literals.shown(data['version'])}; this is version {VERSION}."
        )
    object_id = data.get("object_id")
    spec = scoped(
        object=None,
        object_type=data.get("object_type"),
        object_ids=None if object_id is None else [object_id],
        kinds=data.get("kinds"),
        limit=data.get("limit", 50),
        offset=data.get("offset", 0),
    )
    spec = replace(spec, terms=tuple(map(_term_from_dict, _listed(data.get("where", []), "where"))))
    if data.get("group_by"):
        return spec.grouped(data["group_by"], data.get("interval"))
    if data.get("interval") is not None:
        raise AnalyticsInvalidQuery("an interval needs a group_by that contains TIME.")
    return spec


def _listed(value: Any, label: str) -> list[Any]:
    if not isinstance(value, list):
        raise AnalyticsTypeError(f"{label} must be a list of filters, not {literals.shown(value)}.")
    return value


def _term_to_dict(term: Term) -> dict[str, Any]:
    if isinstance(term, FilterGroup):
        return {"op": term.op.value, "filters": [_term_to_dict(each) for each in term.filters]}
    several = isinstance(term.value, tuple)
    value = [_value_to_json(each) for each in term.value] if several else _value_to_json(term.value)
    return {"field": term.column.name, "op": term.op.name, "value": value}


def _value_to_json(value: Any) -> Any:
    return {"datetime": datetime.isoformat(value)} if isinstance(value, datetime) else value


def _value_from_json(value: Any) -> Any:
    if isinstance(value, Mapping) and set(value) == {"datetime"}:
        try:
            return datetime.fromisoformat(value["datetime"])
        except (TypeError, ValueError) as error:
            raise AnalyticsInvalidQuery(
                f"{literals.shown(value['datetime'])} is not an ISO datetime: {error}."
            ) from None
    return value


def _term_from_dict(data: Any) -> Term:
    if not isinstance(data, Mapping) or not (
        set(data) == {"op", "filters"} or set(data) == {"field", "op", "value"}
    ):
        raise AnalyticsInvalidQuery(
            f"{literals.shown(data)} is not a filter: it needs the keys field, op and value, or op and filters for a group."
        )
    if "filters" in data:
        members = _listed(data["filters"], "the filters of a group")
        return FilterGroup([_term_from_dict(each) for each in members], data["op"])
    column = choice(EventField, data["field"], "event field")
    raw = data["value"]
    value = tuple(map(_value_from_json, raw)) if isinstance(raw, list) else _value_from_json(raw)
    kind: Literal["scope", "data", "aggregate"] = column.category
    built: Term = (
        Filter(column, value, choice(FieldOp, data["op"], "scope operator"))
        if kind == "scope"
        else FieldFilter(column, value, choice(FieldFilterOp, data["op"], "filter operator"))
    )
    return filterable(built)
