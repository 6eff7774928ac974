"""Filters as they are written under `where` of a query's description.

    where:
      - status: failure                                  equal
      - error_message: {matches: "quota|rate"}           an operator and its value
      - event_start_time: {gte: "2026-11-22T00:00:00Z"}  times are ISO 8601 with Z or an offset
      - any:                                             one of several (OR)
          - interface_type: {in: [form, voicebot]}
          - source: api

Everything in the list must hold. A condition has one field, named like the members of `EventField`
in lower case. The operators are eq, gt, gte, lt, lte, matches and in, which is IN on a scope field
and INCLUDES on a data field (docs/contract.md A3, A7). The other side of the translation is the JSON of
`Query.to_dict`, and `Query.from_dict` checks what comes out of here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs.documents import nearest

_OPERATORS = {
    "eq": "EQ",
    "gt": "GT",
    "gte": "GTE",
    "lt": "LT",
    "lte": "LTE",
    "matches": "MATCHES",
    "in": "INCLUDES",
}
_SHORT_NAMES = {name: word for word, name in _OPERATORS.items()} | {"IN": "in"}
_GROUPS = {"any": "OR", "all": "AND"}
_TIMES = frozenset({"EVENT_START_TIME", "EVENT_END_TIME", "SESSION_LAST_MESSAGE_TIME"})


def read(condition: Any) -> list[dict[str, Any]]:
    """The filters that a condition stands for, as terms of `Query.from_dict`.

    Raises `SpecError` for an unknown field or operator, with the nearest one, and for a time that
    is not an ISO 8601 text with an offset.
    """
    if not isinstance(condition, Mapping) or len(condition) != 1:
        raise SpecError(
            f"{condition!r} is not a condition: it has exactly one field, as in {{status: failure}}, "
            "or any with a list of conditions. Write several fields as several conditions."
        )
    [(name, value)] = condition.items()
    if name in _GROUPS:
        return [_read_group(name, value)]
    field = _field(name)
    comparisons = value if isinstance(value, Mapping) else {"eq": value}
    if not comparisons:
        raise SpecError(f"The condition on {name} has no operator. {nearest('', _OPERATORS)}")
    return [_term(field, operator, operand) for operator, operand in comparisons.items()]


def write(term: Mapping[str, Any]) -> dict[str, Any]:
    """The condition that stands for one term of `Query.to_dict`; `read` reads it back.

    Raises `SpecError` for the two terms that have no readable form: a text compared with a time
    field, and a time compared with any other.
    """
    if "filters" in term:
        name = next(name for name, op in _GROUPS.items() if op == term["op"])
        return {name: [write(each) for each in term["filters"]]}
    field, name = term["field"], _SHORT_NAMES[term["op"]]
    several = isinstance(term["value"], list)
    values = [
        _write_value(field, name, each) for each in (term["value"] if several else [term["value"]])
    ]
    operand: Any = values if several else values[0]
    return {field.lower(): operand if name == "eq" else {name: operand}}


def _read_group(name: str, conditions: Any) -> dict[str, Any]:
    if not isinstance(conditions, list | tuple) or not conditions:
        raise SpecError(f"{name} takes a list of at least one condition, not {conditions!r}.")
    members = [read(each) for each in conditions]
    if name == "any" and any(len(each) > 1 or "filters" in each[0] for each in members):
        raise SpecError(
            "Each alternative of any is one field with one operator: the wire has no groups inside "
            "of groups. Query each alternative by itself."
        )
    return {"op": _GROUPS[name], "filters": [term for each in members for term in each]}


def _field(name: Any) -> Any:
    from vectorshift.analytics import EventField

    fields = {field.label: field for field in EventField}
    if name not in fields:
        raise SpecError(f"Field {name!r} does not exist. {nearest(name, [*fields, *_GROUPS])}")
    return fields[name]


def _term(field: Any, name: Any, operand: Any) -> dict[str, Any]:
    if name not in _OPERATORS:
        raise SpecError(
            f"Operator {name!r} does not exist for {field.label}. {nearest(name, _OPERATORS)}"
        )
    several = isinstance(operand, list | tuple)
    if several != (name == "in"):
        raise SpecError(
            f"{field.label} {name} {operand!r}: a list goes with in, and only with in, "
            f"as in {{{field.label}: {{in: [a, b]}}}}."
        )
    op = "IN" if name == "in" and field.category == "scope" else _OPERATORS[name]
    timed = field.name in _TIMES and name != "matches"
    values = [
        _time(field.label, each) if timed else each for each in (operand if several else [operand])
    ]
    return {"field": field.name, "op": op, "value": values if several else values[0]}


def _time(label: str, text: Any) -> dict[str, str]:
    try:
        instant = datetime.fromisoformat(text) if not isinstance(text, datetime) else text
    except (TypeError, ValueError):
        instant = None
    if instant is None or instant.utcoffset() is None:
        raise SpecError(
            f"{label} is compared with {text!r}; give an ISO 8601 time with Z or an offset, "
            "such as 2026-11-22T00:00:00Z."
        )
    return {"datetime": datetime.isoformat(instant)}


def _write_value(field: str, name: str, value: Any) -> Any:
    timed = isinstance(value, Mapping)
    if timed != (field in _TIMES and name != "matches"):
        raise SpecError(
            f"{field.lower()} is compared with {value!r}, which has no readable form: time fields "
            "go with datetimes, the others without."
        )
    if not timed:
        return value
    instant = datetime.fromisoformat(value["datetime"])
    return instant.isoformat().replace("+00:00", "Z")
