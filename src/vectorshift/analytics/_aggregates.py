"""Aggregation answers: from the wire's nested maps to buckets, scalars and flat dicts.

The reader knows the operations and dimensions that were asked for, so the shape of an answer never depends on how many
slices it happens to hold. Source: CONTRACT.md A5 (TypeResult, Labels), B4 (Results), D7.
"""

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from vectorshift._calls import Call, Reply
from vectorshift.analytics import _answers as answers
from vectorshift.analytics._enums import AggregationOp
from vectorshift.analytics._operations import AggregationOperation
from vectorshift.analytics._results import AggregationBucket, AggregationResult
from vectorshift.errors import AnalyticsInvalidQuery

_TOTAL = "__total__"
_REDUCERS: dict[Any, Callable[[Iterable[float]], float]] = {
    AggregationOp.SUM: math.fsum,
    AggregationOp.MIN: min,
    AggregationOp.MAX: max,
}


def number(raw: Any) -> float:
    """Read a number that may come as text. Whole numbers stay int, so that no digit beyond 2**53 is lost."""
    if isinstance(raw, bool) or raw is None:
        raise ValueError(f"{raw!r} is no number")
    if isinstance(raw, str):
        raw = int(raw) if re.fullmatch(r"-?\d+", raw) else float(raw)
    if not isinstance(raw, (int, float)):
        raise ValueError(f"{raw!r} is no number")
    return raw


def _figure(raw: Any, op: Any) -> float:
    return answers.whole(number(raw)) if op is AggregationOp.COUNT_DISTINCT else number(raw)


def _reduce(op: Any, values: list[float]) -> float | None:
    if op not in _REDUCERS or not values:
        return None
    if op is AggregationOp.SUM and all(isinstance(value, int) for value in values):
        return sum(values)
    return _REDUCERS[op](values)


def _same_label(label: str, operation: AggregationOperation) -> bool:
    def plain(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower()).replace("percentile", "p")

    return plain(label) == plain(operation.label)


def _slices(node: Any) -> tuple[dict[str, Any], bool, Any]:
    """Return a node's slices, whether they are leaves, and its total, which may stand among them as `__total__`."""
    nested = answers.get(answers.get(node, "nested_result") or {}, "nested_aggregation_map")
    slices = dict(nested or answers.get(node.get("result") or {}, "aggregation_map") or {})
    inside = slices.pop(_TOTAL, None)
    if isinstance(inside, dict):
        inside = answers.get(inside, "total_aggregation")
    total = answers.get(node, "total_aggregation")
    return slices, not nested, inside if total is None else total


def _height(node: Any) -> int:
    """How many levels of slices lie below a node."""
    slices = _slices(node)[0] if isinstance(node, dict) else {}
    return 1 + max(map(_height, slices.values())) if slices else 0


def _nodes(data: Any, operations: tuple[AggregationOperation, ...], levels: int) -> dict[str, Any]:
    """Return the node of each operation. A single operation may also arrive keyed by its slices."""
    rest = dict(answers.get(data.get("result") or data, "aggregation_result") or {})
    found: dict[str, Any] = {}
    for operation in operations:
        for label in list(rest):
            if _same_label(label, operation):
                found[operation.label] = rest.pop(label)
                break
    missing = [operation.label for operation in operations if operation.label not in found]
    strange = [label for label in rest if label != _TOTAL]
    if not missing and not strange:
        return found
    if len(operations) > 1 or not missing:
        if len(missing) == len(strange) == 1:  # the operation, under a label that we do not know
            return found | {missing[0]: rest[strange[0]]}
        if strange:
            raise ValueError(f"labels {sorted(strange)} fit none of the operations {missing}")
        return found
    if len(strange) == 1 and _height(rest[strange[0]]) >= levels:
        return {missing[0]: rest[strange[0]]}
    return {missing[0]: {"nested_result": {"nested_aggregation_map": rest}}} if rest else {}


def _bucket(label: str, node: Any, depth: int, op: Any) -> AggregationBucket:
    """Read a node that has `depth` dimensions below it."""
    bucket: AggregationBucket = {"label": label}
    figure = node
    if isinstance(node, dict):
        slices, leaves, figure = _slices(node)
        if depth > 1 and leaves and slices:
            raise ValueError(f"slice {label!r} ends {depth - 1} dimension(s) early")
        if depth:
            bucket["nested"] = [_bucket(name, each, depth - 1, op) for name, each in slices.items()]
            if figure is None:
                values = [each["value"] for each in bucket["nested"] if "value" in each]
                figure = _reduce(op, values)
        elif figure is None and slices:
            figure = _only_value(label, slices)
    elif depth:
        raise ValueError(f"slice {label!r} is a number where more dimensions were expected")
    if figure is not None and not math.isnan(value := _figure(figure, op)):
        bucket["value"] = value  # a mean of nothing has none
    return bucket


def _only_value(label: str, slices: dict[str, Any]) -> float:
    if len(slices) > 1:
        raise ValueError(f"slice {label!r} holds {len(slices)} further slices and no total")
    return number(next(iter(slices.values())))


def reader(
    operations: tuple[AggregationOperation, ...], depth: int
) -> Callable[[Any, Call, Reply], AggregationResult]:
    """Return the reader of an answer to `operations` with `depth` dimensions.

    Depth 0 reads the YEAR slices that stand in for "no dimension" and reduces them; where years cannot be reduced and
    the service sent no total, it raises `AnalyticsInvalidQuery`.
    """

    def read(data: Any, call: Call, reply: Reply) -> AggregationResult:
        answers.succeeded(data, call, reply, "result", "aggregation_result")
        levels = depth or 1
        nodes = _nodes(data, operations, levels)
        ops = {operation.label: operation.op for operation in operations}
        buckets = [_bucket(label, node, levels, ops[label]) for label, node in nodes.items()]
        if not depth:
            buckets = [_over_years(each, ops[each["label"]]) for each in buckets]
        return {"buckets": buckets}

    return read


def _over_years(bucket: AggregationBucket, op: Any) -> AggregationBucket:
    years = bucket.get("nested", [])
    if len(years) > 1 and (op is AggregationOp.MEAN or "value" not in bucket):
        raise spans_years(str(op) if isinstance(op, AggregationOp) else "percentile")
    figures = [each["value"] for each in (bucket, *years) if "value" in each]
    total: AggregationBucket = {"label": bucket["label"]}
    return {**total, "value": figures[0]} if figures else total


def spans_years(what: str) -> AnalyticsInvalidQuery:
    """The refusal of a figure that cannot be put together from one figure a year. Source: reference page "sum / mean / min / max"."""
    return AnalyticsInvalidQuery(
        f"{what} over a range spanning multiple calendar years isn't supported on an ungrouped query: "
        "use group_by(GroupBy.TIME, Interval.YEAR) or narrow the range to one calendar year."
    )


def scalar(result: AggregationResult) -> float:
    """Return the figure of an ungrouped answer to one operation; 0.0 when nothing matched."""
    buckets = result["buckets"]
    return float(buckets[0].get("value", 0.0)) if buckets else 0.0


def distinct(result: AggregationResult) -> int:
    """Return the figure of an ungrouped `count_distinct`."""
    buckets = result["buckets"]
    return answers.whole(buckets[0].get("value", 0)) if buckets else 0


def flat(result: AggregationResult) -> dict[str, float]:
    """Return `{slice label: figure}` of an answer to one operation with one dimension."""
    buckets = result["buckets"]
    slices = buckets[0].get("nested", []) if buckets else []
    return {each["label"]: float(each["value"]) for each in slices if "value" in each}
