"""Walks over all pages: complete and each row once while events arrive, or an error; the next page on its way."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from tests.sdk.scripted import Answer
from vectorshift import (
    AnalyticsIncomplete,
    AnalyticsInvalidQuery,
    Client,
    InternalServerError,
    Retry,
)
from vectorshift.analytics import AsyncQuery, EventField


async def _collected(walk):
    return [each async for each in walk]


@pytest.fixture(params=["blocking", "awaiting"])
def walked(request):
    """Every item of a query's walk as a list, in both ways."""

    def call(query, walk, *arguments, **options):
        if request.param == "blocking":
            return list(getattr(query, walk)(*arguments, **options))
        awaiting = AsyncQuery(query._spec, query._client)

        async def run():
            return await _collected(getattr(awaiting, walk)(*arguments, **options))

        return asyncio.run(run())

    return call


@pytest.mark.parametrize("size", [1000, 137])
def test_every_event_comes_once(walked, client, emulator, size):
    """iter_events gives every matching event, in the order of the service, and asks for no page twice."""
    query = client.query(object_type="pipeline")
    expected = emulator.truth(
        "SELECT span_id FROM events WHERE entity = 'pipeline' ORDER BY start_time DESC, span_id"
    )
    found = [event["span_id"] for event in walked(query, "iter_events", size)]
    assert found == [row["span_id"] for row in expected]
    assert emulator.counters()["requests"] == {"search": -(-len(expected) // size)}


@pytest.mark.parametrize("size", [1000, 137])
def test_every_row_comes_once(walked, client, emulator, size):
    """iter_rows gives every row with the asked columns alone, though span id and time ride along."""
    query = client.query(object_type="pipeline").where(status="failure")
    rows = emulator.truth(
        "SELECT status, latency, model_id FROM events WHERE entity = 'pipeline' AND status = 'failure' "
        "ORDER BY start_time DESC, span_id"
    )
    columns = [EventField.STATUS, "latency", EventField.MODEL_ID]
    assert [row["values"] for row in walked(query, "iter_rows", columns, page_size=size)] == rows


def test_columns_that_a_walk_needs_may_be_asked_for(walked, client, emulator):
    """Span id and start time stay when they were asked for, under the asked labels."""
    rows = walked(
        client.query(object_type="form"), "iter_rows", ["EVENT_ID", "status"], page_size=50
    )
    expected = emulator.truth("SELECT span_id FROM events WHERE entity = 'form'")
    assert sorted(row["values"]["EVENT_ID"] for row in rows) == sorted(
        r["span_id"] for r in expected
    )
    assert set(rows[0]["values"]) == {"EVENT_ID", "status"}


def test_interface_data_comes_along(walked, client):
    """include_interface_data of iter_rows attaches the payloads."""
    rows = walked(client.query(kinds=["chatbot.run"]), "iter_rows", ["status"], True, 20)
    assert any(row.get("interface_data") for row in rows)


@pytest.mark.parametrize(
    "walk", [("iter_events",), ("iter_rows", ["status"])], ids=["events", "rows"]
)
@pytest.mark.parametrize("offset", [0, 7])
def test_nothing_and_offsets(walked, client, truth, walk, offset):
    """A walk over nothing is empty; the query's offset is where a walk begins, its limit does not matter."""
    assert walked(client.query(object_ids=["none"]), *walk) == []
    expected = truth("SELECT count(*) FROM events WHERE entity = 'form'") - offset
    found = walked(client.query(object_type="form", limit=3, offset=offset), *walk, page_size=40)
    assert len(found) == expected > 0


@pytest.mark.parametrize(
    "walk", [("iter_events",), ("iter_rows", ["event_id"])], ids=["events", "rows"]
)
def test_a_walk_stays_complete_while_events_arrive(walked, client, emulator, walk):
    """New events, and late ones with older times, are inserted between the pages: no row is lost or doubled."""
    query = client.query(object_type="pipeline")
    before = {
        row["span_id"]
        for row in emulator.truth("SELECT span_id FROM events WHERE entity = 'pipeline'")
    }
    pages = []

    def arrive(done, total):
        pages.append((done, total))
        now = datetime.now(UTC)
        times = [now + timedelta(milliseconds=len(pages)), now - timedelta(days=1)]
        emulator.insert(
            [
                {
                    "span_kind": "pipeline.run",
                    "start_time": at.isoformat(timespec="milliseconds"),
                    "status": "failure",
                }
                for at in times
            ]
        )

    found = walked(query, *walk, page_size=250, progress=arrive)
    ids = [each.get("span_id") or each["values"]["event_id"] for each in found]
    assert len(set(ids)) == len(ids)
    assert before <= set(ids)
    assert pages[-1][0] == len(ids)


@pytest.mark.parametrize(
    "walk", [("iter_events",), ("iter_rows", ["status"])], ids=["events", "rows"]
)
def test_progress_is_told_per_page(walked, client, truth, walk):
    """progress(rows so far, rows in all) is called after each page and ends with all."""
    total = truth("SELECT count(*) FROM events WHERE entity = 'form'")
    seen = []
    walked(
        client.query(object_type="form"),
        *walk,
        page_size=30,
        progress=lambda *each: seen.append(each),
    )
    assert seen == [(min(n * 30, total), total) for n in range(1, -(-total // 30) + 1)]


# --- a service that does not hold still --------------------------------------------------------


def page(rows, total=None):
    """A page of events."""
    events = [{"spanId": f"sp_{n}", "startTime": f"2026-01-01T00:00:{59 - n:02}Z"} for n in rows]
    meta = {} if total is None else {"pagination_meta": {"total_records": total}}
    return Answer({"status": "success", "events": events} | meta)


def by_offset(pages):
    """A script that answers a search by its offset."""
    return lambda request: pages[request.json["pagination_config"]["offset"]]


@pytest.mark.parametrize(
    ("pages", "found"),
    [
        ({0: page([0, 1], 4), 2: page([2, 3], 4)}, [0, 1, 2, 3]),
        ({0: page([0, 1], 5), 2: page([1, 2], 6), 4: page([3, 4], 6)}, [0, 1, 2, 3, 4]),
        ({0: page([0, 1]), 2: page([2]), 3: page([])}, [0, 1, 2]),
        ({0: page([0], 3), 1: page([1, 2], 3)}, [0, 1, 2]),
    ],
    ids=["plain", "shifted", "no totals", "small pages"],
)
def test_pages_are_put_together(walked, scripted, service, pages, found):
    """Repeated rows come once, missing totals mean reading to an empty page, short pages are followed."""
    service.script = by_offset(pages)
    assert [event["span_id"] for event in walked(scripted.query(), "iter_events", 2)] == [
        f"sp_{n}" for n in found
    ]


@pytest.mark.parametrize(
    "pages",
    [
        {0: page([0, 1], 5), 2: page([2, 3], 4)},
        {0: page([0, 1], 5), 2: page([])},
        {0: page([0, 1], 4), 2: page([1, 2], 4)},
    ],
    ids=["fewer rows", "early end", "repeated"],
)
def test_rows_that_cannot_be_seen_are_told(walked, scripted, service, pages):
    """When fewer rows were seen than announced the walk ends in AnalyticsIncomplete, never in silence."""
    service.script = by_offset(pages)
    with pytest.raises(AnalyticsIncomplete, match="bound the query") as caught:
        walked(scripted.query(), "iter_events", 2)
    assert caught.value.seen < caught.value.expected


def test_a_table_that_caps_its_pages_is_told(walked, scripted, service):
    """Tables page by number, so a page shorter than asked for cannot be followed: it says what to do."""
    row = {"cells": [{"columnLabel": "status"}, {"columnLabel": "event_id", "stringValue": "sp_1"}]}
    service.script = lambda _: Answer(
        {"status": "success", "rows": [row], "columns": [], "total_records": "9"}
    )
    with pytest.raises(AnalyticsIncomplete, match="smaller page_size"):
        walked(scripted.query(), "iter_rows", ["status"], page_size=5)


def test_the_end_is_pinned(walked, scripted, service):
    """From the second page on, the walk asks for nothing that started after it began."""
    service.script = by_offset({0: page([0, 1], 4), 2: page([2, 3], 4)})
    began = datetime.now(UTC)
    walked(scripted.query(), "iter_events", 2)
    first, second = (request.json for request in service.requests)
    assert "end_time" not in first
    assert began <= datetime.fromisoformat(second["end_time"]) <= datetime.now(UTC)


def test_an_error_of_a_page_comes_out(walked, service):
    """A page that fails ends the walk with its error, after the pages before it."""
    pages = {0: page([0, 1], 4), 2: Answer({"error": "broken"}, 500)}
    service.script = by_offset(pages)
    with (
        Client("sk_x", service.base_url, retry=Retry(1)) as client,
        pytest.raises(InternalServerError, match="broken"),
    ):
        walked(client.query(), "iter_events", 2)


def test_the_next_page_is_on_its_way(scripted, service):
    """While the caller works on a page the next one is fetched; pages after that are not."""
    asked = threading.Semaphore(0)
    answer = by_offset({0: page([0, 1], 6), 2: page([2, 3], 6), 4: page([4, 5], 6)})

    def script(request):
        asked.release()
        return answer(request)

    service.script = script
    walk = scripted.query().iter_events(2)
    next(walk)
    assert asked.acquire(timeout=5)
    assert asked.acquire(timeout=5)
    assert len(service.requests) == 2
    walk.close()
    assert len(service.requests) == 2


def test_an_awaiting_walk_fetches_ahead_and_may_be_left(scripted, service):
    """The same for awaiting walks; leaving one early ends it without a trace."""
    asked = threading.Semaphore(0)
    answer = by_offset({0: page([0, 1], 6), 2: page([2, 3], 6), 4: page([4, 5], 6)})

    def script(request):
        asked.release()
        return answer(request)

    service.script = script

    async def leave():
        walk = scripted.query().aiter_events(2)
        await anext(walk)
        got = [await asyncio.to_thread(asked.acquire, timeout=5) for _ in range(2)]
        await walk.aclose()
        return got

    assert asyncio.run(leave()) == [True, True]


@pytest.mark.parametrize("options", [{"page_size": 0}, {"page_size": "all"}])
def test_a_bad_page_size_is_refused_at_once(options):
    """A walk checks its arguments when it is made, not when it is first asked."""
    from vectorshift import Analytics

    for make in (Analytics.query().iter_events, Analytics.query().aiter_events):
        with pytest.raises(AnalyticsInvalidQuery, match="limit"):
            make(**options)
    with pytest.raises(AnalyticsInvalidQuery, match="column"):
        Analytics.query().iter_rows([])
