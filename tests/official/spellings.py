"""Chains put into words that the official client encodes as we encode the original.

Every function gives None for a chain that it does not concern.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tests.official.outcomes import Outcome, Sent
from tests.official.reading import Group, Reading, word
from tests.official.vocabulary import Chain, Value, member


def named_enums(chain: Chain) -> Outcome | None:
    """Words where the official client wants members."""
    spelled = _deep(chain, _spelled)
    return [Sent(spelled)] if spelled != chain else None


def _spelled(value: Value) -> Value:
    if not isinstance(value, dict) or "kwargs" not in value:
        return value
    kwargs = dict(value["kwargs"])
    if isinstance(kwargs.get("op"), str):
        kwargs["op"] = member(f"AggregationOp.{kwargs['op'].upper()}")
    if isinstance(kwargs.get("logical_op"), str):
        kwargs["logical_op"] = member(f"LogicalOp.{kwargs['logical_op'].upper()}")
    if "kinds" in kwargs:
        kwargs["kinds"] = [
            member(f"EventKind.{k.upper().replace('.', '_')}") if isinstance(k, str) else k
            for k in kwargs["kinds"]
        ]
    return {**value, "kwargs": kwargs}


def _deep(value: Value, change: Callable[[Value], Value]) -> Value:
    if isinstance(value, list):
        return [_deep(item, change) for item in value]
    if isinstance(value, dict):
        return change({key: _deep(item, change) for key, item in value.items()})
    return value


def status_words(chain: Chain) -> Outcome | None:
    """A status in capitals, compared for equality."""
    spelled = _deep(chain, _lower_status)
    return [Sent(spelled)] if spelled != chain else None


def _lower_status(value: Value) -> Value:
    if not isinstance(value, dict):
        return value
    if value.get("field") == "STATUS" and value["operator"] in ("==", "includes", "in_"):
        return {**value, "value": _lower(value["value"])}
    if value.get("call") in ("FieldFilter.eq", "FieldFilter.includes"):
        field, *rest = value["args"]
        if field == member("EventField.STATUS"):
            return {**value, "args": [field, *map(_lower, rest)]}
    if "status" in value.get("kwargs", {}):
        kwargs = value["kwargs"]
        return {**value, "kwargs": {**kwargs, "status": _lower(kwargs["status"])}}
    return value


def _lower(value: Value) -> Value:
    if isinstance(value, list):
        return [_lower(each) for each in value]
    return value.lower() if isinstance(value, str) else value


def column_labels(query: Reading) -> Outcome | None:
    """A table column named by the label of a field whose wire name is another."""
    columns = query.terminal["kwargs"].get("columns")
    if query.verb != "table" or "object_id" not in columns:
        return None
    field = member("EventField.OBJECT_ID")
    named = [field if column == "object_id" else column for column in columns]
    return [Sent(query.with_terminal(columns=named).chain)]


def text_ids(query: Reading) -> Outcome | None:
    """Ids given as numbers."""
    ids = query.scope.get("object_ids") or []
    if all(isinstance(each, str) for each in ids):
        return None
    return [Sent(query.with_scope(object_ids=[str(each) for each in ids]).chain)]


def repeats(query: Reading) -> Outcome | None:
    """Kinds, operations and alternatives named twice."""
    kinds = query.scope.get("kinds")
    operations = query.terminal["kwargs"].get("operations")
    entries = [
        Group("OR", tuple(_once(entry.entries, repr))) if entry in query.groups else entry
        for entry in query.entries
    ]
    once = query.with_entries(*entries) if tuple(entries) != query.entries else query
    if kinds:
        once = once.with_scope(kinds=_once(kinds, str))
    if operations:
        once = once.with_terminal(operations=_once(operations, _meaning))
    return [Sent(once.chain)] if once.chain != query.chain else None


def _once(values: Iterable[Any], meaning: Callable[[Value], str]) -> list[Any]:
    unique: dict[str, Any] = {}
    for value in values:
        unique.setdefault(meaning(value), value)
    return list(unique.values())


def _meaning(operation: Value) -> str:
    """An operation's field and op, whether spelled as members or as words."""
    return " ".join(word(operation["kwargs"][part]) for part in ("field", "op"))


def ragged_page(query: Reading) -> Outcome | None:
    """Table rows that lie on two pages of the wanted size: one larger page holds them all."""
    kwargs = query.terminal["kwargs"]
    limit = kwargs.get("limit", query.scope.get("limit", 50))
    offset = kwargs.get("offset", query.scope.get("offset", 0))
    if query.verb != "table" or offset % limit == 0:
        return None
    sizes = range(limit, offset + limit + 1)
    size = next(n for n in sizes if offset // n == (offset + limit - 1) // n)
    return [Sent(query.with_terminal(limit=size, offset=offset // size * size).chain)]


def waiting(query: Reading) -> Outcome | None:
    """`timeout` and `poll_interval`, which change no request."""
    if not {"timeout", "poll_interval"} & set(query.terminal["kwargs"]):
        return None
    return [Sent(query.with_terminal(timeout=None, poll_interval=None).chain)]


def quoted_ids(chain: Chain) -> Outcome | None:
    """A looked-up id with characters that mean something in a URL."""
    start = chain["start"]
    verb = start["call"].removeprefix("Analytics.").removeprefix("a")
    if verb not in ("trace", "event") or quote(start["args"][0], safe="") == start["args"][0]:
        return None
    path = f"/analytics/{verb}s/{quote(start['args'][0], safe='')}"
    plain = {**chain, "start": {**start, "args": ["plain"]}}
    return [Sent(plain, (lambda request: replace(request, path=path),))]
