"""What the service returns, as Arrow with types that are written down here, never guessed.

A schema that is inferred breaks on the first empty window and on the first column of nulls. These
are explicit, so an empty window still has its columns, and a table keeps its types for ever.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.amounts import DIGITS, PLACES, amount
from vectorshift_orchestration.errors import (
    AggregationShapeError,
    EventShapeError,
    RowOutsideWindow,
)
from vectorshift_orchestration.specs import AggregationSpec, Metric, Ratio
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift.analytics import AggregationBucket, AggregationResult, Event

INSTANT = pa.timestamp("us", tz="UTC")
AMOUNT = pa.decimal128(DIGITS, PLACES)
"""Money and credits: exact in sums; see `amounts`."""

EVENT_SCHEMA = pa.schema(
    [
        ("span_id", pa.string()),
        ("trace_id", pa.string()),
        ("parent_span_id", pa.string()),
        ("span_kind", pa.string()),
        ("span_start_time", INSTANT),
        ("span_end_time", INSTANT),
        ("status", pa.string()),
        ("error_message", pa.string()),
        ("object_id", pa.string()),
        ("object_info", pa.string()),
        ("project_id", pa.string()),
        ("execution_id", pa.string()),
        ("source", pa.string()),
        ("caller", pa.string()),
        ("interface_type", pa.string()),
        ("interface_name", pa.string()),
        ("interface_data", pa.string()),
        ("model_id", pa.string()),
        ("node_type", pa.string()),
        ("latency", pa.float64()),
        ("node_latency", pa.float64()),
        ("session_name", pa.string()),
        ("session_users", pa.string()),
        ("session_source", pa.string()),
        ("session_collection", pa.string()),
        ("session_ai_source", pa.string()),
        ("span_attributes", pa.string()),
    ]
)
"""An event, by the names of the reference page (section Event). Objects and lists are JSON text.

The caller is the exception: pages of events show an object with one text in it, files and filters
the text alone (CONTRACT.md A5, B3). It is the text here, wherever the event comes from.
"""

EVENT_ID = "span_id"
EVENT_TIME = "span_start_time"
CALLER = "caller"
BUCKET_TIME = "bucket_start"
"""The time column of every aggregation table; with `EVENT_TIME`, what a window is checked on."""

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
_LEAST, _MOST = -(2**63), 2**63 - 1
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def canonical_name(name: str) -> str:
    """The reference page's name of a column, from any spelling that the wire uses.

    `spanStartTime`, `startTime` and `SPAN_START_TIME` are all `span_start_time` (CONTRACT.md A5).
    """
    snake = _HUMP.sub("_", name.strip()).lower()
    return _OTHER_NAMES.get(snake, snake)


def plain_caller(value: Any) -> Any:
    """Who called, as `EVENT_SCHEMA` has it, from a text, an object, or an object's JSON.

    An object with more in it than one text is left as it is.
    """
    told = value
    if isinstance(value, str) and value.startswith("{"):
        try:
            told = json.loads(value)
        except (ValueError, RecursionError):
            return value
    if isinstance(told, dict) and len(told) == 1:
        (only,) = told.values()
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
                f"The service sent an event without {name}, so it cannot be told from others or "
                "placed in time. Nothing was taken; ask for an export instead."
            )
    return batch


def aggregation_schema(spec: AggregationSpec) -> pa.Schema:
    """The columns of an aggregation: `bucket_start`, the other dimensions, then the metrics.

    Counts and tokens are int64, costs and credits are `AMOUNT`, everything else is double, dimensions
    are strings.
    """
    dimensions = [(name, pa.string()) for name in spec.group_by if name != "time"]
    metrics = [(column.column, _arrow_type(column)) for column in spec.columns]
    return pa.schema([(BUCKET_TIME, INSTANT), *dimensions, *metrics])


def aggregation_table(
    result: AggregationResult | Mapping[str, Any], spec: AggregationSpec, window: Window
) -> pa.Table:
    """The result of `Query.raw_aggregate` as a table with the columns of `aggregation_schema`.

    `result` answers `spec` over `window`. One row for each combination of dimension values, in
    order. `bucket_start` is the bucket's own start when `spec` slices by time, else the window's
    start, so that every table can be written with `overwrite_window`. A label without an offset
    is read as UTC; the empty label is the wire's missing value and becomes null. Where a metric
    has no bucket that another has, sums and counts are 0 and the rest is null.

    Raises `AggregationShapeError` when a level is missing, a time label is no time, a figure is not
    finite, a count is no whole number or more than 64 bits hold, or an amount has more than 26 digits
    before the point.
    """
    found = {metric: _leaves(result, metric, spec) for metric in spec.measured}
    keys = sorted({key for values in found.values() for key in values})
    if not spec.group_by:
        keys = [()]
    starts = [window.start] * len(keys)
    columns: dict[str, Any] = {}
    for depth, name in enumerate(spec.group_by):
        labels = [key[depth] for key in keys]
        if name == "time":
            starts = [_bucket_start(label) for label in labels]
        else:
            columns[name] = [label or None for label in labels]
    measured = {metric: [_value(found[metric], key, metric) for key in keys] for metric in found}
    for column in spec.columns:
        columns[column.column] = (
            _ratios(column, measured) if isinstance(column, Ratio) else measured[column]
        )
    return pa.table({BUCKET_TIME: starts, **columns}, schema=aggregation_schema(spec))


def first_outside(times: pa.Array, window: Window) -> int:
    """The index of the first instant that is missing or outside the window, or -1."""
    zoned = pc.assume_timezone(times, "UTC") if times.type.tz is None else times
    instants = zoned.cast(INSTANT, safe=False)  # the window's ends are coarser than this
    start, end = (pa.scalar(edge, INSTANT) for edge in (window.start, window.end))
    inside = pc.and_(pc.greater_equal(instants, start), pc.less(instants, end))
    index: int = pc.index(pc.fill_null(inside, False), False).as_py()
    return index


def require_buckets_inside(rows: pa.Table, window: Window) -> None:
    """Raise `RowOutsideWindow` when an aggregation has a bucket that starts outside of the window."""
    stray = first_outside(rows[BUCKET_TIME].combine_chunks(), window)
    if stray >= 0:
        raise RowOutsideWindow(
            f"The service answered with a bucket that starts at {rows[BUCKET_TIME][stray]}, outside "
            f"of {window.label}. Nothing was written.",
            row=stray + 1,
        )


def _event_column(field: pa.Field, rows: Sequence[dict[str, Any]]) -> pa.Array:
    values = [dict.get(row, field.name) for row in rows]  # the SDK stores them under these names
    if field.name == CALLER:
        values = list(map(plain_caller, values))
    try:
        if pa.types.is_floating(field.type):
            return pa.array(values, field.type)
        return pa.array([_as_text(value) for value in values], pa.string()).cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise EventShapeError(
            f"The service sent an event whose {field.name} is no {field.type}. Nothing was taken."
        ) from None


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _arrow_type(column: Metric | Ratio) -> pa.DataType:
    if isinstance(column, Ratio):
        return pa.float64()
    if column.is_amount:
        return AMOUNT
    return pa.int64() if column.is_whole else pa.float64()


def _leaves(
    result: AggregationResult | Mapping[str, Any], metric: Metric, spec: AggregationSpec
) -> dict[tuple[str, ...], float | None]:
    """The values of one metric by their labels, one label for each dimension.

    A metric over nothing has no bucket, and a mean of nothing has no value (CONTRACT.md G5).
    """
    leaves: dict[tuple[str, ...], float | None] = {}
    for bucket in result["buckets"]:
        if bucket["label"] == metric.operation.label:
            _descend(bucket, (), len(spec.group_by), leaves, metric)
    return leaves


def _descend(
    bucket: AggregationBucket,
    key: tuple[str, ...],
    levels: int,
    leaves: dict[tuple[str, ...], float | None],
    metric: Metric,
) -> None:
    if len(key) == levels:
        leaves[key] = bucket.get("value")
        return
    if "nested" not in bucket:
        raise AggregationShapeError(
            f"{metric.column} has no slices at {_place(key)}, where {levels} levels were asked for."
        )
    for inner in bucket["nested"]:
        _descend(inner, (*key, inner["label"]), levels, leaves, metric)


def _place(key: tuple[str, ...]) -> str:
    return " / ".join(key) or "the top"


def _bucket_start(label: str) -> datetime:
    try:
        start = datetime.fromisoformat(label)
    except ValueError:
        raise AggregationShapeError(
            f"The time bucket {label!r} is not an ISO 8601 time; is time where it was asked?"
        ) from None
    return start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)


def _value(
    values: Mapping[tuple[str, ...], float | None], key: tuple[str, ...], metric: Metric
) -> float | int | Decimal | None:
    value: Any = values.get(key)
    if value is None:
        return metric.of_nothing
    what = f"{metric.column} at {_place(key)}"
    if metric.is_amount:
        return amount(value, what)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and abs(value) <= sys.float_info.max):
        raise AggregationShapeError(f"{what} is {value!r}, which is no finite number.")
    if not metric.is_whole:
        return float(value)
    if value != int(value):
        raise AggregationShapeError(f"{what} is {value!r}, but it counts things.")
    if not _LEAST <= value <= _MOST:
        raise AggregationShapeError(f"{what} is {value!r}, more than 64 bits hold.")
    return int(value)


def _ratios(ratio: Ratio, measured: Mapping[Metric, Sequence[Any]]) -> list[float | None]:
    pairs = zip(measured[ratio.numerator], measured[ratio.denominator], strict=True)
    return [
        None if not below or above is None else float(above) / float(below)
        for above, below in pairs
    ]
