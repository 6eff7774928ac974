"""Buckets of time in place of bounds: what lies beyond an edge falls into a bucket of its own, and is left out.

Where no bounds make an aggregation exact (see `bounds`), it is asked for with wider ones, sliced by
time, at the interval of its own or that of the window: a whole hour, day, week, month or year of
UTC. Only a label that names its offset tells where its bucket lies.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from vectorshift_orchestration.aggregates.answers import off_utc
from vectorshift_orchestration.errors import AggregationShapeError, WindowError
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window
from vectorshift_orchestration.windows.edges import UNITS, at_or_before

if TYPE_CHECKING:
    from vectorshift.analytics import AggregationBucket, AggregationResult, Query

_SECOND = timedelta(seconds=1)


def wide(query: Query, window: Window) -> Query:
    """The query from just before the window up to its end, which may belong to it or not."""
    from vectorshift.analytics import EventField

    at = EventField.EVENT_START_TIME
    return query.where(at >= window.start - _SECOND, at < window.end)


def sliced(spec: AggregationSpec, window: Window) -> AggregationSpec:
    """The aggregation with time as its first slice. Raises `WindowError` where there is none to slice by."""
    if "time" in spec.group_by[:1]:
        return spec
    unit = next((unit for unit in UNITS if _is_one(window, unit)), None)
    if unit is None or "time" in spec.group_by:
        raise WindowError(
            f"Window {window.label} cannot be measured exactly: an event starts on the very edge of "
            "it, the service takes the wrong ones of such events, and it cuts time bounds too coarsely "
            "for others to be right. Measure whole hours, days, weeks, months or years of UTC, which "
            "can be told apart by their buckets, or slice by time first."
        )
    return AggregationSpec(spec.metrics, ["time", *spec.group_by], unit)


def inside(
    result: AggregationResult, spec: AggregationSpec, asked: AggregationSpec, window: Window
) -> AggregationResult:
    """The answer to `asked`, as one to `spec` about the window alone.

    Raises `AggregationShapeError` for a label that does not tell where its bucket lies.
    """
    kept: list[AggregationBucket] = []
    for figures in result["buckets"]:
        slices = [
            each
            for each in figures.get("nested", [])
            if window.contains(_start_of(each["label"], asked.interval))
        ]
        if asked is spec:
            kept.append({"label": figures["label"], "nested": slices})
        else:
            kept += [{**each, "label": figures["label"]} for each in slices]
    return {**result, "buckets": kept}


def _is_one(window: Window, unit: str) -> bool:
    try:
        window.partition_key(unit)
    except WindowError:
        return False
    return True


def _start_of(label: str, interval: str | None) -> datetime:
    start: datetime | None
    try:
        start = datetime.fromisoformat(label)
    except ValueError:
        start = None
    if start is None or start.tzinfo is None:
        raise AggregationShapeError(
            f"The service labels a bucket of time {label!r}, without an offset from UTC, so nothing "
            "tells which events on the edge of the window are in it."
        )
    if interval is not None and at_or_before(start, interval, UTC) != start:
        raise off_utc(label, interval)
    return start
