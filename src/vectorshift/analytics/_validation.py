"""Checks of what a user hands in. Each returns the value to use, or raises before anything is sent.

Source: reference page "Errors" (AnalyticsInvalidQuery), CONTRACT.md A3 (value types), B.
"""

import math
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from vectorshift.analytics._enums import AggregationField, EventStatus, Interval, choice
from vectorshift.errors import AnalyticsInvalidQuery, AnalyticsTypeError

PERCENTILES = (50, 75, 95, 99)
PERCENTILE_FIELDS = (AggregationField.LATENCY, AggregationField.NODE_LATENCY)
_INT64 = range(-(2**63), 2**63)


def scalar(value: Any, what: str) -> bool | int | float | datetime | str:
    """Return a filter value of a type that the wire can carry: bool, int64, finite float, aware datetime or text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in _INT64:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, datetime):
        offset = value.utcoffset()
        if offset is None:
            raise AnalyticsInvalidQuery(
                f"{what} got the naive datetime {value.isoformat()}: datetimes must be timezone-aware, "
                "for example datetime(2026, 1, 1, tzinfo=timezone.utc)."
            )
        # Datetimes of one DST zone compare by their wall clocks, which are wrong around a change of the clocks.
        return datetime.combine(value.date(), value.time(), timezone(offset)).replace(fold=0)
    if isinstance(value, str):
        return str(value)
    raise AnalyticsInvalidQuery(
        f"{what} got {value!r} ({type(value).__name__}), which the service cannot compare with. "
        "Use text, a bool, a 64-bit int, a finite float or a timezone-aware datetime."
    )


def scalars(values: Any, what: str) -> tuple[bool | int | float | datetime | str, ...]:
    """Return the values of an any-of filter; a single value counts as a list of one, an empty list is refused."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        values = [values]
    checked = tuple(scalar(value, what) for value in values)
    if not checked:
        raise AnalyticsInvalidQuery(
            f"{what} got an empty list, which can match nothing. Name at least one value."
        )
    return checked


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
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < below:
        raise AnalyticsInvalidQuery(
            f"{what} must be a whole number of {least} or more, not {value!r}."
        )
    return value


def percentile_n(value: Any) -> int:
    """Return a percentile that the service computes; 95.0 counts as 95. Raises ValueError otherwise."""
    if (
        not isinstance(value, (bool, str))
        and isinstance(value, (int, float))
        and value in PERCENTILES
    ):
        return int(value)
    raise ValueError(
        f"percentile n must be one of {', '.join(map(str, PERCENTILES))}, not {value!r}"
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
        raise AnalyticsInvalidQuery(f"{what} must be a non-empty text, not {value!r}.")
    return str(value)


def identifier(value: Any, what: str) -> str:
    """Return an id as text; numbers are accepted because some systems hand out numeric ids."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise AnalyticsTypeError(f"{what} must be a non-empty id, not {value!r}.")
    return str(value)


def seconds(value: Any, what: str, *, positive: bool) -> float:
    """Return a duration in seconds: finite, and more than 0 where `positive`."""
    number = (
        isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    )
    if not number or value < 0 or (positive and value == 0):
        raise AnalyticsInvalidQuery(
            f"{what} must be a number of seconds {'above' if positive else 'of at least'} 0, not {value!r}."
        )
    return float(value)
