"""Aggregation answers: from the wire's nested maps to buckets, scalars and flat dicts.

The reader knows the operations and dimensions that were requested, so the shape of an answer never depends on how many
slices it happens to hold. A total is believed where its slices do not speak against it: a service may print 0 where it
fills none in. Source: docs/contract.md A5 (TypeResult, Labels), B4 (Results), D7.
"""

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from vectorshift._calls import Call, Reply
from vectorshift.analytics import _answers as answers, _values as values
from vectorshift.analytics._answers import JSON
from vectorshift.analytics._enums import AggregationOp, GroupBy
from vectorshift.analytics._operations import AggregationOperation, Percentile
from vectorshift.analytics._results import AggregationBucket, AggregationResult
from vectorshift.analytics._tabular import Figures
from vectorshift.errors import AnalyticsInvalidQuery

_TOTAL = "__total__"
_REDUCERS: dict[Any, Callable[[Iterable[float]], float]] = {
    AggregationOp.SUM: math.fsum,
    AggregationOp.MIN: min,
    AggregationOp.MAX: max,
}


_COUNTING = (AggregationOp.SUM, AggregationOp.COUNT_DISTINCT)
"""The operations that are 0 without events; all others have no value then."""
_CLOSE = 1e-9
_ABOUT = 0.05
"""How far a distinct count may be off: a service may estimate it."""


def _figure(raw: Any, op: Any, label: str) -> float | None:
    """Read a figure; None is that of nothing, which comes as null or, where it was divided, as NaN."""
    if raw is None:
        return 0 if op in _COUNTING else None
    not_a_number = raw != raw or (isinstance(raw, str) and raw.lower() in ("nan", "-nan"))
    if not_a_number and (op is AggregationOp.MEAN or isinstance(op, Percentile)):
        return None
    if op is not AggregationOp.COUNT_DISTINCT:
        return values.number(raw, label)
    distinct = values.integer(raw, label)
    if distinct < 0:
        raise ValueError(f"{label} is {distinct}, not a number of values")
    return distinct


def _combined(op: Any, parts: list[float]) -> float | None:
    """The figure of a whole by those of its slices, if they determine it."""
    if len(parts) == 1:
        return parts[0]
    if op not in _REDUCERS or not parts:
        return None
    if op is AggregationOp.SUM and all(isinstance(each, int) for each in parts):
        return sum(parts)
    return _REDUCERS[op](parts)


def _total(
    op: Any, total: float | None, parts: list[float], *, by_time: bool, label: str
) -> float | None:
    """The figure of a node, from its own total and the figures of its slices."""
    if not parts:
        return total if total or op in _COUNTING else None
    computed = _combined(op, parts)
    if total is None or (total == 0 and any(parts)):  # a total that was not filled in
        return computed
    # Slices of time hold each event once; others may overlap, or leave out what has no label.
    if by_time and _contradicts(op, total, parts, computed):
        raise ValueError(
            f"the total of {label} is {total}, which its slices {sorted(parts)[:5]} cannot make"
        )
    return total


def _contradicts(op: Any, total: float, parts: list[float], computed: float | None) -> bool:
    if op in _REDUCERS:
        return computed is None or not math.isclose(total, computed, rel_tol=_CLOSE, abs_tol=_CLOSE)
    least, most = min(parts), max(parts)
    if op is AggregationOp.MEAN:
        slack = _CLOSE * max(abs(least), abs(most), 1)
        return not least - slack <= total <= most + slack
    if op is AggregationOp.COUNT_DISTINCT:
        return not most * (1 - _ABOUT) <= total <= sum(parts) * (1 + _ABOUT)
    return False  # a percentile may be taken of a sample, another one each time


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
    nodes: dict[str, Any] = {}
    for operation in operations:
        for label in list(rest):
            if _same_label(label, operation):
                nodes[operation.label] = rest.pop(label)
                break
    missing = [operation.label for operation in operations if operation.label not in nodes]
    strange = [label for label in rest if label != _TOTAL]
    if not missing and not strange:
        return nodes
    if len(operations) > 1 or not missing:
        if len(missing) == len(strange) == 1:  # the operation, under a label that we do not know
            return nodes | {missing[0]: rest[strange[0]]}
        if strange:
            raise ValueError(f"labels {sorted(strange)} fit none of the operations {missing}")
        return nodes
    if len(strange) == 1 and _height(rest[strange[0]]) >= levels:
        return {missing[0]: rest[strange[0]]}
    return {missing[0]: {"nested_result": {"nested_aggregation_map": rest}}} if rest else {}


def _bucket(label: str, node: Any, dims: tuple[str, ...], op: Any) -> AggregationBucket:
    """Read a node that is sliced by `dims`."""
    bucket: AggregationBucket = {"label": label}
    if not isinstance(node, dict):
        if dims:
            raise ValueError(f"slice {label!r} is a number where more dimensions were expected")
        figure = _figure(node, op, label)
    elif dims:
        slices, leaves, raw = _slices(node)
        if len(dims) > 1 and leaves and slices:
            raise ValueError(f"slice {label!r} ends {len(dims) - 1} dimension(s) early")
        bucket["nested"] = [_bucket(name, each, dims[1:], op) for name, each in slices.items()]
        parts = [each["value"] for each in bucket["nested"] if "value" in each]
        total = None if raw is None else _figure(raw, op, f"the total of {label}")
        figure = _total(op, total, parts, by_time=dims[0] == GroupBy.TIME, label=label)
    else:
        figure = _figure(_leaf(label, node), op, label)
    if figure is not None:
        bucket["value"] = figure
    return bucket


def _leaf(label: str, node: JSON) -> Any:
    """The figure of a slice that is a message; proto-JSON leaves a zero out of it."""
    slices, _, raw = _slices(node)
    if raw is None and len(slices) > 1:
        raise ValueError(f"slice {label!r} holds {len(slices)} further slices and no total")
    if raw is None and slices:
        return next(iter(slices.values()))
    return raw if node.keys() & {"total_aggregation", "totalAggregation"} else raw or 0


def reader(
    operations: tuple[AggregationOperation, ...], dims: tuple[str, ...]
) -> Callable[[Any, Call, Reply], AggregationResult]:
    """Return the reader of an answer to `operations`, sliced by `dims`.

    Without dimensions it reads the YEAR slices that stand in for none and reduces them; where years cannot be reduced and
    the service sent no total, it raises `AnalyticsInvalidQuery`.
    """

    def read(data: Any, call: Call, reply: Reply) -> AggregationResult:
        answers.succeeded(data, call, reply, "result", "aggregation_result")
        levels = dims or (GroupBy.TIME.value,)
        nodes = _nodes(data, operations, len(levels))
        ops = {operation.label: operation.op for operation in operations}
        buckets = [_bucket(label, node, levels, ops[label]) for label, node in nodes.items()]
        if not dims:
            buckets = [_over_years(each, ops[each["label"]]) for each in buckets]
        answer: AggregationResult = Figures({"buckets": buckets}, dims)  # type: ignore[assignment]  # a dict with its keys
        return answer

    return read


def _over_years(bucket: AggregationBucket, op: Any) -> AggregationBucket:
    years = [each for each in bucket.get("nested", []) if "value" in each]
    if len(years) > 1 and (op is AggregationOp.MEAN or "value" not in bucket):
        raise spans_years(str(op) if isinstance(op, AggregationOp) else "percentile")
    total: AggregationBucket = {"label": bucket["label"]}
    return {**total, "value": bucket["value"]} if "value" in bucket else total


def spans_years(label: str) -> AnalyticsInvalidQuery:
    """The refusal of a figure that cannot be put together from one figure a year. Source: reference page "sum / mean / min / max"."""
    return AnalyticsInvalidQuery(
        f"{label} over a range spanning multiple calendar years isn't supported on an ungrouped query: "
        "use group_by(GroupBy.TIME, Interval.YEAR) or narrow the range to one calendar year."
    )


def scalar(result: AggregationResult) -> float:
    """Return the figure of an ungrouped answer to one operation; 0.0 when nothing matched."""
    buckets = result["buckets"]
    return float(buckets[0].get("value", 0.0)) if buckets else 0.0


def distinct(result: AggregationResult) -> int:
    """Return the figure of an ungrouped `count_distinct`."""
    buckets = result["buckets"]
    return int(buckets[0].get("value", 0)) if buckets else 0


def flat(result: AggregationResult) -> dict[str, float]:
    """Return `{slice label: figure}` of an answer to one operation with one dimension."""
    buckets = result["buckets"]
    slices = buckets[0].get("nested", []) if buckets else []
    return {each["label"]: float(each["value"]) for each in slices if "value" in each}
