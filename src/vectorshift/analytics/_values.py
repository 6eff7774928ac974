"""Numbers and times off the wire, in every spelling that is unambiguous; ValueError, which names the field, for any other.

A number may come as text (proto-JSON writes int64 so) and is finite: "NaN", "Infinity", "1_000" and true are none, as in an
exported file. A time has its offset and any number of digits. Source: docs/contract.md A1, A5.
"""

import math
import re
from datetime import UTC, datetime
from typing import Any

_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:(\.[0-9]{1,6})[0-9]*)?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2})"
)
_MOST = 10**300
"""Beyond it a whole number, or a sum of some, does not fit into a float."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def number(raw: Any, label: str) -> float:
    """Read a finite number. Whole numbers stay int, so that no digit beyond 2**53 is lost."""
    if type(raw) is float and -math.inf < raw < math.inf:
        return raw
    value = raw
    if isinstance(raw, str) and _NUMBER.fullmatch(raw):
        value = int(raw) if _WHOLE.fullmatch(raw) else float(raw)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or abs(value) == math.inf
        or (isinstance(value, int) and abs(value) > _MOST)
        or value != value
    ):
        raise ValueError(f"{label} is {_shown(raw)}, not a finite number")
    return value


def integer(raw: Any, label: str) -> int:
    """Read a whole number; never through a float, unless it comes as one."""
    value = number(raw, label)
    if value != int(value):
        raise ValueError(f"{label} is {_shown(raw)}, not a whole number")
    return int(value)


def identifier(raw: Any, label: str) -> str:
    """Read an id, which may come as a number."""
    if isinstance(raw, str):
        return raw
    return str(integer(raw, label))


def moment(raw: Any, label: str) -> datetime:
    """Read a time, in UTC and cut to microseconds."""
    match = _TIME.fullmatch(raw) if isinstance(raw, str) else None
    try:
        if match:
            day, clock, fraction, zone = match.groups(default="")
            return datetime.fromisoformat(f"{day}T{clock}{fraction}{zone.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # a month 13, a year 0
    raise ValueError(f"{label} is {_shown(raw)}, not an RFC 3339 time with its offset")


def is_zero_time(text: str) -> bool:
    """Whether a time means null in a database (1970-01-01, in any zone) or in a language (year 1)."""
    if text.startswith(("0001-", "0000-")):
        return True
    return text.startswith(("1970-01-01", "1969-12-31")) and moment(text, "") == _EPOCH


def _shown(raw: Any) -> str:
    """The start of a value, for a message."""
    text = repr(raw)
    return text if len(text) <= 40 else f"{text[:40]}…"
