"""The figures of one window, or of several in a row, in one request.

Several windows are requested at once as buckets of time, which the service cuts in UTC (docs/contract.md
G4). A window of several buckets gets its figures by the algebra of `merging`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vectorshift_orchestration.aggregates.answers import BUCKET_TIME
from vectorshift_orchestration.aggregates.merging import merge_rows, mergeable
from vectorshift_orchestration.errors import MergeError, WindowError
from vectorshift_orchestration.specs import AggregationSpec, parse_metric
from vectorshift_orchestration.windows import Window, edges

Figures = Mapping[str, Any]
"""The columns of an aggregation and their values; sums of nothing are 0, the rest is None."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask, as arguments of `extract.figures`, and how to read its answer."""

    window: Window
    spec: AggregationSpec
    read: Callable[[Sequence[Figures]], list[Figures]]


def question(spec: AggregationSpec, windows: Sequence[Window]) -> Question:
    """The one request whose answer holds the figures of `spec` for each window.

    The windows follow each other without a gap. Raises `WindowError` when several of them are not
    made of whole UTC hours, and `MergeError` when they are not single buckets and a figure, such as
    a percentile, cannot be put together from several.
    """
    if len(windows) == 1 and not _mean_over_years(spec, windows[0]):
        return Question(windows[0], spec, list)
    interval = _coarsest(windows)
    zone = edges.zone("UTC")
    single = all(edges.after(each.start, interval, zone) == each.end for each in windows)
    measured_spec = spec if single else mergeable(spec)

    def read(rows: Sequence[Figures]) -> list[Figures]:
        inside = [[row for row in rows if each.contains(row[BUCKET_TIME])] for each in windows]
        return [each[0] if single and each else _merged(each, spec) for each in inside]

    span = Window(windows[0].start, windows[-1].end)
    return Question(span, AggregationSpec(measured_spec.metrics, ["time"], interval), read)


def _merged(rows: Sequence[Figures], spec: AggregationSpec) -> Figures:
    """The figures of several buckets; a mean that they do not determine is None."""
    figures: dict[str, Any] = {}
    for text in spec.metrics:
        try:
            figures |= merge_rows(rows, AggregationSpec([text]))
        except MergeError:
            figures[parse_metric(text).column] = None
    return figures


def _mean_over_years(spec: AggregationSpec, window: Window) -> bool:
    """The service refuses a mean over two calendar years (reference page "sum / mean / min / max")."""
    return window.start.year < (window.end - edges.TICK).year and any(
        str(metric.operation.op) == "mean" for metric in spec.measured
    )


def _coarsest(windows: Sequence[Window]) -> str:
    for interval in reversed(edges.UNITS):
        if all(window.is_aligned(interval) for window in windows):
            return interval
    raise WindowError(
        f"Window {windows[-1].label} cannot be compared with those before it in one request: the "
        "service cuts time into whole UTC hours, and it begins or ends inside of one. "
        "Compare windows of whole hours."
    )
