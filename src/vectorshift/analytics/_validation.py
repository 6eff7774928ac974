"""Checks of user input. Each returns the value to use, or raises before anything is sent.

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
    return _integer(value, "limit", least=1)


def offset(value: Any) -> int:
    """Return an offset: an int of 0 or more."""
    return _integer(value, "offset", least=0)


def size(value: Any, name: str) -> int:
    """Return a number of bytes: an int of 1 or more."""
    return _integer(value, name, least=1, below=2**63)


def count(value: Any, name: str) -> int:
    """Return a number of rows: an int of 0 or more."""
    return _integer(value, name, least=0, below=2**63)


def _integer(value: Any, name: str, least: int, below: int = 2**31) -> int:
    if type(value) is int and least <= value < below:
        return value
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number < below:
        raise AnalyticsInvalidQuery(
            f"{name} must be a whole number from {least} to {below - 1}, not {shown(value)}."
        )
    return number


def percentile_n(value: Any) -> int:
    """Return a percentile that the service computes; 95.0 counts as 95. Raises ValueError otherwise."""
    number = plain(value)
    if not isinstance(number, bool) and isinstance(number, (int, float)) and number in PERCENTILES:
        return int(number)
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


def text(value: Any, name: str) -> str:
    """Return a non-empty text."""
    if not isinstance(value, str) or not value.strip():
        raise AnalyticsInvalidQuery(f"{name} must be a non-empty text, not {shown(value)}.")
    return sendable(plain(value), name)


def identifier(value: Any, name: str) -> str:
    """Return an id as text; numbers are accepted because some systems hand out numeric ids."""
    plain_value = plain(value)
    if (
        isinstance(plain_value, int)
        and not isinstance(plain_value, bool)
        and abs(plain_value) < 10**100
    ):
        return str(plain_value)
    if not isinstance(plain_value, str) or not plain_value.strip():
        raise AnalyticsTypeError(
            f"{name} must be an id, a non-empty text or a whole number, not {shown(value)} ({type(value).__name__})."
        )
    return sendable(plain_value, name)


def identifiers(values: Any, name: str) -> list[str]:
    """Return ids as texts: of a list, of one alone, or none."""
    return [] if values is None else [identifier(each, name) for each in listed(values, name)]


def seconds(value: Any, name: str, *, positive: bool) -> float:
    """Return a duration in seconds: finite, and more than 0 where `positive`."""
    duration = plain(value)
    number = isinstance(duration, (int, float)) and not isinstance(duration, bool)
    if not number or not 0 <= duration <= _LONGEST or (positive and duration == 0):
        raise AnalyticsInvalidQuery(
            f"{name} must be a number of seconds {'above' if positive else 'of at least'} 0, not {shown(value)}."
        )
    return float(duration)
