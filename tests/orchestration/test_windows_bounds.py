"""An event on an edge belongs to one window, whichever way the service reads its bounds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, strategies as st

from tests.orchestration.laws import counted, law
from vectorshift.analytics import EventField, FieldFilter
from vectorshift_orchestration import extract
from vectorshift_orchestration.exports import ExportRequest
from vectorshift_orchestration.exports.fetch import submit
from vectorshift_orchestration.exports.staging import stage
from vectorshift_orchestration.readers import read_export
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window

TICK = timedelta(milliseconds=1)
MODES = ["closed", "open", "half-open", "open-closed"]
AT = EventField.EVENT_START_TIME
RUNS = AggregationSpec(["runs.sum", "latency.max"])


def windows_under_test():
    """A local day of 25 hours, two hours, and ten minutes, one after the other."""
    day = Window.day(date(2026, 11, 1), "America/New_York")
    hours = Window(day.end, day.end + timedelta(hours=2)).split("hour")
    return [day, *hours, Window(hours[-1].end, hours[-1].end + timedelta(minutes=10))]


def on_the_edges(windows):
    """An event on every edge, one tick before and one after it, and what each window should hold."""
    edges = [windows[0].start, *(window.end for window in windows)]
    instants = sorted({edge + shift * TICK for edge in edges for shift in (-1, 0, 1)})
    events = [
        {"span_id": f"sp_{number}", "start_time": at.isoformat(), "latency": 5.0}
        for number, at in enumerate(instants)
    ]
    held = [
        {f"sp_{number}" for number, at in enumerate(instants) if window.start <= at < window.end}
        for window in windows
    ]
    return events, held


def table_ids(bound):
    page = bound.table([EventField.EVENT_ID], limit=1000)
    return {row["values"]["event_id"] for row in page["rows"]}


def exported_ids(client, window, folder):
    request = ExportRequest(client.query().to_dict(), window, "JSON")
    staged = stage(client, submit(client, request), request, folder)
    _, batches = read_export(staged.path, "JSON")
    return {span for batch in batches for span in batch.column("span_id").to_pylist()}


@pytest.mark.parametrize("mode", MODES)
def test_every_way_of_asking_agrees_on_the_edges(mode, blank, client, tmp_path: Path):
    """Counts, sums, pages, tables, extracts and exports hold each window's events and no others."""
    windows = windows_under_test()
    events, held = on_the_edges(windows)
    blank.insert(events)
    blank.settings(bounds=mode)
    query = client.query()
    for window, expected in zip(windows, held, strict=True):
        bound = window.bound(query)
        assert bound.count() == {"count": len(expected)}
        measured = extract.aggregate(query, window, RUNS).to_pylist()[0]
        assert measured["runs_sum"] == len(expected)
        assert {event["span_id"] for event in bound.iter_events(page_size=4)} == expected
        assert table_ids(bound) == expected
        extracted = [
            span
            for batch in extract.events(query, window, page_size=4)
            for span in batch.column("span_id").to_pylist()
        ]
        assert sorted(extracted) == sorted(expected)
        assert exported_ids(client, window, tmp_path) == expected
    whole = Window(windows[0].start, windows[-1].end)
    assert whole.bound(query).count()["count"] == sum(map(len, held)) == len(events) - 3


@pytest.mark.parametrize("mode", MODES)
def test_buckets_of_time_agree_on_the_edges(mode, blank, client):
    """Sliced by the hour over several windows, each window's buckets add up to its events."""
    windows = windows_under_test()[:3]
    events, held = on_the_edges(windows)
    blank.insert(events)
    blank.settings(bounds=mode)
    whole = Window(windows[0].start, windows[-1].end)
    spec = AggregationSpec(["runs.sum"], ["time"], "hour")
    rows = extract.aggregate(client.query(), whole, spec).to_pylist()
    for window, expected in zip(windows, held, strict=True):
        inside = [row["runs_sum"] for row in rows if window.contains(row["bucket_start"])]
        assert sum(inside) == len(expected)
    assert all(whole.contains(row["bucket_start"]) for row in rows)


def test_bounds_that_are_sent_as_they_are_fail(blank, client):
    """The control: with the edges themselves on the wire, two of the four services are wrong."""
    first, second = windows_under_test()[1:3]
    blank.insert([{"start_time": second.start.isoformat()}])
    query = client.query()
    result = {}
    for mode in MODES:
        blank.settings(bounds=mode)
        result[mode] = [
            query.where(FieldFilter.gte(AT, each.start), FieldFilter.lt(AT, each.end)).count()[
                "count"
            ]
            for each in (first, second)
        ]
    assert result == {"closed": [1, 1], "open": [0, 0], "half-open": [0, 1], "open-closed": [1, 0]}


@law(8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.integers(0, 400 * 86_400_000),
    widths=st.lists(st.integers(1, 90_000_000), min_size=2, max_size=3),
    mode=st.sampled_from(MODES),
)
@counted
def test_the_service_counts_every_event_in_one_window(blank, client, start, widths, mode):
    """Windows of any width that follow each other share out the events on all of their edges."""
    edges = [datetime(2026, 1, 1, tzinfo=UTC) + start * TICK]
    for width in widths:
        edges.append(edges[-1] + width * TICK)
    windows = [Window(a, b) for a, b in pairwise(edges)]
    events, held = on_the_edges(windows)
    blank.reset()
    blank.settings(bounds=mode)
    blank.insert([{**event, "object_id": "pl_1"} for event in events])
    query = client.query(object_ids=["pl_1"])
    assert [each.bound(query).count()["count"] for each in windows] == list(map(len, held))
    sums = [extract.aggregate(query, each, RUNS)["runs_sum"][0].as_py() for each in windows]
    assert sums == list(map(len, held))
