"""Instants, in every unambiguous spelling, as one Arrow type.

An instant needs its offset from UTC. A time of the clock without one could be any zone's, so it is
refused, and so is what a workbook keeps as a date, which has none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

INSTANT = pa.timestamp("us", tz="UTC")

_FINE = r"^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:(\.\d{1,6})\d*)?([Zz]|[+-]\d{2}:?\d{2})$"
_SPACED = re.compile(  # Go's time.String: `2026-03-01 00:00:00.25 +0000 UTC m=+0.003`
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:(\.\d{1,6})\d*)? ?"
    r"(?:UTC|GMT|[Zz]|([+-]\d\d):?(\d\d)(?: [A-Z]{1,5}| [+-]\d{2,4})?)(?: m=[+-][\d.]+)?"
)
_UNIX = re.compile(r"(\d{10})(?:\.(\d{1,9}))?|(\d{13})|(\d{16})|(\d{19})")
"""Seconds, milliseconds, microseconds or nanoseconds since 1970: of the years 2001 to 2286 the
number of digits shows which."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZERO = pa.scalar(_EPOCH, INSTANT)
_YEAR_ONE = pa.scalar(datetime(1, 1, 2, tzinfo=UTC), INSTANT)

_FORMS = (
    (
        re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?"),
        "is a time without its offset from UTC, which could be any zone's",
    ),
    (re.compile(r"\d{4}-\d\d-\d\d"), "is a day without a time"),
    (
        re.compile(r"\d{1,5}(\.\d+)?([eE][+-]?\d+)?"),
        "is a date of a workbook, a number of days without a zone",
    ),
    (re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?"), "is a number of an unknown unit"),
    (
        re.compile(r"[A-Z][a-z]{2}[a-z]*,? .*\d\d:\d\d.*"),
        "is a time in words, without fractions of a second",
    ),
    (
        re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)? ?[A-Z]{2,5}"),
        "is a time in a zone that only has a name",
    ),
    (re.compile(r"(Nullable\(|LowCardinality\()*(Date|DateTime).*"), "is the name of a type"),
)


def instants(text: pa.Array) -> pa.Array:
    """A column of times as `INSTANT`; what is finer than a microsecond is cut off.

    Read are RFC 3339 with any number of digits and letters of any size, Go's `time.String`, and the
    seconds, milliseconds, microseconds or nanoseconds since 1970. The zero time of a database (1970)
    or of a language (year 1) is null: it means an unknown time.

    Raises `pa.ArrowInvalid` for a cell that is not an instant; `form_of_time` says what it is.
    """
    try:
        times = text.cast(INSTANT)
    except pa.ArrowInvalid:
        times = _spelled(text)
    zero = pc.or_(pc.equal(times, _ZERO), pc.less(times, _YEAR_ONE))
    return pc.if_else(zero, None, times)


def form_of_time(text: str) -> str | None:
    """The form of a time that is not an instant; None for no known form."""
    return next((name for form, name in _FORMS if form.fullmatch(text)), None)


def _spelled(text: pa.Array) -> pa.Array:
    fine = pc.replace_substring_regex(text, pattern=_FINE, replacement=r"\1T\2\3\4")
    try:
        return pc.utf8_upper(fine).cast(INSTANT)
    except pa.ArrowInvalid:
        spelled = [cell if cell is None else _plain(cell) for cell in text.to_pylist()]
        return pa.array(spelled, pa.string()).cast(INSTANT)


def _plain(text: str) -> str:
    """As RFC 3339 where that is certain, else as it is."""
    if spaced := _SPACED.fullmatch(text):
        day, time, fraction, hours, minutes = spaced.groups(default="")
        return f"{day}T{time}{fraction}{f'{hours}:{minutes}' if hours else 'Z'}"
    if unix := _UNIX.fullmatch(text):
        seconds, fraction, *finer = unix.groups(default="")
        micros = int(seconds + f"{fraction:0<6}"[:6]) if seconds else int(_micros(*finer))
        return (_EPOCH + timedelta(microseconds=micros)).isoformat()
    return text


def _micros(millis: str, micros: str, nanos: str) -> str:
    return f"{millis}000" if millis else micros or nanos[:-3]
