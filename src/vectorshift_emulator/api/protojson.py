"""Reading JSON the way a Go handler reads it with protojson: strictly, message by message.

Nothing here knows the service's messages; `contract.py` does. The leniency is protojson's: a field
may be spelled snake_case or lowerCamelCase, null means unset, an int64 may be a string. So is the
strictness: unknown fields, wrong JSON types and duplicate keys are refused (docs/contract.md A1, A6).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

Item = TypeVar("Item")

_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.(?P<fraction>\d{1,9}))?(?:Z|[+-]\d{2}:\d{2})"
)
_INT64 = range(-(2**63), 2**63)


class InvalidRequest(ValueError):
    """The request cannot be understood; the service answers 400 with this text."""


def refuse(reason: str) -> InvalidRequest:
    """The error for `reason`, worded like the engine's own (docs/contract.md A6)."""
    return InvalidRequest(f"Invalid request: proto: {reason}")


def parse(body: bytes) -> Any:
    """The JSON document in `body`.

    Raises:
        InvalidRequest: it is not UTF-8, not JSON, nested too deeply, or repeats a key.
    """
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except InvalidRequest:
        raise
    except (ValueError, RecursionError) as error:
        raise refuse(f"syntax error: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    message = dict(pairs)
    if len(message) != len(pairs):
        raise refuse("duplicate field in one object")
    return message


def _no_constant(name: str) -> Any:
    raise refuse(f"syntax error: unexpected token {name}")


def camel(name: str) -> str:
    """`span_type` -> `spanType`: the JSON name protojson gives a field."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def fields(raw: Any, names: Iterable[str], *, strict: bool) -> dict[str, Any]:
    """The set fields of the message `raw`, keyed by their snake_case names.

    Args:
        raw: the decoded JSON value that should be a message.
        names: the message's field names, snake_case.
        strict: refuse unknown fields; otherwise drop them.
    """
    if not isinstance(raw, dict):
        raise refuse(f"unexpected token {_shown(raw)}: a message is a JSON object")
    spelled = {spelling: name for name in names for spelling in (name, camel(name))}
    values: dict[str, Any] = {}
    for key, value in raw.items():
        name = spelled.get(key)
        if name is None:
            if strict:
                raise refuse(f"unknown field {_shown(key)}")
            continue
        if name in values:
            raise refuse(f"duplicate field {_shown(key)}")
        values[name] = value
    return {name: value for name, value in values.items() if value is not None}


def only_one(raw: Any, names: Iterable[str], oneof: str, *, strict: bool) -> tuple[str, Any]:
    """The name and value of the single field set in a oneof message."""
    members = fields(raw, names, strict=strict)
    if len(members) != 1:
        raise refuse(f"oneof {oneof} needs exactly one field, got {len(members)}")
    return next(iter(members.items()))


def required(message: Mapping[str, Any], name: str) -> Any:
    """Field `name`, which the engine cannot do without."""
    if name not in message:
        raise refuse(f"missing field {_shown(name)}")
    return message[name]


def repeated(raw: Any, field: str, read: Callable[[Any], Item]) -> tuple[Item, ...]:
    """Every element of a repeated field, each read by `read`."""
    if not isinstance(raw, list):
        raise _invalid(raw, "repeated", field)
    return tuple(read(item) for item in raw)


def string(raw: Any, field: str) -> str:
    """A string of valid Unicode."""
    if not isinstance(raw, str):
        raise _invalid(raw, "string", field)
    try:
        raw.encode("utf-8")
    except UnicodeEncodeError:
        raise refuse(f"invalid UTF-8 in field {field}") from None
    return raw


def boolean(raw: Any, field: str) -> bool:
    """A JSON boolean, never a number or a string."""
    if not isinstance(raw, bool):
        raise _invalid(raw, "bool", field)
    return raw


def integer(raw: Any, field: str) -> int:
    """An int64 as a JSON number without a fraction, or as a string of digits."""
    if isinstance(raw, str) and re.fullmatch(r"-?\d{1,19}", raw, re.ASCII):
        raw = int(raw)
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int) or raw not in _INT64:
        raise _invalid(raw, "int64", field)
    return raw


def number(raw: Any, field: str) -> float:
    """A double as a JSON number or as a numeric string."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise _invalid(raw, "double", field)
    try:
        return float(raw)
    except (ValueError, OverflowError):
        raise _invalid(raw, "double", field) from None


def timestamp(raw: Any, field: str) -> datetime:
    """An RFC3339 instant of up to nine digits, as aware UTC, cut to its microsecond.

    Raises:
        InvalidRequest: not RFC3339, or without an offset.
    """
    if not _RFC3339.fullmatch(string(raw, field)):
        raise _invalid(raw, "google.protobuf.Timestamp", field)
    try:
        return datetime.fromisoformat(raw).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _invalid(raw, "google.protobuf.Timestamp", field) from None


def nanoseconds(raw: str) -> int:
    """What an RFC3339 text says beyond its microsecond."""
    match = _RFC3339.fullmatch(raw)
    return int(((match and match["fraction"]) or "").ljust(9, "0")[6:])


def enum(raw: Any, field: str, members: Mapping[str, Item]) -> Item:
    """What `members` holds under the enum name `raw`, or as its number `raw`, counted from 0."""
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < len(members):
        return list(members.values())[raw]
    if not isinstance(raw, str) or raw not in members:
        raise refuse(f"invalid value for enum field {field}: {_shown(raw)}")
    return members[raw]


def _invalid(raw: Any, expected: str, field: str) -> InvalidRequest:
    return refuse(f"invalid value for {expected} field {field}: {_shown(raw)}")


def _shown(raw: Any) -> str:
    text = json.dumps(raw)
    return text if len(text) <= 80 else text[:77] + "..."
