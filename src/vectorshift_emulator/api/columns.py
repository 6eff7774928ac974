"""The columns of an event as the service names them, and where each lives in table `events`.

Source: docs/contract.md A7 (wire names), A5 (keys of an event on the wire); read
independently of the SDK.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["text", "status", "time", "json", "users", "number"]


@dataclass(frozen=True)
class Column:
    """One column: its wire name, its name in table `events`, its name in files, what it holds.

    A column without a wire name cannot be requested. `status` is text compared without regard to
    case; `users` is a list of texts.
    """

    wire: str
    stored: str
    name: str
    type: ColumnType


_RENAMED = {"start_time": "span_start_time", "end_time": "span_end_time"}


def _column(stored: str, type_: ColumnType, wire: str = "") -> Column:
    return Column(wire, stored, _RENAMED.get(stored, stored), type_)


def _by_wire(*columns: tuple[str, str, ColumnType]) -> Mapping[str, Column]:
    return {wire: _column(stored, type_, wire) for wire, stored, type_ in columns}


SCOPE = _by_wire(
    ("ObjectId", "object_id", "text"),
    ("ParentSpanId", "parent_span_id", "text"),
    ("ObjectInfo", "object_info", "json"),
    ("SpanId", "span_id", "text"),
    ("TraceId", "trace_id", "text"),
    ("SessionSource", "session_source", "text"),
    ("SessionCollection", "session_collection", "text"),
    ("ProjectId", "project_id", "text"),
    ("ExecutionId", "execution_id", "text"),
)
"""Columns of scope filters."""

DATA = _by_wire(
    ("SOURCE", "source", "text"),
    ("SPAN_START_TIME", "start_time", "time"),
    ("SPAN_END_TIME", "end_time", "time"),
    ("STATUS", "status", "status"),
    ("SPAN_ATTRIBUTES", "span_attributes", "json"),
    ("CALLER", "caller", "text"),
    ("INTERFACE_DATA", "interface_data", "json"),
    ("INTERFACE_TYPE", "interface_type", "text"),
    ("INTERFACE_NAME", "interface_name", "text"),
    ("ERROR_MESSAGE", "error_message", "text"),
    ("SESSION_NAME", "session_name", "text"),
    ("SESSION_LAST_MESSAGE_TIME", "session_last_message_time", "time"),
    ("SESSION_USERS", "session_users", "users"),
    ("SESSION_AI_SOURCE", "session_ai_source", "text"),
)
"""Columns of data filters."""

AGGREGATE_ONLY = _by_wire(
    ("LATENCY", "latency", "number"),
    ("MODEL_ID", "model_id", "text"),
    ("NODE_TYPE", "node_type", "text"),
)
"""Columns that no filter takes, but a table does."""

TABLE = {**SCOPE, **DATA, **AGGREGATE_ONLY}
"""Columns a table or an export may ask for."""

_NAMELESS = (_column("span_kind", "text"), _column("node_latency", "number"))
_BY_NAME = {column.name: column for column in (*TABLE.values(), *_NAMELESS)}

EVERY = tuple(
    _BY_NAME[name]
    for name in (
        "span_id",
        "trace_id",
        "parent_span_id",
        "span_kind",
        "span_start_time",
        "span_end_time",
        "status",
        "error_message",
        "object_id",
        "object_info",
        "project_id",
        "execution_id",
        "source",
        "caller",
        "interface_type",
        "interface_name",
        "interface_data",
        "model_id",
        "node_type",
        "latency",
        "node_latency",
        "session_name",
        "session_users",
        "session_source",
        "session_collection",
        "session_ai_source",
        "span_attributes",
    )
)
"""What a table or an export holds when it names no columns, in this order."""
