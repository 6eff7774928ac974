"""How finely the service compares times, probed with one of its events.

A bound may be cut on its way to the database: clickhouse-go binds a time as whole seconds, and a text is cut to the digits
of its column. So an event at 10:00:00.123 is requested with bounds that are true of it as they are and not once they are
cut, or the other way round. Nothing is assumed of which ends are inclusive.
"""

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from vectorshift._calls import Call, Flow, Pause, Reply, ask
from vectorshift._capabilities import Capabilities
from vectorshift._settings import TimePrecision
from vectorshift.analytics import (
    _answers as answers,
    _flows as flows,
    _requests as requests,
    _values as values,
)
from vectorshift.analytics._enums import FieldFilterOp
from vectorshift.analytics._filters import EventField, FieldFilter, Filter
from vectorshift.analytics._plan import plan
from vectorshift.analytics._results import Event
from vectorshift.analytics._spec import Spec
from vectorshift.errors import BadRequestError, UnprocessableEntityError

_AT = EventField.EVENT_START_TIME
_ORDERED = (FieldFilterOp.GT, FieldFilterOp.GTE, FieldFilterOp.LT, FieldFilterOp.LTE)
_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_SAMPLE = 100
_MANY = 20
"""So many events on whole seconds, and none beside them, are those of a clock that ticks in seconds."""
_FINER = re.compile(r"\.\d{3}\d*[1-9]")
_PATIENCE = 0.05
_log = logging.getLogger("vectorshift")


@dataclass(frozen=True, slots=True)
class _Sample:
    """One event, the millisecond in which it started, and whether the clock is finer than that."""

    span_id: str
    tick: datetime
    finer: bool


def time_precision(spec: Spec, capabilities: Capabilities) -> Flow[TimePrecision | None]:
    """Return what is known, or probe it with the events in the query's time range; None if they do not exist.

    One page, and one to five counts: once, since the capabilities remember it. Callers that come meanwhile wait for the first.
    """
    while capabilities.time_precision is None and capabilities.is_measuring_time:
        yield Pause(_PATIENCE)
    if capabilities.time_precision is not None:
        return capabilities.time_precision
    capabilities.is_measuring_time = True
    try:
        sample_plan = plan(Spec(terms=_range_of(spec)), "search")
        count, sample = yield from ask(requests.search(sample_plan, _SAMPLE, 0), _read_sample)
        if sample is None and count < _MANY:
            return "s" if count else None  # for now: other events may show more
        precision: TimePrecision = "s"
        if sample is not None:
            with suppress(BadRequestError, UnprocessableEntityError):  # which show nothing
                precision = yield from _measured(sample)
        capabilities.time_precision = precision
        _log.info(
            "The service compares times to the %s. Window bounds are sent accordingly; "
            "Client(time_precision=%r) saves finding it out.",
            _NAMES[precision],
            precision,
        )
        return precision
    finally:
        capabilities.is_measuring_time = False


_NAMES = {"us": "microsecond", "ms": "millisecond", "s": "second"}


def _range_of(spec: Spec) -> tuple[FieldFilter, ...]:
    return tuple(
        term
        for term in spec.terms
        if isinstance(term, FieldFilter)
        and term.column is _AT
        and term.op in _ORDERED
        and isinstance(term.value, datetime)
    )


def _read_sample(data: Any, call: Call, reply: Reply) -> tuple[int, _Sample | None]:
    """Read how many events a page has, and one that shows something."""
    events = answers.read_events(data, call, reply)["events"]
    return len(events), _sample(events)


def _sample(events: Sequence[Event]) -> _Sample | None:
    """The first event between two whole seconds, with a millisecond left after it in its second."""
    texts = [(each.get("span_id"), each.get("span_start_time") or "") for each in events]
    finer = any(_FINER.search(text) for _, text in texts)
    for span_id, text in texts:
        if span_id and text:
            start = values.moment(text, "span_start_time")
            milliseconds = start.microsecond // 1000
            if 0 < milliseconds < 999:
                tick = start.replace(microsecond=milliseconds * 1000)
                return _Sample(span_id, tick, finer)
    return None


def _measured(sample: _Sample) -> Flow[TimePrecision]:
    tick, after = sample.tick, sample.tick + _MILLISECOND
    lower, upper = FieldFilter.gte(_AT, tick - _SECOND), FieldFilter.lt(_AT, tick + 2 * _SECOND)
    # The first lower and the first upper bound go out as start_time and end_time, a third one as a table filter.
    if (yield from _has_event(sample, lower, upper, FieldFilter.gte(_AT, after))):
        return "s"
    if not sample.finer:
        between = after - _MICROSECOND
        before_it = yield from _has_event(sample, lower, FieldFilter.lt(_AT, between))
        if before_it and not (yield from _has_event(sample, FieldFilter.gte(_AT, between), upper)):
            return "us"
    before_it = yield from _has_event(sample, lower, FieldFilter.lt(_AT, after))
    if before_it and not (yield from _has_event(sample, FieldFilter.gte(_AT, after), upper)):
        return "ms"
    return "s"


def _has_event(sample: _Sample, *bounds: FieldFilter) -> Flow[bool]:
    spec = Spec(terms=(Filter.eq(EventField.EVENT_ID, sample.span_id), *bounds))
    return (yield from flows.count(spec))["count"] > 0
