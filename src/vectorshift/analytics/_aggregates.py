"""Aggregation answers: from the wire's nested maps to buckets, scalars and flat dicts.

The reader knows the operations and dimensions that were asked for, so the shape of an answer never depends on how many
slices it happens to hold. Source: CONTRACT.md A5 (TypeResult, Labels), B4 (Results), D7.
"""

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from vectorshift.analytics import _wire as wire
from vectorshift.analytics._calls import Call, Reply
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


def _reduce(op: Any, values: list[float]) -> float:
    if op is AggregationOp.SUM and all(isinstance(value, int) for value in values):
        return sum(values)
    return _REDUCERS[op](values)


def _same_label(label: str, operation: AggregationOperation) -> bool:
    def plain(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower()).replace("percentile", "p")

    return plain(label) == plain(operation.label)


def _maps(node: Any) -> tuple[dict[str, Any], bool]:
    """Return a node's slices and whether they are leaves."""
    nested = wire.get(node, "nested_result") or {}
    found = wire.get(nested, "nested_aggregation_map")
    if found:
        return found, False
    return wire.get(node.get("result") or {}, "aggregation_map") or {}, True


def _nodes(data: Any, operations: tuple[AggregationOperation, ...]) -> dict[str, Any]:
    """Return the node of each operation. A single operation may also arrive keyed by its slices."""
    payload = data.get("result") or data
    outer = wire.get(payload, "aggregation_result") or {}
    found: dict[str, Any] = {}
    rest = dict(outer)
    for operation in operations:
        for label in list(rest):
            if _same_label(label, operation):
                found[operation.label] = rest.pop(label)
                break
    if not rest:
        return found
    missing = [operation for operation in operations if operation.label not in found]
    if len(operations) == 1 and missing:
        total = (rest.pop(_TOTAL, None) or {}) if isinstance(rest.get(_TOTAL), dict) else {}
        only = next(iter(rest.values())) if len(rest) == 1 else {}
        if (
            isinstance(only, dict) and _maps(only)[0]
        ):  # the operation, under a label that we do not know
            return {operations[0].label: only}
        node = {"nested_result": {"nested_aggregation_map": rest}}
        return {operations[0].label: node | total}
    if len(missing) == 1 and len(rest) == 1:
        return found | {missing[0].label: next(iter(rest.values()))}
    raise ValueError(
        f"labels {sorted(rest)} fit none of the operations {[op.label for op in operations]}"
    )


def _bucket(label: str, node: Any, depth: int, op: Any) -> AggregationBucket:
    """Read a node that has `depth` dimensions below it."""
    bucket: AggregationBucket = {"label": label}
    if not isinstance(node, dict):
        if depth:
            raise ValueError(f"slice {label!r} is a number where more dimensions were expected")
        bucket["value"] = number(node)
        return bucket
    slices, leaves = _maps(node)
    if depth:
        below = depth - 1
        if leaves and below and slices:
            raise ValueError(f"slice {label!r} ends {below} dimension(s) early")
        bucket["nested"] = [_bucket(str(name), each, below, op) for name, each in slices.items()]
    total = wire.get(node, "total_aggregation")
    if total is not None and not math.isnan(number(total)):  # a mean of nothing has no value
        bucket["value"] = number(total)
    elif not depth and slices:
        bucket["value"] = _only_value(label, slices)
    elif depth and op in _REDUCERS:
        values = [each["value"] for each in bucket["nested"] if "value" in each]
        if values:
            bucket["value"] = _reduce(op, values)
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
        wire.succeeded(data, call, reply)
        nodes = _nodes(data, operations)
        ops = {operation.label: operation.op for operation in operations}
        buckets = [_bucket(label, node, depth or 1, ops[label]) for label, node in nodes.items()]
        return {
            "buckets": buckets
            if depth
            else [_over_years(each, ops[each["label"]]) for each in buckets]
        }

    return read


def _over_years(bucket: AggregationBucket, op: Any) -> AggregationBucket:
    years = bucket.get("nested", [])
    if len(years) > 1 and op is AggregationOp.MEAN:
        raise spans_years("mean")
    if "value" in bucket:
        return {"label": bucket["label"], "value": bucket["value"]}
    if len(years) > 1:
        raise spans_years(str(op) if isinstance(op, AggregationOp) else "percentile")
    return (
        {"label": bucket["label"], "value": years[0]["value"]}
        if years
        else {"label": bucket["label"]}
    )


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
    return wire.whole(buckets[0].get("value", 0)) if buckets else 0


def flat(result: AggregationResult) -> dict[str, float]:
    """Return `{slice label: figure}` of an answer to one operation with one dimension."""
    buckets = result["buckets"]
    slices = buckets[0].get("nested", []) if buckets else []
    return {each["label"]: float(each["value"]) for each in slices if "value" in each}
