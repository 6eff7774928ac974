"""Several aggregations of the same events, in as few requests as give exact answers.

One request may serve many tables, in two ways:

    totals  The reply carries a figure at every level of its slices (docs/contract.md A5). A table that is
            sliced by the first dimensions of the request, at its interval, is read from there.
    sums    Any other table is added up from the finest slices, and has to consist of sums, minima,
            maxima and ratios of sums, which the figures of disjoint slices determine (`merging`).

What the hosted service does is not known, so nothing is taken for granted. Where a reply has no
totals and the figure cannot be made from the slices (a percentile, a mean, a distinct count), and
where its slices do not add up to its totals because they overlap, each table is requested by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration.aggregates.merging import merge_rows
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift.analytics import AggregationBucket, AggregationResult, Query

_ADDED_UP = ("sum", "min", "max")
_FINER = {
    "year": ("month", "day", "hour"),
    "month": ("day", "hour"),
    "week": ("day", "hour"),
    "day": ("hour",),
}
MOST_BUCKETS = 5_000
"""How many buckets of time one request has at most, each with all of its slices."""

_WIDTHS = {
    "year": timedelta(days=365),
    "month": timedelta(days=28),
    "week": timedelta(weeks=1),
    "day": timedelta(days=1),
    "hour": timedelta(hours=1),
}
_COARSE_TO_FINE = ("year", "month", "week", "day", "hour")
_CLOSE = 1e-9
_WHOLE: Mapping[str, Callable[[Iterable[float]], float]] = {
    "sum": math.fsum,
    "min": min,
    "max": max,
}


@dataclass(frozen=True, slots=True)
class SharedRequest:
    """One request, and the positions of the specs that its answer holds, by how they are read."""

    spec: AggregationSpec
    totals: tuple[int, ...]
    sums: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """One table for each spec, in order, and how many requests it took.

    `separate_reason` says why tables that were planned together had to be requested one by one, else None.
    """

    tables: list[pa.Table]
    requests: int
    separate_reason: str | None = None


def plan(specs: Sequence[AggregationSpec]) -> list[SharedRequest]:
    """The requests that answer all specs exactly.

    Specs with a figure that cannot be added up share a request when they have one interval and each
    is sliced by some of the dimensions of the next. All other specs join one of those requests
    whose interval divides theirs, or else share one more.
    """
    drafts: list[_Draft] = []
    added_up = [position for position, spec in enumerate(specs) if _adds_up(spec)]
    separate = [position for position in range(len(specs)) if position not in added_up]
    for position in sorted(separate, key=lambda position: -len(_sliced_by(specs[position]))):
        drafts = _joined(drafts, specs[position], position)
    rest = []
    for position in added_up:
        spec = specs[position]
        match = next((each for each in drafts if _divides(each.interval, spec.interval)), None)
        if match is None:
            rest.append(position)
        else:
            match.members.append(position)
    for timed in (True, False):
        remaining = [position for position in rest if specs[position].sliced_by_time is timed]
        if remaining:
            interval = _common_interval([specs[position] for position in remaining])
            drafts.append(_Draft(interval, [], remaining))
    return [draft.request(specs) for draft in drafts]


def aggregate_many(
    query: Query, window: Window, specs: Sequence[AggregationSpec], *, share: bool = True
) -> Answers:
    """What `extract.aggregate` gives for each spec, in as few requests as are exact.

    A window of more than `MOST_BUCKETS` buckets is measured part by part, where all specs are sliced by time: so
    no answer grows with the length of a backfill. With `share=False` every spec is a request of its own: many dimensions together can make a
    reply large. Raises what `extract.aggregate` raises; `WindowError` before any request.
    """
    if not specs:
        raise SpecError("There is nothing to measure. Give at least one aggregation.")
    parts = [
        _aggregate_many(query, part, specs, share=share) for part in _of_bounded_size(window, specs)
    ]
    if len(parts) == 1:
        return parts[0]
    import pyarrow as pa

    return Answers(
        [pa.concat_tables(tables) for tables in zip(*(part.tables for part in parts), strict=True)],
        sum(part.requests for part in parts),
        next((part.separate_reason for part in parts if part.separate_reason), None),
    )


def _of_bounded_size(window: Window, specs: Sequence[AggregationSpec]) -> list[Window]:
    """The window in parts that begin and end with whole buckets of every spec."""
    intervals = {spec.interval for spec in specs if spec.sliced_by_time and spec.interval}
    is_sliced = all(spec.sliced_by_time for spec in specs)
    if not is_sliced or not intervals or not all(map(window.is_aligned, intervals)):
        return [window]
    coarsest, *_, finest = sorted([*intervals] * 2, key=_COARSE_TO_FINE.index)
    most = MOST_BUCKETS * _WIDTHS[finest]
    if window.width <= most:
        return [window]
    parts: list[Window] = []
    start = window.start
    for unit in window.split(coarsest):
        so_far = Window(start, unit.end)
        if so_far.start < unit.start and so_far.width > most:
            before = Window(start, unit.start)
            if all(map(before.is_aligned, intervals)):
                parts.append(before)
                start = unit.start
    return [*parts, Window(start, window.end)]


def _aggregate_many(
    query: Query, window: Window, specs: Sequence[AggregationSpec], *, share: bool
) -> Answers:
    from vectorshift_orchestration.extract import aggregate, ask
    from vectorshift_orchestration.tables import require_buckets_inside

    if not share or len(specs) == 1:
        return Answers([aggregate(query, window, spec) for spec in specs], len(specs))
    tables: dict[int, pa.Table] = {}
    requests, separate_reason = 0, None
    for request in plan(specs):
        members = (*request.totals, *request.sums)
        requests += 1
        if len(members) == 1:
            tables[members[0]] = aggregate(query, window, specs[members[0]])
            continue
        result = ask(query, window, request.spec)
        problem = _flaw(result, request, specs)
        if problem is None:
            read = _read(result, request, specs, window)
            tables |= {each: require_buckets_inside(rows, window) for each, rows in read.items()}
            continue
        separate_reason = problem
        requests += len(members)
        tables |= {position: aggregate(query, window, specs[position]) for position in members}
    return Answers([tables[position] for position in range(len(specs))], requests, separate_reason)


@dataclass
class _Draft:
    """A request in the making: nested sets of dimensions, the largest first, and its specs."""

    interval: str | None
    nested: list[frozenset[str]]
    members: list[int] = field(default_factory=list)

    def request(self, specs: Sequence[AggregationSpec]) -> SharedRequest:
        chosen = [specs[position] for position in self.members]
        order: dict[str, None] = {}
        for dimensions in (*reversed(self.nested), *sorted(map(_sliced_by, chosen), key=len)):
            order |= dict.fromkeys(sorted(dimensions - order.keys()))
        metrics = dict.fromkeys(
            metric.operation.shorthand for spec in chosen for metric in spec.measured
        )
        slices = ["time", *order] if self.interval else [*order]
        shared = AggregationSpec(list(metrics), slices, self.interval)
        totals = [each for each in self.members if _is_level(specs[each], shared)]
        sums = [each for each in self.members if each not in totals]
        return SharedRequest(shared, tuple(totals), tuple(sums))


def _joined(drafts: list[_Draft], spec: AggregationSpec, position: int) -> list[_Draft]:
    """Put a spec that must be read from totals under a larger one, or begin another request."""
    dimensions = _sliced_by(spec)
    for draft in drafts:
        if draft.interval == spec.interval and dimensions <= draft.nested[-1]:
            draft.nested.append(dimensions)
            draft.members.append(position)
            return drafts
    return [*drafts, _Draft(spec.interval, [dimensions], [position])]


def _adds_up(spec: AggregationSpec) -> bool:
    return all(str(metric.operation.op) in _ADDED_UP for metric in spec.measured)


def _sliced_by(spec: AggregationSpec) -> frozenset[str]:
    return frozenset(spec.group_by) - {"time"}


def _is_level(spec: AggregationSpec, shared: AggregationSpec) -> bool:
    return spec.interval == shared.interval and set(spec.group_by) == set(
        shared.group_by[: len(spec.group_by)]
    )


def _divides(finer: str | None, coarser: str | None) -> bool:
    return finer == coarser or finer in _FINER.get(coarser or "", ())


def _common_interval(specs: Sequence[AggregationSpec]) -> str | None:
    """The coarsest interval that divides all of them; None when they have none."""
    return next(
        (
            interval
            for interval in _COARSE_TO_FINE
            if all(_divides(interval, spec.interval) for spec in specs)
        ),
        None,
    )


def _flaw(
    result: AggregationResult, request: SharedRequest, specs: Sequence[AggregationSpec]
) -> str | None:
    """Why the answer cannot be shared, or None."""
    added = _labels(specs[position] for position in request.sums)
    depths = {
        metric.operation.label: len(specs[position].group_by)
        for position in request.totals
        for metric in specs[position].measured
    }
    for bucket in result["buckets"]:
        label = bucket["label"]
        if label in depths and any(map(_lacks_total, _level(bucket, depths[label]))):
            return f"The service sent no totals of {label}"
        op = added.get(label)
        if op is not None and not _consistent(bucket, op):
            return f"The slices of {label} overlap: they do not add up to the service's totals"
    return None


def _labels(specs: Iterable[AggregationSpec]) -> dict[str, str]:
    return {
        metric.operation.label: str(metric.operation.op)
        for spec in specs
        for metric in spec.measured
    }


def _level(bucket: AggregationBucket, depth: int) -> list[AggregationBucket]:
    buckets = [bucket]
    for _ in range(depth):
        buckets = [inner for each in buckets for inner in each.get("nested", [])]
    return buckets


def _lacks_total(bucket: AggregationBucket) -> bool:
    """Whether a slice has no figure although a slice of it has one."""
    return "value" not in bucket and any(_has_figure(each) for each in bucket.get("nested", []))


def _has_figure(bucket: AggregationBucket) -> bool:
    return "value" in bucket or any(map(_has_figure, bucket.get("nested", [])))


def _consistent(bucket: AggregationBucket, op: str) -> bool:
    """Whether at every level the slices make up the figure above them."""
    inner = bucket.get("nested", [])
    parts = [each["value"] for each in inner if "value" in each]
    if parts and "value" in bucket:
        total = _WHOLE[op](parts)
        if not math.isclose(total, bucket["value"], rel_tol=_CLOSE, abs_tol=_CLOSE):
            return False
    return all(_consistent(each, op) for each in inner)


def _read(
    result: AggregationResult,
    request: SharedRequest,
    specs: Sequence[AggregationSpec],
    window: Window,
) -> dict[int, pa.Table]:
    tables = {
        position: _at_level(result, request.spec, specs[position], window)
        for position in request.totals
    }
    for position in request.sums:
        tables[position] = _added_up(result, request.spec, specs[position], window)
    return tables


def _at_level(
    result: AggregationResult, shared: AggregationSpec, spec: AggregationSpec, window: Window
) -> pa.Table:
    from vectorshift_orchestration.tables import BUCKET_TIME, aggregation_schema, aggregation_table

    level = AggregationSpec(spec.metrics, shared.group_by[: len(spec.group_by)], spec.interval)
    table = aggregation_table(result, level, window).select(aggregation_schema(spec).names)
    if level.group_by == spec.group_by:
        return table
    keys = [BUCKET_TIME, *(name for name in spec.group_by if name != "time")]
    rows = zip(*(table[key].to_pylist() for key in keys), strict=True)
    places = [[(part is not None, part) for part in row] for row in rows]
    return table.take(sorted(range(len(places)), key=places.__getitem__))


def _added_up(
    result: AggregationResult, shared: AggregationSpec, spec: AggregationSpec, window: Window
) -> pa.Table:
    import pyarrow.compute as pc

    from vectorshift_orchestration.tables import BUCKET_TIME, aggregation_table

    measured = [metric.operation.shorthand for metric in spec.measured]
    finest = AggregationSpec(measured, shared.group_by, shared.interval)
    table = aggregation_table(result, finest, window)
    if spec.interval != shared.interval:
        starts = pc.floor_temporal(table[BUCKET_TIME], unit=spec.interval)  # weeks begin on Monday
        table = table.set_column(0, table.schema.field(0), starts)
    return _merged(table, spec)


def _merged(table: pa.Table, spec: AggregationSpec) -> pa.Table:
    """The rows of one bucket and one slice as one row; they come in order, nulls first."""
    import pyarrow as pa

    from vectorshift_orchestration.tables import BUCKET_TIME, aggregation_schema

    keys = [BUCKET_TIME, *(name for name in spec.group_by if name != "time")]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    order = sorted(groups, key=lambda key: [(part is not None, part) for part in key])
    merged = [dict(zip(keys, key, strict=True)) | merge_rows(groups[key], spec) for key in order]
    return pa.Table.from_pylist(merged, schema=aggregation_schema(spec))
