"""Rows that a test inserts: checked, completed, and put into table `events`."""

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from vectorshift_emulator._settings import Precision
from vectorshift_emulator.api import protojson
from vectorshift_emulator.api.contract import KINDS
from vectorshift_emulator.data.store import COLUMNS

STATUSES = ("success", "failure", "in_progress")


_ARROW = {
    "VARCHAR": pa.string(),
    "TIMESTAMP": pa.timestamp("us"),
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "SMALLINT": pa.int16(),
    "BOOLEAN": pa.bool_(),
    "VARCHAR[]": pa.list_(pa.string()),
    "JSON": pa.string(),
}
_SCHEMA = pa.schema([(name, _ARROW[type_]) for name, type_ in COLUMNS.items()])


class BadRow(ValueError):
    """A row that does not fit table `events`; the text says why."""


def insert(
    cursor: duckdb.DuckDBPyConnection, raw: Any, *, now: datetime, clock: Precision
) -> list[str]:
    """Insert every given row, or none.

    Args:
        raw: decoded JSON, a list of objects with columns of table `events`. Times are RFC3339.
            What a row leaves out is completed: new ids, kind pipeline.run, start `now`, success,
            and entity, is_run and interface_type from the kind.
        now: aware time for rows without a start.
        clock: how fine a start may be; with nanoseconds, the other times are of microseconds.

    Returns:
        The span ids, in order.

    Raises:
        BadRow: not a list of objects, an unknown column, or a value that a column does not take.
    """
    if not isinstance(raw, list):
        raise BadRow("events are a list of objects")
    rows = [complete(row, now, clock) for row in raw]
    cursor.register("inserted", pa.Table.from_pylist(rows, _SCHEMA))
    cursor.execute("INSERT INTO events BY NAME SELECT * FROM inserted")
    cursor.unregister("inserted")
    return [row["span_id"] for row in rows]


def complete(raw: Any, now: datetime, clock: Precision) -> dict[str, Any]:
    """One row with everything that it needs."""
    if not isinstance(raw, dict):
        raise BadRow("an event is an object")
    unknown = raw.keys() - COLUMNS.keys()
    if unknown:
        raise BadRow(f"table events has no column {', '.join(sorted(unknown))}")
    values = {name: value for name, value in raw.items() if value is not None}
    row = {name: _read(name, value, clock) for name, value in values.items()}
    if clock == "ns" and "start_time" in values:
        row["start_ns"] = protojson.nanoseconds(values["start_time"])
    kind = row.setdefault("span_kind", "pipeline.run")
    entity = kind.partition(".")[0]
    if entity not in KINDS:
        raise BadRow(f"span_kind {kind} is of no known entity")
    is_root = "parent_span_id" not in row
    for name, value in {
        "span_id": f"sp_{secrets.token_hex(8)}",
        "trace_id": f"tr_{secrets.token_hex(8)}",
        "entity": entity,
        "start_time": _stored(now, 1000),
        "start_ns": 0,
        "status": "success",
        "interface_type": entity,
        "is_run": is_root and (kind.endswith(".run") or kind == "pipeline.bulk_run"),
    }.items():
        row.setdefault(name, value)
    return row


def _stored(value: datetime, grid: int) -> datetime:
    """An instant as the table holds it: naive UTC on a grid of so many microseconds."""
    utc = value.astimezone(UTC).replace(tzinfo=None)
    return utc.replace(microsecond=utc.microsecond // grid * grid)


def _time(value: Any, name: str, clock: Precision) -> datetime:
    instant = protojson.timestamp(value, name)
    if clock == "ms" and instant.microsecond % 1000:
        raise BadRow(f"{name} {value} is finer than a millisecond, the service's clock")
    if protojson.nanoseconds(value) and (clock != "ns" or name != "start_time"):
        raise BadRow(
            f"{name} {value} is finer than a microsecond; only a start may be, by clock ns"
        )
    return _stored(instant, 1)


def _json(value: Any, name: str) -> str:
    if not isinstance(value, dict):
        raise BadRow(f"{name} is an object")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _texts(value: Any, name: str) -> list[str]:
    return list(protojson.repeated(value, name, lambda item: protojson.string(item, name)))


_READERS: Mapping[str, Callable[[Any, str], Any]] = {
    "VARCHAR": protojson.string,
    "DOUBLE": protojson.number,
    "BIGINT": protojson.integer,
    "SMALLINT": protojson.integer,
    "BOOLEAN": protojson.boolean,
    "VARCHAR[]": _texts,
    "JSON": _json,
}


def _read(name: str, value: Any, clock: Precision) -> Any:
    type_ = COLUMNS[name]
    try:
        read = _time(value, name, clock) if type_ == "TIMESTAMP" else _READERS[type_](value, name)
    except ValueError as error:
        raise BadRow(str(error)) from None
    if name == "status" and read not in STATUSES:
        raise BadRow(f"status is one of {', '.join(STATUSES)}")
    return read
