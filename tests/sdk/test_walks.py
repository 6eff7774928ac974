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
    InvalidResponseError,
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
    result = [event["span_id"] for event in walked(query, "iter_events", size)]
    assert result == [row["span_id"] for row in expected]
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


def test_columns_that_a_walk_needs_may_be_requested(walked, client, emulator):
    """Span id and start time stay when they were requested, under the asked labels."""
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
    result = walked(client.query(object_type="form", limit=3, offset=offset), *walk, page_size=40)
    assert len(result) == expected > 0


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

    result = walked(query, *walk, page_size=250, progress=arrive)
    ids = [each.get("span_id") or each["values"]["event_id"] for each in result]
    assert len(set(ids)) == len(ids)
    assert before <= set(ids)
    assert pages[-1][0] == len(ids)


@pytest.mark.parametrize(
    "walk", [("iter_events",), ("iter_rows", ["status"])], ids=["events", "rows"]
)
def test_progress_is_reported_per_page(walked, client, truth, walk):
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


def by_offset(pages, count=None):
    """A script that answers a search by its offset, and a count if it is given."""

    def answer(request):
        if request.path == "/analytics/events/count":
            return Answer({"status": "success", "count": count})
        return pages[request.json["pagination_config"]["offset"]]

    return answer


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
    service.script = by_offset(pages, count=len(found))
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
def test_rows_that_cannot_be_seen_are_reported(walked, scripted, service, pages):
    """When fewer rows were seen than announced the walk ends in AnalyticsIncomplete, never in silence."""
    service.script = by_offset(pages)
    with pytest.raises(AnalyticsIncomplete, match="bound the query") as caught:
        walked(scripted.query(), "iter_events", 2)
    assert caught.value.seen < caught.value.expected


# --- totals that tell nothing ------------------------------------------------------------------

TOTALS = {
    "absent": lambda received, matching: None,
    "zero": lambda received, matching: 0,
    "page": lambda received, matching: received,
    "right": lambda received, matching: matching,
}


class Service:
    """A service of `matching` events that says `total` of each page and gives at most `cap` rows."""

    def __init__(self, matching, total, cap=10**9, order=lambda request, rows: rows):
        at = "2026-01-01T00:00:00Z"
        self.rows = [{"spanId": f"sp_{n}", "startTime": at} for n in range(matching)]
        self.total = TOTALS[total]
        self.cap = cap
        self.order = order

    def __call__(self, request):
        if request.path == "/analytics/events/count":
            return Answer({"status": "success", "count": len(self.rows)})
        paging = request.json["pagination_config"]
        size, start = paging["results_per_page"], paging["offset"]
        if request.path == "/analytics/tables":
            start = (paging["page_number"] - 1) * size
        rows = self.order(request, self.rows)[start : start + min(size, self.cap)]
        total = self.total(len(rows), len(self.rows))
        if request.path == "/analytics/tables":
            values = [
                {"event_id": row["spanId"], "event_start_time": row["startTime"]} for row in rows
            ]
            reported = {"rows": [{"values": each} for each in values]}
            return Answer(
                {"status": "success"}
                | reported
                | ({} if total is None else {"total_records": total})
            )
        meta = {} if total is None else {"pagination_meta": {"total_records": total}}
        return Answer({"status": "success", "events": rows} | meta)


WALKS = {"iter_events": (), "iter_rows": (["event_id"],)}


@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("matching", [0, 1, 2, 3, 4, 11])
@pytest.mark.parametrize("walk", WALKS)
def test_a_meaningless_total_does_not_end_a_walk(walked, scripted, service, walk, matching, total):
    """No total, 0, or the length of the page: every row comes all the same, at the price of one count."""
    service.script = Service(matching, total)
    result = walked(scripted.query(), walk, *WALKS[walk], page_size=2)
    assert len(result) == matching
    counts = [each for each in service.requests if each.path.endswith("/count")]
    assert len(counts) <= 1
    assert len(service.requests) - len(counts) == max(1, -(-matching // 2))


@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("matching", [3, 4, 11])
def test_smaller_pages_than_requested_are_followed(walked, scripted, service, matching, total):
    """A cap on the page size, together with any total."""
    service.script = Service(matching, total, cap=2)
    assert len(walked(scripted.query(), "iter_events", 500)) == matching
    with pytest.raises(AnalyticsIncomplete, match="smaller page_size"):
        walked(scripted.query(), "iter_rows", ["event_id"], page_size=500)


@pytest.mark.parametrize("total", TOTALS)
def test_who_has_counted_need_not_count_again(walked, scripted, service, total):
    """`expected` spares the walk its own count."""
    service.script = Service(11, total)
    assert len(walked(scripted.query(), "iter_events", 500, expected=11)) == 11
    assert len(service.requests) == 1
    with pytest.raises(AnalyticsIncomplete, match="11 of 12"):
        walked(scripted.query(), "iter_events", 500, expected=12)


def test_totals_that_proved_right_are_believed(walked, scripted, service):
    """After a total that no page could know by itself, a client counts no more."""
    service.script = Service(1200, "right")
    assert len(walked(scripted.query(), "iter_events", 500)) == 1200
    service.script = Service(7, "right")
    service.requests.clear()
    assert len(walked(scripted.query(), "iter_events", 500)) == 7
    assert len(service.requests) == 1


@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("walk", WALKS)
def test_a_service_that_ignores_the_offset_is_reported(walked, scripted, service, walk, total):
    """Each page is the first: the walk ends after a bounded number of requests, with what the service does."""
    service.script = Service(10_000, total, order=lambda request, rows: _rotated(request, rows, 0))
    with pytest.raises(AnalyticsIncomplete, match="ignores the offset") as caught:
        walked(scripted.query(), walk, *WALKS[walk], page_size=20)
    assert (caught.value.seen, caught.value.expected) == (20, 10_000)
    assert len(service.requests) <= 20


def test_a_service_that_ignores_the_offset_may_give_all_at_once(walked, scripted, service):
    """What fits on one page is whole, however often the page comes."""
    service.script = Service(20, "absent", order=lambda request, rows: _rotated(request, rows, 0))
    assert len(walked(scripted.query(), "iter_events", 20)) == 20


@pytest.mark.parametrize("total", TOTALS)
def test_rows_in_no_order_are_reported(walked, scripted, service, total):
    """Pages that repeat and skip rows, as a database without an order gives them, are never a short result in silence."""
    service.script = Service(60, total, order=lambda request, rows: _rotated(request, rows, 7))
    with pytest.raises(AnalyticsIncomplete, match="no fixed order") as caught:
        walked(scripted.query(), "iter_events", 20)
    assert caught.value.seen < caught.value.expected == 60
    assert caught.value.again > 0


def _rotated(request, rows, step):
    """Rows so that a page at any offset begins with the first, moved on by `step` for each page."""
    start = request.json["pagination_config"]["offset"]
    size = request.json["pagination_config"]["results_per_page"]
    moved = start - start // size * step if step else start
    return [*rows[-moved:], *rows] if moved else rows


def test_an_or_that_cannot_be_counted_is_read_to_its_end(walked, scripted, service):
    """Five alternatives cannot be counted: without totals the walk ends at an empty page, unless rows came again."""
    query = scripted.query().where(
        *(EventField.SOURCE.matches(each) for each in "abcde"), logical_op="OR"
    )
    service.script = Service(5, "absent")
    assert len(walked(query, "iter_events", 2)) == 5
    service.script = Service(
        60,
        "absent",
        order=lambda request, rows: (
            _rotated(request, rows, 7) if request.json["pagination_config"]["offset"] < 60 else []
        ),
    )
    with pytest.raises(AnalyticsIncomplete, match="unknown number"):
        walked(query, "iter_events", 20)


@pytest.mark.parametrize("told", ["soon", "2026-01-01", 5, {"seconds": 5}], ids=repr)
@pytest.mark.parametrize("name", ["startTime", "spanId"])
def test_an_event_that_cannot_be_placed_is_refused(walked, scripted, service, name, told):
    """A start that is not a time, an id that is none: an error of ours that names field and request."""
    if name == "spanId" and not isinstance(told, dict):
        told = [told]
    event = {"spanId": "sp_1", "startTime": "2026-01-01T00:00:00Z"} | {name: told}
    service.script = lambda _: Answer({"status": "success", "events": [event]})
    with pytest.raises(
        InvalidResponseError, match=r"/analytics/events/search.*span_(start_time|id) is"
    ):
        walked(scripted.query(), "iter_events")


def test_events_without_an_id_are_not_read_twice(walked, scripted, service):
    """The same page again, of rows that nobody can tell apart, is no more rows."""
    event = {"startTime": "2026-01-01T00:00:00Z"}

    def script(request):
        if request.path == "/analytics/events/count":
            return Answer({"status": "success", "count": 9})
        return Answer({"status": "success", "events": [event, event]})

    service.script = script
    with pytest.raises(AnalyticsIncomplete, match="2 of 9"):
        walked(scripted.query(), "iter_events", 2)


def test_a_table_that_caps_its_pages_is_reported(walked, scripted, service):
    """Tables page by number, so a page shorter than requested cannot be followed: it says what to do."""
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


def test_the_next_two_pages_are_on_their_way(scripted, service):
    """While the caller works on a page the next two are fetched; pages after that are not."""
    requested = threading.Semaphore(0)
    answer = by_offset({start: page([start, start + 1], 8) for start in range(0, 8, 2)})

    def script(request):
        requested.release()
        return answer(request)

    service.script = script
    walk = scripted.query().iter_events(2)
    next(walk)
    for _ in range(3):
        assert requested.acquire(timeout=5)
    walk.close()
    assert len(service.requests) == 3


def test_an_awaiting_walk_fetches_ahead_and_may_be_left(scripted, service):
    """The same for awaiting walks; leaving one early ends it without a trace."""
    requested = threading.Semaphore(0)
    answer = by_offset({0: page([0, 1], 6), 2: page([2, 3], 6), 4: page([4, 5], 6)})

    def script(request):
        requested.release()
        return answer(request)

    service.script = script

    async def leave():
        walk = scripted.query().aiter_events(2)
        await anext(walk)
        got = [await asyncio.to_thread(requested.acquire, timeout=5) for _ in range(2)]
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
