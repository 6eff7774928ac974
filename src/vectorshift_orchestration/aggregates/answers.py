"""The service's answer to an aggregation, read into plain columns: no Arrow, so that a triggerer can judge by it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration.amounts import amount
from vectorshift_orchestration.errors import AggregationShapeError
from vectorshift_orchestration.specs import AggregationSpec, Metric, Ratio
from vectorshift_orchestration.windows import Window
from vectorshift_orchestration.windows.edges import at_or_before

if TYPE_CHECKING:
    from vectorshift.analytics import AggregationBucket, AggregationResult

BUCKET_TIME = "bucket_start"
"""The time column of every aggregation, which a window is checked on."""

_LEAST, _MOST = -(2**63), 2**63 - 1


def answer_columns(
    result: AggregationResult | Mapping[str, Any], spec: AggregationSpec, window: Window
) -> dict[str, list[Any]]:
    """The result of `Query.raw_aggregate` as columns, by name: `bucket_start`, the dimensions, the metrics.

    `result` answers `spec` over `window`. One row for each combination of dimension values, in
    order. `bucket_start` is the bucket's own start when `spec` slices by time, else the window's
    start, so that every table can be written with `overwrite_window`. A label without an offset
    is read as UTC; the empty label is the wire's missing value and becomes None. Where a metric
    has no bucket that another has, sums and counts are 0 and the rest is None.

    Raises `AggregationShapeError` when a level is missing, a time label is not a time or not where a bucket
    begins in UTC, a figure is not
    finite, a count is not a whole number or more than 64 bits hold, or an amount has more than 26 digits
    before the point.
    """
    values_by_metric = {metric: _leaves(result, metric, spec) for metric in spec.measured}
    keys = sorted({key for values in values_by_metric.values() for key in values})
    if not spec.group_by:
        keys = [()]
    columns: dict[str, list[Any]] = {BUCKET_TIME: [window.start] * len(keys)}
    for depth, name in enumerate(spec.group_by):
        labels = [key[depth] for key in keys]
        if name == "time":
            columns[BUCKET_TIME] = [_bucket_start(label, spec.interval) for label in labels]
        else:
            columns[name] = [label or None for label in labels]
    measured = {
        metric: [_value(values_by_metric[metric], key, metric) for key in keys]
        for metric in values_by_metric
    }
    for column in spec.columns:
        columns[column.column] = (
            _ratios(column, measured) if isinstance(column, Ratio) else measured[column]
        )
    return columns


def answer_rows(
    result: AggregationResult | Mapping[str, Any], spec: AggregationSpec, window: Window
) -> list[dict[str, Any]]:
    """`answer_columns`, row by row."""
    columns = answer_columns(result, spec, window)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _leaves(
    result: AggregationResult | Mapping[str, Any], metric: Metric, spec: AggregationSpec
) -> dict[tuple[str, ...], float | None]:
    """The values of one metric by their labels, one label for each dimension.

    A metric over nothing has no bucket, and a mean of nothing has no value (docs/contract.md G5).
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
            f"{metric.column} has no slices at {_place(key)}, where {levels} levels were requested."
        )
    for inner in bucket["nested"]:
        _descend(inner, (*key, inner["label"]), levels, leaves, metric)


def _place(key: tuple[str, ...]) -> str:
    return " / ".join(key) or "the top"


def _bucket_start(label: str, interval: str | None) -> datetime:
    try:
        start = datetime.fromisoformat(label)
    except ValueError:
        raise AggregationShapeError(
            f"The time bucket {label!r} is not an ISO 8601 time; is time at the requested level?"
        ) from None
    start = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
    if interval is not None and at_or_before(start, interval, UTC) != start:
        raise off_utc(label, interval)
    return start


def off_utc(label: str, interval: str) -> AggregationShapeError:
    """The error for a bucket of time that does not begin where one begins in UTC."""
    return AggregationShapeError(
        f"The service sent a bucket of time that begins at {label}, where no {interval} begins in UTC. "
        f"Most likely it cuts time in another zone{', or its weeks begin on Sunday' * (interval == 'week')}: "
        "leave time out of the slices, or slice by the hour."
    )


def _value(
    values: Mapping[tuple[str, ...], float | None], key: tuple[str, ...], metric: Metric
) -> float | int | Decimal | None:
    value: Any = values.get(key)
    if value is None:
        return metric.of_nothing
    label = f"{metric.column} at {_place(key)}"
    if metric.is_amount:
        return amount(value, label)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and abs(value) <= sys.float_info.max):
        raise AggregationShapeError(f"{label} is {value!r}, which is not a finite number.")
    if not metric.is_integer:
        return float(value)
    if value != int(value):
        raise AggregationShapeError(f"{label} is {value!r}, but it counts things.")
    if not _LEAST <= value <= _MOST:
        raise AggregationShapeError(f"{label} is {value!r}, more than 64 bits hold.")
    return int(value)


def _ratios(ratio: Ratio, measured: Mapping[Metric, Sequence[Any]]) -> list[float | None]:
    pairs = zip(measured[ratio.numerator], measured[ratio.denominator], strict=True)
    return [
        None if not below or above is None else float(above) / float(below)
        for above, below in pairs
    ]
