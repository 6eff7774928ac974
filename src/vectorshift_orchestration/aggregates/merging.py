"""Figures of disjoint parts (slices, buckets of time), put together to the whole's: right or refused.

    sum                   the sum of the sums
    min, max              the least, the greatest
    mean                  (sum of the sums) / (number of values)
    error_rate            (sum of the errors) / (sum of the runs)
    percentile, distinct  refused: the parts' figures do not determine the whole's

How many values a part's mean is made of follows from its sum / mean, which must come out whole: the
runs would be too many, because a run in progress has no latency. Where a part's sum and mean are
both 0 the number is unknown, and the mean is refused. Runs and errors have one value for each run.
Sums of fractions are added exactly and rounded once, so the order of the parts does not show;
amounts of money are decimals, whose sums are not rounded at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from vectorshift_orchestration import amounts
from vectorshift_orchestration.errors import AggregationShapeError, MergeError
from vectorshift_orchestration.specs import AggregationSpec, Metric, Ratio, parse_metric

_RUNS = "runs.sum"
_ONE_PER_RUN = frozenset({"runs", "errors"})
_NEAR_WHOLE = 1e-3

Row = Mapping[str, Any]
Figure = float | Decimal


def mergeable(spec: AggregationSpec) -> AggregationSpec:
    """What to ask of each part, so that `merge_rows` can answer `spec` for the whole.

    Ratios become their two metrics; a mean needs its sum and the runs besides. Raises `MergeError`
    for percentiles and distinct counts.
    """
    metrics: dict[str, None] = {}
    for metric in spec.measured:
        shorthand, op = metric.operation.shorthand, str(metric.operation.op)
        if op not in ("sum", "min", "max", "mean"):
            raise MergeError(
                f"{shorthand} of several parts cannot be put together: percentiles must not be "
                "averaged and distinct counts must not be added. Keep the parts apart, "
                "or ask for the whole in one piece.",
                metric=shorthand,
            )
        metrics[shorthand] = None
        if op == "mean":
            metrics |= dict.fromkeys([_sum_of(metric), _RUNS])
    return AggregationSpec(list(metrics), spec.group_by, spec.interval)


def merge_rows(rows: Sequence[Row], spec: AggregationSpec) -> dict[str, Figure | None]:
    """The figures of `spec` by column, from rows with the columns of `mergeable(spec)`.

    Raises `MergeError` for a mean whose number of values is unknown, `AggregationShapeError` for
    a sum that its column cannot hold.
    """
    return {column.column: _merged(column, rows) for column in spec.columns}


def _merged(column: Metric | Ratio, rows: Sequence[Row]) -> Figure | None:
    if isinstance(column, Ratio):
        above, below = (_merged(part, rows) for part in (column.numerator, column.denominator))
        return float(above) / float(below) if above is not None and below else None
    op = str(column.operation.op)
    if op == "mean":
        return _mean(column, rows)
    values = [row[column.column] for row in rows if row[column.column] is not None]
    if op == "sum":
        return _total(column, values)
    return (min if op == "min" else max)(values, default=column.of_nothing)


def _mean(metric: Metric, rows: Sequence[Row]) -> Figure | None:
    held = [row for row in rows if row[metric.column] is not None]
    if not held:
        return None
    totals: list[Any] = [row[parse_metric(_sum_of(metric)).column] or 0 for row in held]
    total = _total(metric, totals)
    if not any(row[metric.column] for row in held):
        return total * 0  # of however many values
    if metric.operation.field in _ONE_PER_RUN:
        numbers: list[int] = [row["runs_sum"] for row in held]
    else:
        means: list[Any] = [row[metric.column] for row in held]
        numbers = [_number_of_values(metric, *each) for each in zip(totals, means, strict=True)]
    if not all(numbers):
        raise MergeError(
            f"{metric.operation.shorthand} of several parts cannot be put together here: a part's "
            "sum and mean do not say of how many values they are made, as when both are 0. Keep "
            "the parts apart, or ask for the sum.",
            metric=metric.operation.shorthand,
        )
    return _divided(metric, total, sum(numbers))


def _number_of_values(metric: Metric, total: Any, mean: Any) -> int:
    """Of how many values the mean is made; 0 where its last digit leaves it open."""
    number = float(total / mean) if mean else math.inf
    if not math.isfinite(number):
        return 0
    rounding = float(amounts.UNIT) / 2 if metric.is_amount else 0.0
    slack = _NEAR_WHOLE + rounding * (number + 1) / abs(float(mean))
    rounded = max(0, round(number))
    return rounded if slack < 0.5 and abs(number - rounded) < slack else 0


def _total(metric: Metric, values: Sequence[Any]) -> Figure:
    if metric.is_amount:
        return amounts.total(values, f"The sum of {metric.column}")
    try:
        total = sum(values) if all(isinstance(each, int) for each in values) else math.fsum(values)
    except OverflowError:
        total = math.inf
    if abs(total) < (2**63 if metric.is_integer else math.inf):
        return total
    raise AggregationShapeError(f"The sum of {metric.column} is more than 64 bits hold.")


def _divided(metric: Metric, total: Any, parts: int) -> Figure:
    if metric.is_amount:
        return amounts.share(total, parts, f"The mean of {metric.column}")
    quotient: float = total / parts
    return quotient


def _sum_of(metric: Metric) -> str:
    return f"{metric.operation.field}.sum"
