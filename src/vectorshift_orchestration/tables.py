"""What the service returns, as Arrow with types that are written down here, never guessed.

A schema that is inferred breaks on the first empty window and on the first column of nulls. These
are explicit, so an empty window still has its columns, and a table keeps its types for ever.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.aggregates.answers import BUCKET_TIME as BUCKET_TIME, answer_columns
from vectorshift_orchestration.amounts import DIGITS, PLACES
from vectorshift_orchestration.columns import EVENT_COLUMNS, aggregation_columns
from vectorshift_orchestration.errors import EventShapeError, RowOutsideWindow
from vectorshift_orchestration.instants import INSTANT as INSTANT, instants
from vectorshift_orchestration.json_texts import JSON_COLUMNS, NotJson, json_text
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift.analytics import AggregationResult, Event

AMOUNT = pa.decimal128(DIGITS, PLACES)
"""Money and credits: exact in sums; see `amounts`."""

_TYPES = {str(each): each for each in (pa.string(), pa.int64(), pa.float64(), INSTANT, AMOUNT)}


def arrow_schema(columns: Mapping[str, str]) -> pa.Schema:
    """The schema of columns as module `columns` writes them down."""
    return pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])


EVENT_SCHEMA = arrow_schema(EVENT_COLUMNS)
"""`EVENT_COLUMNS` in Arrow."""

EVENT_ID = "span_id"
EVENT_TIME = "span_start_time"
CALLER = "caller"
STATUS = "status"
_OTHER_NAMES = {
    "start_time": "span_start_time",
    "event_start_time": "span_start_time",
    "end_time": "span_end_time",
    "event_end_time": "span_end_time",
    "status_message": "error_message",
    "event_id": "span_id",
    "parent_event_id": "parent_span_id",
    "event_attributes": "span_attributes",
}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s-]+")


def canonical_name(name: str) -> str:
    """The reference page's name of a column, from any spelling that the wire uses.

    `spanStartTime`, `startTime`, `SPAN_START_TIME` and `Start Time` are all `span_start_time`
    (docs/contract.md A5).
    """
    snake = _HUMP.sub("_", name.strip()).lower()
    return _OTHER_NAMES.get(snake, snake)


def plain_caller(value: Any) -> Any:
    """Who called, as `EVENT_SCHEMA` has it, from a text, an object, or an object's JSON.

    An object with more in it than one text is left as it is.
    """
    caller = value
    if isinstance(value, str) and value.startswith("{"):
        try:
            caller = json.loads(value)
        except (ValueError, RecursionError):
            return value
    if isinstance(caller, dict) and len(caller) == 1:
        (only,) = caller.values()
        return only if isinstance(only, str) else value
    return value


def event_batch(events: Sequence[Event]) -> pa.RecordBatch:
    """Events of `Query.events` or `Query.iter_events` as rows of `EVENT_SCHEMA`.

    Objects and lists become compact JSON text, empty text becomes null, as when an export is read;
    integers inside them stay exact. Keys that the reference page does not name have no column.
    Raises `EventShapeError` for an event without an id or a start, and for a value that its column
    cannot take.
    """
    rows = cast("Sequence[dict[str, Any]]", events)
    columns = [_event_column(field, rows) for field in EVENT_SCHEMA]
    batch = pa.RecordBatch.from_arrays(columns, schema=EVENT_SCHEMA)
    for name in (EVENT_ID, EVENT_TIME):
        if batch.column(name).null_count:
            raise EventShapeError(
                f"The service sent an event without {name}, so it cannot be identified or "
                "placed in time. Nothing was taken; ask for an export instead."
            )
    return batch


def aggregation_schema(spec: AggregationSpec) -> pa.Schema:
    """`aggregation_columns` in Arrow."""
    return arrow_schema(aggregation_columns(spec))


def aggregation_table(
    result: AggregationResult | Mapping[str, Any], spec: AggregationSpec, window: Window
) -> pa.Table:
    """The result of `Query.raw_aggregate` as a table with the columns of `aggregation_schema`.

    Its rows, and what it raises, are those of `aggregates.answers.answer_columns`.
    """
    return pa.table(answer_columns(result, spec, window), schema=aggregation_schema(spec))


def require_buckets_inside(rows: pa.Table, window: Window) -> pa.Table:
    """The rows. Raises `RowOutsideWindow` when a bucket of them starts outside of the window."""
    stray = first_outside(rows[BUCKET_TIME].combine_chunks(), window)
    if stray >= 0:
        raise RowOutsideWindow(
            f"The service answered with a bucket that starts at {rows[BUCKET_TIME][stray]}, outside "
            f"of {window.label}: most likely it cuts time in another zone than UTC. Nothing was written; "
            "leave time out of the slices, or slice by the hour.",
            row=stray + 1,
        )
    return rows


def json_rows(rows: pa.Table) -> list[dict[str, Any]]:
    """The rows as JSON values: times in RFC 3339, sums of money as numbers."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.isoformat().replace("+00:00", "Z")
        return float(value) if isinstance(value, Decimal) else value

    return [{name: plain(value) for name, value in row.items()} for row in rows.to_pylist()]


def inside(times: pa.Array, window: Window) -> pa.Array:
    """Which instants lie in the window; one that is missing does not."""
    zoned = pc.assume_timezone(times, "UTC") if times.type.tz is None else times
    instants = zoned.cast(INSTANT, safe=False)  # the window's ends are coarser than this
    start, end = (pa.scalar(edge, INSTANT) for edge in (window.start, window.end))
    matches = pc.and_(pc.greater_equal(instants, start), pc.less(instants, end))
    return pc.fill_null(matches, False)


def first_outside(times: pa.Array, window: Window) -> int:
    """The index of the first instant that is missing or outside the window, or -1."""
    index: int = pc.index(inside(times, window), False).as_py()
    return index


def _event_column(field: pa.Field, rows: Sequence[dict[str, Any]]) -> pa.Array:
    values = [dict.get(row, field.name) for row in rows]  # the SDK stores them under these names
    if field.name == CALLER:
        values = list(map(plain_caller, values))
    try:
        if pa.types.is_floating(field.type):
            return pa.array(values, field.type)
        to_text = json_text if field.name in JSON_COLUMNS else _as_text
        text = pa.array(map(to_text, values), pa.string())
        return instants(text) if pa.types.is_timestamp(field.type) else text
    except (pa.ArrowInvalid, pa.ArrowTypeError, NotJson):
        raise EventShapeError(
            f"The service sent an event whose {field.name} is not a {field.type}. Nothing was read."
        ) from None


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
