"""Events of a window as Arrow batches: all of them, once each, or an error."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.request import Request, urlopen

import pyarrow as pa
import pytest

from tests.sdk.scripted import Answer, in_turn, serving
from vectorshift import Client, InvalidResponseError
from vectorshift.analytics import EventField, FieldFilter, LogicalOp, Query
from vectorshift_orchestration.errors import (
    EventShapeError,
    ExtractIncomplete,
    SpecError,
    WindowError,
)
from vectorshift_orchestration.extract import events
from vectorshift_orchestration.tables import EVENT_SCHEMA
from vectorshift_orchestration.windows import Window

START = datetime(2026, 11, 22, tzinfo=UTC)
TICK = timedelta(milliseconds=1)
DAY = Window(START, START + timedelta(days=1))


def iso(instant):
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def at(second, **columns):
    return {"start_time": iso(START + timedelta(seconds=second)), **columns}


def ids(batches):
    return [span for batch in batches for span in batch.column("span_id").to_pylist()]


def reply(**parts):
    return {"status": "success", **parts}


@contextmanager
def capped(emulator, rows, *, admitting):
    """The emulator behind a cap: it hands out the first `rows` events of any query, and no more.

    One that is `admitting` still tells how many there are; one that is not takes the cap for all.
    """

    def forward(request):
        requested = Request(
            emulator.base_url + request.path,
            request.body,
            {"Authorization": f"Bearer {emulator.api_key}"},
        )
        with urlopen(requested) as answered:
            body = json.load(answered)
        if request.path == "/analytics/events/search":
            meta = body["pagination_meta"]
            body["events"] = body["events"][: max(0, rows - int(meta["offset"]))]
            if not admitting:
                meta["total_records"] = min(int(meta["total_records"]), rows)
        return Answer(body)

    with serving(forward) as service, Client("sk_test_key", service.base_url) as client:
        yield client.query()


def test_every_event_of_the_window_once(blank, client):
    """Rows equal the service's own, in the schema of an event, and progress counts up to them."""
    spans = blank.burst(250, at=START + timedelta(hours=3))
    blank.burst(5, at=START - timedelta(seconds=1))
    blank.burst(5, at=DAY.end)
    seen = []
    batches = list(
        events(
            client.query(),
            DAY,
            page_size=40,
            chunk_rows=100,
            progress=lambda rows, pages: seen.append((rows, pages)),
        )
    )
    assert sorted(ids(batches)) == sorted(spans)
    assert {batch.schema for batch in batches} == {EVENT_SCHEMA}
    assert max(batch.num_rows for batch in batches) <= 100
    assert seen == sorted(seen)
    assert seen[-1] == (250, blank.counters()["requests"]["search"])


def test_an_empty_window_asks_for_no_page(blank, client):
    """Nothing was counted, so there is nothing to read, and the columns are the schema's."""
    batches = list(events(client.query(), DAY))
    assert pa.Table.from_batches(batches, EVENT_SCHEMA).num_rows == 0
    assert blank.counters()["requests"] == {"count": 1}


def test_values_keep_their_types(blank, client):
    """Times are instants, objects JSON text with exact integers, empty text is null."""
    blank.insert(
        [
            at(
                1,
                end_time=iso(START + timedelta(seconds=2)),
                latency=1000.5,
                session_users=["ann", "bob"],
                span_attributes={"tokens": 2**60 + 1, "text": "Näme ✓"},
                error_message="",
                status="in_progress",
            )
        ]
    )
    [batch] = events(client.query(), DAY)
    [row] = batch.to_pylist()
    assert row["span_start_time"] == START + timedelta(seconds=1)
    assert row["span_end_time"] == START + timedelta(seconds=2)
    assert (row["latency"], row["status"], row["error_message"]) == (1000.5, "in_progress", None)
    assert json.loads(row["session_users"]) == ["ann", "bob"]
    assert json.loads(row["span_attributes"]) == {"tokens": 2**60 + 1, "text": "Näme ✓"}


def test_conditions_and_alternatives_hold_inside_the_window(blank, client):
    """A query with an OR group is counted and read the same way."""
    blank.insert(
        [
            at(1, span_id="a", status="failure"),
            at(2, span_id="b", source="api"),
            at(3, span_id="c"),
        ]
    )
    query = client.query().where(
        EventField.STATUS == "failure", EventField.SOURCE == "api", logical_op=LogicalOp.OR
    )
    assert sorted(ids(events(query, DAY))) == ["a", "b"]


@pytest.mark.parametrize("admitting", [True, False])
def test_a_service_with_a_cap_is_read_in_halves(admitting, blank):
    """No part of the window is larger than what the service hands out, and none is missing."""
    spans = blank.insert([at(3600 * number) for number in range(24)])
    seen = []
    with capped(blank, 7, admitting=admitting) as query:
        result = ids(events(query, DAY, page_size=5, progress=lambda rows, _: seen.append(rows)))
    assert sorted(result) == sorted(spans)
    assert seen[-1] == 24


@pytest.mark.parametrize(
    ("floor", "spread"), [(TICK, timedelta(0)), (timedelta(seconds=10), timedelta(seconds=1))]
)
def test_what_cannot_be_halved_is_an_error(floor, spread, blank):
    """More events in the narrowest part than the service hands out: both numbers are reported."""
    blank.insert([{"start_time": iso(START + number * spread)} for number in range(4)])
    window = Window(START, START + timedelta(seconds=4))
    with (
        capped(blank, 3, admitting=False) as query,
        pytest.raises(ExtractIncomplete, match="too narrow") as caught,
    ):
        list(events(query, window, floor=floor))
    assert (caught.value.rows, caught.value.counted) == (3, 4)


def one_page(*found, count=None):
    """A service that counts, then gives one page."""
    total = len(found) if count is None else count
    return in_turn(
        reply(count=total), reply(events=list(found), pagination_meta={"total_records": total})
    )


@pytest.mark.parametrize(
    ("event", "part"),
    [
        ({"spanId": "s", "startTime": iso(DAY.end)}, "rounds the times"),
        ({"spanId": "s", "startTime": iso(DAY.start - TICK)}, "rounds the times"),
        ({"startTime": iso(START)}, "without span_id"),
        ({"spanId": "s"}, "without span_start_time"),
        ({"spanId": "s", "startTime": iso(START), "endTime": "soon"}, "span_end_time is no"),
    ],
)
def test_an_event_that_cannot_be_trusted_is_an_error(event, part):
    """Outside the window, without identity, out of time: nothing of it is given out."""
    with serving(one_page(event)) as service, Client("sk_test_key", service.base_url) as client:
        with pytest.raises(EventShapeError, match=part) as caught:
            list(events(client.query(), DAY))
        assert "soon" not in str(caught.value)


@pytest.mark.parametrize("latency", [[1], "NaN", "1_000", True])
def test_a_latency_that_is_not_a_number_is_an_error(latency):
    """What no service can mean is refused as the page is read, with its field."""
    event = {"spanId": "s", "startTime": iso(START), "latency": latency}
    with (
        serving(one_page(event)) as service,
        Client("sk_test_key", service.base_url) as client,
        pytest.raises(InvalidResponseError, match="not a finite number"),
    ):
        list(events(client.query(), DAY))


def test_a_row_that_comes_twice_counts_once():
    """Pages over live data can repeat a row; it is one event, and the counts still agree."""
    rows = [{"spanId": name, "startTime": iso(START)} for name in "abbc"]
    pages = [
        reply(events=part, pagination_meta={"total_records": 3}) for part in (rows[:2], rows[2:])
    ]
    searches = in_turn(*pages)

    def script(request):
        counts = request.path.endswith("/count")
        return Answer(reply(count=3)) if counts else searches(request)

    with (
        serving(script) as service,
        Client("sk_test_key", service.base_url) as client,
    ):
        assert ids(events(client.query(), DAY, page_size=2)) == ["a", "b", "c"]


def test_what_would_leave_rows_out_is_refused(client, blank):
    """An offset, and parts that can hold nothing, are errors before any request."""
    with pytest.raises(SpecError, match="offset of 10"):
        list(events(client.query(offset=10), DAY))
    for bad in ({"floor": timedelta(0)}, {"chunk_rows": 0}):
        with pytest.raises(WindowError, match="at least one"):
            list(events(client.query(), DAY, **bad))
    assert blank.counters()["requests"] == {}


def test_a_query_of_its_own_time_narrows_the_window(blank, client):
    """A query that has a time bound already gives what lies in both."""
    spans = blank.burst(10, at=START)
    later = FieldFilter.gte(EventField.EVENT_START_TIME, START + 4 * TICK)
    query: Query = client.query().where(later)
    assert sorted(ids(events(query, DAY))) == sorted(spans[4:])


def test_a_lookback_picks_up_what_came_late(blank, client):
    """Late events and a run that has ended since: the last windows, read again, are the truth."""
    early, late = DAY.split("hour")[:2]
    blank.insert([at(10, span_id="a"), at(3700, span_id="b", status="in_progress")])
    assert ids(events(client.query(), early)) == ["a"]
    blank.insert([at(20, span_id="c")])
    [batch] = events(client.query(), late.lookback(1))
    truth = blank.truth("SELECT span_id, status FROM events")
    result = {row["span_id"]: row["status"] for row in batch.to_pylist()}
    assert (
        result
        == {row["span_id"]: row["status"] for row in truth}
        == dict.fromkeys("ac", "success") | {"b": "in_progress"}
    )
