"""Checks of what a user hands in. Each returns the value to use, or raises before anything is sent.

Source: reference page "Errors" (AnalyticsInvalidQuery), docs/contract.md A3 (value types), B.
"""

from typing import Any

from vectorshift.analytics._enums import AggregationField, EventStatus, Interval, choice
from vectorshift.analytics._literals import listed, plain, sendable, shown
from vectorshift.errors import AnalyticsInvalidQuery, AnalyticsTypeError

PERCENTILES = (50, 75, 95, 99)
_LONGEST = 1e9
PERCENTILE_FIELDS = (AggregationField.LATENCY, AggregationField.NODE_LATENCY)


def status(value: Any) -> str:
    """Return a status as the service spells it; one that no event can have would match nothing, silently."""
    return choice(EventStatus, value, "event status").value


def limit(value: Any) -> int:
    """Return a page size: an int of 1 or more."""
    return _whole(value, "limit", least=1)


def offset(value: Any) -> int:
    """Return an offset: an int of 0 or more."""
    return _whole(value, "offset", least=0)


def size(value: Any, what: str) -> int:
    """Return a number of bytes: an int of 1 or more."""
    return _whole(value, what, least=1, below=2**63)


def count(value: Any, what: str) -> int:
    """Return a number of rows: an int of 0 or more."""
    return _whole(value, what, least=0, below=2**63)


def _whole(value: Any, what: str, least: int, below: int = 2**31) -> int:
    found = plain(value)
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found < below:
        raise AnalyticsInvalidQuery(
            f"{what} must be a whole number from {least} to {below - 1}, not {shown(value)}."
        )
    return found


def percentile_n(value: Any) -> int:
    """Return a percentile that the service computes; 95.0 counts as 95. Raises ValueError otherwise."""
    found = plain(value)
    if not isinstance(found, bool) and isinstance(found, (int, float)) and found in PERCENTILES:
        return int(found)
    raise ValueError(
        f"percentile n must be one of {', '.join(map(str, PERCENTILES))}, not {shown(value)}"
    )


def percentile_field(field: AggregationField) -> None:
    """Refuse a percentile of anything but a latency."""
    if field not in PERCENTILE_FIELDS:
        raise AnalyticsInvalidQuery(
            f"percentile of {field.value!r} does not exist: it is only valid on latency and node_latency."
        )


def interval_for(has_time: bool, interval: Interval | str | None) -> Interval | None:
    """Return the interval of a group-by; the TIME dimension needs one."""
    if interval is not None:
        return choice(Interval, interval, "interval")
    if has_time:
        raise AnalyticsInvalidQuery(
            "grouping by TIME requires an interval: HOUR, DAY, WEEK, MONTH or YEAR."
        )
    return None


def text(value: Any, what: str) -> str:
    """Return a non-empty text."""
    if not isinstance(value, str) or not value.strip():
        raise AnalyticsInvalidQuery(f"{what} must be a non-empty text, not {shown(value)}.")
    return sendable(plain(value), what)


def identifier(value: Any, what: str) -> str:
    """Return an id as text; numbers are accepted because some systems hand out numeric ids."""
    found = plain(value)
    if isinstance(found, int) and not isinstance(found, bool) and abs(found) < 10**100:
        return str(found)
    if not isinstance(found, str) or not found.strip():
        raise AnalyticsTypeError(
            f"{what} must be an id, a non-empty text or a whole number, not {shown(value)} ({type(value).__name__})."
        )
    return sendable(found, what)


def identifiers(values: Any, what: str) -> list[str]:
    """Return ids as texts: of a list, of one alone, or none."""
    return [] if values is None else [identifier(each, what) for each in listed(values, what)]


def seconds(value: Any, what: str, *, positive: bool) -> float:
    """Return a duration in seconds: finite, and more than 0 where `positive`."""
    found = plain(value)
    number = isinstance(found, (int, float)) and not isinstance(found, bool)
    if not number or not 0 <= found <= _LONGEST or (positive and found == 0):
        raise AnalyticsInvalidQuery(
            f"{what} must be a number of seconds {'above' if positive else 'of at least'} 0, not {shown(value)}."
        )
    return float(found)
