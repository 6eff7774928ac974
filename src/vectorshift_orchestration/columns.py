"""The columns of our tables, with their types as Arrow names them: to show a table does not take Arrow."""

from __future__ import annotations

from collections.abc import Mapping

from vectorshift_orchestration.aggregates.answers import BUCKET_TIME
from vectorshift_orchestration.amounts import DIGITS, PLACES
from vectorshift_orchestration.specs import AggregationSpec, Metric, Ratio

TEXT, INTEGER, DOUBLE, INSTANT = "string", "int64", "double", "timestamp[us, tz=UTC]"
AMOUNT = f"decimal128({DIGITS}, {PLACES})"

EVENT_COLUMNS: Mapping[str, str] = {
    "span_id": TEXT,
    "trace_id": TEXT,
    "parent_span_id": TEXT,
    "span_kind": TEXT,
    "span_start_time": INSTANT,
    "span_end_time": INSTANT,
    "status": TEXT,
    "error_message": TEXT,
    "object_id": TEXT,
    "object_info": TEXT,
    "project_id": TEXT,
    "execution_id": TEXT,
    "source": TEXT,
    "caller": TEXT,
    "interface_type": TEXT,
    "interface_name": TEXT,
    "interface_data": TEXT,
    "model_id": TEXT,
    "node_type": TEXT,
    "latency": DOUBLE,
    "node_latency": DOUBLE,
    "session_name": TEXT,
    "session_users": TEXT,
    "session_source": TEXT,
    "session_collection": TEXT,
    "session_ai_source": TEXT,
    "span_attributes": TEXT,
}
"""An event, by the names of the reference page (section Event). Objects and lists are JSON text.

The caller is the exception: pages of events show an object with one text in it, files and filters
the text alone (docs/contract.md A5, B3). It is the text here, wherever the event comes from.
"""

MESSAGE_COLUMNS: Mapping[str, str] = {
    BUCKET_TIME: INSTANT,
    "error_message": TEXT,
    "events": INTEGER,
    "examined_events": INTEGER,
    "failed_events": INTEGER,
}
"""The commonest messages of failed events; see `thresholds.error_messages`."""


def aggregation_columns(spec: AggregationSpec) -> dict[str, str]:
    """The columns of an aggregation: `bucket_start`, the other dimensions, then the metrics.

    Counts and tokens are int64, costs and credits are `AMOUNT`, everything else is double, dimensions
    are strings.
    """
    dimensions = {name: TEXT for name in spec.group_by if name != "time"}
    return {
        BUCKET_TIME: INSTANT,
        **dimensions,
        **{column.column: _type_of(column) for column in spec.columns},
    }


def _type_of(column: Metric | Ratio) -> str:
    if isinstance(column, Ratio):
        return DOUBLE
    if column.is_amount:
        return AMOUNT
    return INTEGER if column.is_integer else DOUBLE
