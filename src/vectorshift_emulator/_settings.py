"""What can be switched, at the start and while the emulator runs.

docs/emulator-switches.md has every switch with its default and where that comes from.
"""

import difflib
import math
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

Case: TypeAlias = Literal["camel", "snake"]
Precision: TypeAlias = Literal["ms", "us", "ns"]


PUBLIC_KEY = "sk_demo"
"""The key that an emulator takes unless it is started with another one; it is not a secret."""


class BadSetting(ValueError):
    """A setting that does not exist, or a value it does not take; the text names the nearest."""


@dataclass
class Settings:
    """How the service behaves; a change counts from the next request or export on.

    Args:
        keys: case of the keys of events, cells and aggregation results.
        envelope: case of the keys of the reply around them.
        strict: whether unknown fields of a request are refused.
        int64: how counts and totals of records are printed.
        zeros: whether zeros are printed, left out, or replace totals that were never filled in.
        leaf: whether the innermost buckets of a result are numbers or messages.
        bounds: which ends of [start_time, end_time] belong to it.
        bound_precision: where the instants of a request are cut.
        clock: how fine the times of the events are.
        time_digits: digits of a second that are printed at least; more where a time needs them.
        order: whether a page's order is total, leaves ties open, or is none.
        total_records: what a page says of the number of all records.
        absent: whether a missing value is null or its type's default.
        percentile: exact and linear, exact and one of the values, or from a sample.
        distinct: whether distinct values are counted exactly.
        matches: whether MATCHES is ClickHouse's match() or the lenient search of old.
        labels: how the label of a time bucket is written.
        zone: the zone of time buckets, an IANA name.
        week_start: the first day of a week.
        file_status: case of the status in files.
        file_null: how CSV and XLSX write null.
        json_empty: what a JSON file without rows holds.
        json_form: one JSON array, or a JSON object a line.
        xlsx_times: whether a workbook's times are text or dates of its own.
        xlsx_sheet_rows: rows of a sheet before the next one begins; None is one sheet.
        xlsx_long_text: whether a text too long for a cell fails the export or is cut.
        export_mode: whether an export is pending first, ready at once, or cannot be polled.
        export_delay: seconds that an export stays pending at least, in mode async.
        url_ttl: seconds that a download URL lives.
        digest: whether a download names the SHA-256 of its file.
        rate_limit: requests per second before 429; None means no limit.
        live: traces per second that keep arriving.
    """

    keys: Case = "camel"
    envelope: Case = "snake"
    strict: bool = True
    int64: Literal["text", "number"] = "text"
    zeros: Literal["kept", "omitted", "unfilled"] = "kept"
    leaf: Literal["number", "message"] = "number"
    bounds: Literal["closed", "open", "half-open", "open-closed"] = "closed"
    bound_precision: Literal["us", "ms", "s"] = "us"
    clock: Precision = "ms"
    time_digits: Literal[0, 3, 6, 9] = 3
    order: Literal["total", "ties", "none"] = "total"
    total_records: Literal["right", "absent", "0", "page"] = "right"
    absent: Literal["null", "default"] = "null"
    percentile: Literal["linear", "element", "sampled"] = "linear"
    distinct: Literal["exact", "approximate"] = "exact"
    matches: Literal["clickhouse", "lenient"] = "clickhouse"
    labels: Literal["rfc3339", "date", "space"] = "rfc3339"
    zone: str = "UTC"
    week_start: Literal["monday", "sunday"] = "monday"
    file_status: Literal["upper", "lower"] = "upper"
    file_null: Literal["empty", "\\N", "<nil>"] = "empty"
    json_empty: Literal["[]", "null"] = "[]"
    json_form: Literal["array", "ndjson"] = "array"
    xlsx_times: Literal["text", "native"] = "text"
    xlsx_sheet_rows: int | None = None
    xlsx_long_text: Literal["refused", "cut"] = "refused"
    export_mode: Literal["async", "sync", "no-poll"] = "async"
    export_delay: float = 0.2
    url_ttl: float = 900.0
    digest: bool = True
    rate_limit: float | None = None
    live: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The value of every switch."""
        return asdict(self)

    def change(self, changes: Any) -> None:
        """Set some switches, all or none; `profile` sets all that a profile is about first.

        Raises:
            BadSetting: a name or a value is unknown; the text names the nearest.
        """
        if not isinstance(changes, dict):
            raise BadSetting("settings are an object of names and values")
        own = {name: value for name, value in changes.items() if name != "profile"}
        for name, value in own.items():
            _check(name, value)
        if "profile" in changes:
            own = profile(changes["profile"]) | own
        for name, value in own.items():
            setattr(self, name, value)


SWITCHES: dict[str, Any] = get_type_hints(Settings)
"""The type of every switch by its name."""

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "plain": {"int64": "number", "matches": "lenient", "file_status": "lower"},
    "go-clickhouse": {
        "zeros": "omitted",
        "bound_precision": "s",
        "time_digits": 0,
        "order": "ties",
        "absent": "default",
        "percentile": "sampled",
        "distinct": "approximate",
        "json_empty": "null",
        "xlsx_long_text": "cut",
    },
}
"""Whole services by name: how each differs from the defaults."""


def profile(name: Any) -> dict[str, Any]:
    """The value of every switch that any profile is about, as the profile `name` has it.

    Raises:
        BadSetting: the profile does not exist.
    """
    if not isinstance(name, str) or name not in PROFILES:
        raise BadSetting(f"profile {name!r} does not exist{nearest(name, PROFILES)}")
    first = Settings().as_dict()
    about = {switch for switches in PROFILES.values() for switch in switches}
    return {switch: first[switch] for switch in about} | dict(PROFILES[name])


def _check(name: str, value: Any) -> None:
    """Refuse a switch that does not exist or a value that it does not take."""
    if name not in SWITCHES:
        raise BadSetting(f"setting {name} does not exist{nearest(name, SWITCHES)}")
    if problem := _problem(SWITCHES[name], value):
        raise BadSetting(f"{name} {problem}")


def _problem(type_: Any, value: Any) -> str | None:
    """What is wrong with a value for a switch of this type."""
    if get_origin(type_) is Literal:
        choices = get_args(type_)
        if (type(value), value) not in [(type(one), one) for one in choices]:
            return f"does not take {value!r}{nearest(value, choices)}"
        return None
    if type_ is str:
        return _zone_problem(value)
    if type_ is bool:
        return None if isinstance(value, bool) else f"is true or false, not {value!r}"
    if type_ is float:
        valid = _finite(value) and value >= 0
        return None if valid else f"is a number of 0 or more, not {value!r}"
    is_integer = int in get_args(type_)
    if value is None or (
        _finite(value) and value > 0 and not (is_integer and isinstance(value, float))
    ):
        return None
    return f"is a {'whole ' * is_integer}number above 0, or null for none, not {value!r}"


def _zone_problem(value: Any) -> str | None:
    try:
        zoneinfo.ZoneInfo(value)
    except (TypeError, ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        close = difflib.get_close_matches(str(value), zoneinfo.available_timezones(), 1)
        meant = f": did you mean {close[0]}?" if close else ""
        return f"is an IANA name like Europe/Berlin, not {value!r}{meant}"
    return None


def nearest(name: Any, choices: Iterable[Any]) -> str:
    """The end of an error about `name`: the most similar choice, and all of them."""
    every = [str(one) for one in choices]
    close = difflib.get_close_matches(str(name), every, 1)
    meant = f": did you mean {close[0]}?" if close else "."
    return f"{meant} Known: {', '.join(every)}"


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
