"""The times of buckets: from labels with an offset, looked up for labels without one.

Where no bounds make an aggregation exact (see `bounds`), it is requested with wider ones, sliced by
time, at the interval of its own or that of the window: a whole hour, day, week, month or year of
UTC. What lies beyond an edge falls into a bucket of its own, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from vectorshift_orchestration.aggregates.answers import off_utc
from vectorshift_orchestration.errors import AggregationShapeError, WindowError
from vectorshift_orchestration.extract.steps import Step, Steps
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window
from vectorshift_orchestration.windows.edges import UNITS, after, at_or_before

if TYPE_CHECKING:
    from vectorshift.analytics import (
        AggregationBucket,
        AggregationOperation,
        AggregationResult,
        Event,
        Query,
    )

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_WEEKS = timedelta(weeks=8)
_SAMPLE = 20


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
            "can be distinguished by their buckets, or slice by time first."
        )
    return AggregationSpec(spec.metrics, ["time", *spec.group_by], unit)


def inside(
    result: AggregationResult, spec: AggregationSpec, measured: AggregationSpec, window: Window
) -> AggregationResult:
    """The result of `measured`, cut to the window, as a result of `spec`.

    Raises `AggregationShapeError` for a label that is not where a bucket begins in UTC.
    """
    selected: list[AggregationBucket] = []
    for figures in result["buckets"]:
        slices = [
            each
            for each in figures.get("nested", [])
            if window.contains(_start_of(each["label"], measured.interval))
        ]
        if measured is spec:
            selected.append({"label": figures["label"], "nested": slices})
        else:
            selected += [{**each, "label": figures["label"]} for each in slices]
    return {**result, "buckets": selected}


def _is_one(window: Window, unit: str) -> bool:
    try:
        window.partition_key(unit)
    except WindowError:
        return False
    return True


def require_utc(
    query: Query, window: Window, measured: AggregationSpec, result: AggregationResult
) -> Steps[None]:
    """Refuse buckets whose labels name no offset, unless they are those of UTC.

    For the first and the last of them, and one in the middle of many weeks (a zone can be as UTC in
    winter), an event in it is looked up, and the hour that the service puts that event into. Raises `AggregationShapeError` if it differs or is unknown.
    """
    if measured.interval is None or "time" not in measured.group_by:
        return
    times = list(map(_time, _labels(result, measured.group_by.index("time"))))
    unplaced = sorted(time for time in times if time is not None and time.tzinfo is None)
    for start in _spread(unplaced):
        end = after(start.replace(tzinfo=UTC), measured.interval, UTC)
        part = Window(
            max(window.start, start.replace(tzinfo=UTC) - _DAY), min(window.end, end + _DAY)
        )
        page = yield Step(part.bound(query), "events", (_SAMPLE, 0))
        second = _between_hours(page["events"])
        answer: AggregationResult = yield Step(
            _over(query, second), "raw_aggregate", (_operations(measured), ["time"], "hour")
        )
        hour = second.replace(minute=0, second=0, tzinfo=None)
        labels = [_time(label) for label in _labels(answer, 0)]
        if not labels or any(each != hour for each in labels):
            raise AggregationShapeError(
                f"The service labels buckets of time without an offset from UTC, {start.isoformat(' ')!r} "
                f"for one, and puts an event at {second.isoformat()} into "
                f"{_shown(labels)}: it cuts time in another zone than UTC. Leave time out of the slices."
            )


def _spread(times: Sequence[datetime]) -> Iterable[datetime]:
    middle = times[len(times) // 2 :][:1] if times and times[-1] - times[0] > _WEEKS else []
    return dict.fromkeys([*times[:1], *middle, *times[-1:]])


def _labels(result: AggregationResult, depth: int) -> Iterator[str]:
    level = list(result["buckets"])
    for _ in range(depth + 1):
        level = [inner for each in level for inner in each.get("nested", [])]
    return (each["label"] for each in level)


def _between_hours(events: Sequence[Event]) -> datetime:
    """The second in which an event started, not one at the edge of an hour."""
    for event in events:
        start = datetime.fromisoformat(event["span_start_time"]).astimezone(UTC)
        second = start.replace(microsecond=0)
        if 3 <= second.minute * 60 + second.second < 3_597:
            return second
    raise AggregationShapeError(
        "The service labels buckets of time without an offset from UTC, and no event shows in which "
        "zone they are. Leave time out of the slices."
    )


def _over(query: Query, second: datetime) -> Query:
    from vectorshift.analytics import EventField

    at = EventField.EVENT_START_TIME
    return query.where(at >= second - _SECOND, at < second + 2 * _SECOND)


def _operations(spec: AggregationSpec) -> list[AggregationOperation | str]:
    """Those of the answer, and one that every event has a figure for."""
    return ["start_time.min", *spec.operations()]


def _time(label: str) -> datetime | None:
    try:
        return datetime.fromisoformat(label)
    except ValueError:
        return None


def _start_of(label: str, interval: str | None) -> datetime:
    start = _time(label)
    if start is None:
        raise AggregationShapeError(
            f"The time bucket {label!r} is not an ISO 8601 time, so it is unknown which events on the "
            "edge of the window are in it."
        )
    start = start.replace(tzinfo=UTC) if start.tzinfo is None else start  # as was looked up
    if interval is not None and at_or_before(start, interval, UTC) != start:
        raise off_utc(label, interval)
    return start


def _shown(times: Sequence[datetime | None]) -> str:
    return ", ".join(f"{time:%Y-%m-%d %H:%M}" for time in times if time) or "none"
