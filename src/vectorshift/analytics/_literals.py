"""Values from users as the plain Python values that are sent: exact, or refused.

Members of text and number enums count as their values, and scalars of numpy as Python's. Those, and pandas' times, are
recognized by what they can do: neither package is imported. Source: docs/contract.md A3 (value types).
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from itertools import islice
from typing import Any, TypeAlias
from uuid import UUID

from vectorshift.errors import AnalyticsInvalidQuery, AnalyticsTypeError

Scalar: TypeAlias = bool | int | float | datetime | str

_INT64 = range(-(2**63), 2**63)
_BYTES = (bytes, bytearray, memoryview)
_PLAIN = frozenset({str, bool, int, float, datetime, type(None)})
_MOST = 100_000
"""Values in one list: a list without an end is read no further."""

_ADVICE: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (int, "It must fit into 64 bits, signed."),
    (float, "It must be finite: leave the condition out where the value is missing."),
    (Enum, "Use the member's .value."),
    (date, "A date is not an instant: use a datetime with a timezone."),
    (timedelta, "Use the instant itself, a datetime with a timezone, or a number of milliseconds."),
    (Decimal, "Use float(value) or int(value), so that it is you who decides about its digits."),
    (_BYTES, "Use value.decode()."),
    (UUID, "Use str(value), if that is how the service spells it."),
    ((list, tuple, set, frozenset), "For any of several values use in_([...])."),
    (type(None), "The service has no comparison with a missing value: leave the condition out."),
)
_OTHERWISE = "Use text, a bool, a 64-bit int, a finite float or a datetime with a timezone."


def plain(value: Any) -> Any:
    """Return text and numbers as exactly `str`, `bool`, `int` and `float`, and anything else as it is."""
    if type(value) in _PLAIN:
        return value
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind in ("b", "i", "u", "f") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int.__int__(value)
    return float.__float__(value) if isinstance(value, float) else value


def goes_as_it_is(value: Any) -> bool:
    """Whether a value is of the usual kinds of which `scalar` returns the object itself; a fast check."""
    kind = type(value)
    if kind is str:
        return bool(value.isascii())
    if kind is datetime:
        return value.tzinfo is UTC and not value.fold
    return kind is bool or (kind is int and value in _INT64)


def scalar(value: Any, label: str) -> Scalar:
    """Return a filter value of a type that the wire can carry: bool, int64, finite float, aware datetime or text."""
    literal = plain(value)
    if isinstance(literal, bool):
        return literal
    if isinstance(literal, int) and literal in _INT64:
        return literal
    if isinstance(literal, float) and math.isfinite(literal):
        return literal
    if isinstance(literal, datetime):
        return _instant(literal, label)
    if isinstance(literal, str):
        return sendable(literal, label)
    advice = next((text for kind, text in _ADVICE if isinstance(literal, kind)), _OTHERWISE)
    raise AnalyticsInvalidQuery(
        f"{label} got {shown(value)} ({type(value).__name__}), which the service cannot compare with. {advice}"
    )


def _instant(value: datetime, label: str) -> datetime:
    if value != value:  # pandas' NaT, which is a datetime
        raise AnalyticsInvalidQuery(
            f"{label} got {value!r}, which is not a time: leave the condition out where the time is missing."
        )
    if getattr(value, "nanosecond", 0):
        raise AnalyticsInvalidQuery(
            f"{label} got {value.isoformat()}, which is finer than a microsecond: round it, for example with "
            ".floor('us') or .ceil('us')."
        )
    try:
        offset = value.utcoffset()
        if offset is not None:
            # Datetimes of one DST zone compare by their wall clocks, which are wrong around a change of the clocks.
            fixed = datetime.combine(value.date(), value.time(), timezone(offset)).replace(fold=0)
            fixed.astimezone(UTC)
            return fixed
    except (ValueError, OverflowError):
        raise AnalyticsInvalidQuery(
            f"{label} got {value}, which is not within the years 1 to 9999 of UTC."
        ) from None
    raise AnalyticsInvalidQuery(
        f"{label} got the naive datetime {value.isoformat()}: datetimes must be timezone-aware, "
        "for example datetime(2026, 1, 1, tzinfo=timezone.utc)."
    )


def sendable(text: str, label: str) -> str:
    """Return a text that is one; half a character, as broken decoding leaves it, cannot be sent."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise AnalyticsInvalidQuery(
            f"{label} got {shown(text)}, whose character {error.start + 1} is half of one (a lone surrogate): "
            "mend the text, for example with value.encode('utf-8', 'replace').decode()."
        ) from None
    return text


def listed(values: Any, label: str) -> list[Any]:
    """Return the members of a list, set, array or iterator; a single value counts as a list of one."""
    if type(values) in (list, tuple) and len(values) <= _MOST:
        return list(values)
    dimensions = getattr(values, "ndim", 1)
    if isinstance(values, (str, *_BYTES)) or not isinstance(values, Iterable) or dimensions == 0:
        return [values]
    if isinstance(values, Mapping) or dimensions != 1:
        raise AnalyticsTypeError(
            f"{label} got a {type(values).__name__}, whose meaning is unclear: use a list of values."
        )
    items = list(islice(values, _MOST + 1))
    if len(items) > _MOST:
        raise AnalyticsInvalidQuery(
            f"{label} got more than {_MOST:,} values: split them over several queries."
        )
    return items


def shown(value: Any) -> str:
    """The start of a value, for a message."""
    try:
        text = repr(value)
    except ValueError:  # Python prints no number of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 200 else f"{text[:200]}…"
