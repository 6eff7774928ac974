"""What the endpoints answer: pages, events, tables, traces, run data, exports."""

import csv
import io
import json

import pytest

from tests.emulator.wire import scope, text_filter
from vectorshift_emulator.exports.tasks import Exports

ROW = {
    "span_id": "s1",
    "trace_id": "t1",
    "span_kind": "chatbot.run",
    "start_time": "2026-03-01T10:00:00.25Z",
    "end_time": "2026-03-01T10:00:05Z",
    "status": "failure",
    "error_message": 'no "quota"\nleft',
    "object_id": "cb_1",
    "run_id": "conv_1",
    "caller": "ana@example.org",
    "model_id": "gpt-4o",
    "latency": 2750.5,
    "session_users": ["ana", "bo, the 2nd"],
    "object_info": {"camelKey": {"snake_key": [1, None]}},
    "interface_data": {"input": "hi", "output": "hello"},
}


@pytest.fixture
def one(blank):
    """One failed run with every kind of value."""
    blank.insert([ROW])


def test_event_in_camel_case(one, on_blank):
    """An event has the wire's names, an upper-case status, no unset fields, untouched user data."""
    assert on_blank.search() == [
        {
            "spanId": "s1",
            "traceId": "t1",
            "spanKind": "chatbot.run",
            "startTime": "2026-03-01T10:00:00.250Z",
            "endTime": "2026-03-01T10:00:05.000Z",
            "status": "FAILURE",
            "statusMessage": 'no "quota"\nleft',
            "objectId": "cb_1",
            "objectInfo": {"camelKey": {"snake_key": [1, None]}},
            "caller": {"email": "ana@example.org"},
            "interfaceType": "chatbot",
            "interfaceData": {"input": "hi", "output": "hello"},
            "modelId": "gpt-4o",
            "latency": 2750.5,
            "sessionUsers": ["ana", "bo, the 2nd"],
        }
    ]


def test_event_in_snake_case(one, blank, on_blank):
    """With keys=snake an event has the reference page's names."""
    blank.settings(keys="snake")
    (event,) = on_blank.search()
    assert event["span_start_time"] == "2026-03-01T10:00:00.250Z"
    assert event["error_message"] == ROW["error_message"]
    assert event["object_info"] == ROW["object_info"]
    assert "spanId" not in event


def test_envelope_case(one, blank, on_blank):
    """The envelope has a case of its own."""
    assert "pagination_meta" in on_blank.ask("/events/search", {})
    blank.settings(envelope="camel")
    reply = on_blank.ask("/events/search", {})
    assert reply["paginationMeta"]["totalRecords"] == "1"


def test_pages_cover_every_event_once_newest_first(emulator, client):
    """Walking the pages by offset yields the database's order, and a total on every page."""
    truth = emulator.truth("SELECT span_id FROM events ORDER BY start_time DESC, span_id")
    seen = []
    while len(seen) < len(truth):
        page = {"results_per_page": 300, "page_number": 1, "offset": len(seen)}
        reply = client.ask("/events/search", {"pagination_config": page})
        assert reply["pagination_meta"] == {**page, "total_records": str(len(truth))}
        seen += [event["spanId"] for event in reply["events"]]
    assert seen == [row["span_id"] for row in truth]


def test_a_page_without_a_size_has_fifty(client):
    """No pagination, or zeros as proto3 writes unset, mean the first fifty."""
    zeros = {"results_per_page": 0, "page_number": 0, "offset": 0}
    assert len(client.search(pagination_config=zeros)) == 50
    assert client.search(pagination_config=zeros) == client.ask("/events/search", {})["events"]


def test_search_past_the_end_is_empty(client):
    """A page past the last event has no events."""
    assert client.search(pagination_config={"offset": 10**9}) == []


def columns(*types):
    """Columns labelled by their types."""
    return [{"column_label": type_, "column_type": type_} for type_ in types]


def test_table_cells(one, on_blank):
    """Cells are typed by their column, nulls have a label alone, JSON and lists are text."""
    requested = columns("INTERFACE_NAME", "LATENCY", "MODEL_ID", "NODE_TYPE", "STATUS", "CALLER")
    requested += columns("SESSION_USERS", "ObjectInfo", "SPAN_START_TIME")
    reply = on_blank.ask("/tables", {"columns": requested})
    assert "total_records" not in reply
    assert reply["columns"][1] == {"name": "LATENCY", "type": "LATENCY"}
    (row,) = reply["rows"]
    assert row["cells"] == [
        {"columnLabel": "INTERFACE_NAME"},
        {"columnLabel": "LATENCY", "numberValue": 2750.5},
        {"columnLabel": "MODEL_ID", "stringValue": "gpt-4o"},
        {"columnLabel": "NODE_TYPE"},
        {"columnLabel": "STATUS", "stringValue": "failure"},
        {"columnLabel": "CALLER", "stringValue": "ana@example.org"},
        {"columnLabel": "SESSION_USERS", "stringValue": '["ana","bo, the 2nd"]'},
        {"columnLabel": "ObjectInfo", "stringValue": '{"camelKey":{"snake_key":[1,null]}}'},
        {"columnLabel": "SPAN_START_TIME", "stringValue": "2026-03-01T10:00:00.250Z"},
    ]


def test_table_flags_and_odd_labels(one, on_blank):
    """Record count and interface data come when requested; a label may hold any text."""
    label = """it's "50%" {}"""
    reply = on_blank.ask(
        "/tables",
        {
            "columns": [{"column_label": label, "column_type": "SpanId"}],
            "include_interface_data": True,
            "return_record_count": True,
        },
    )
    assert reply["total_records"] == "1"
    assert reply["rows"] == [
        {
            "cells": [{"columnLabel": label, "stringValue": "s1"}],
            "interfaceData": ROW["interface_data"],
        }
    ]


def test_table_pages_by_number_and_ignores_the_offset(client):
    """A table's third page is rows 40 to 59, whatever the offset says."""
    requested = {"columns": columns("SpanId")}
    page = {"results_per_page": 20, "page_number": 3, "offset": 45}
    rows = client.ask("/tables", {**requested, "pagination_config": page})["rows"]
    ids = [row["cells"][0]["stringValue"] for row in rows]
    assert ids == client.spans()[40:60]


def test_trace_is_the_whole_tree_oldest_first(emulator, client):
    """A trace has all its spans, the root first, and narrows by ids and by either kind of word."""
    (chosen,) = emulator.truth(
        "SELECT trace_id, max(entity) AS entity FROM events GROUP BY trace_id"
        " ORDER BY count(DISTINCT span_kind) DESC, trace_id LIMIT 1"
    )
    trace = chosen["trace_id"]
    spans = emulator.truth(f"SELECT span_id, span_kind FROM events WHERE trace_id = '{trace}'")
    reply = client.ask(f"/traces/{trace}")
    assert reply["trace_id"] == trace
    assert {event["spanId"] for event in reply["events"]} == {row["span_id"] for row in spans}
    assert "parentSpanId" not in reply["events"][0]
    one, other = spans[0]["span_id"], spans[1]["span_id"]
    narrowed = client.ask(f"/traces/{trace}?event_ids={one}%2C{other}")["events"]
    assert {event["spanId"] for event in narrowed} == {one, other}
    entity = chosen["entity"]
    texts = client.ask(f"/traces/{trace}?kinds={entity},{entity}")["events"]
    assert len(texts) == len(spans)
    runs = client.ask(f"/traces/{trace}?kinds={entity}.run")["events"]
    assert {event["spanKind"] for event in runs} == {f"{entity}.run"}


def test_event_by_id_with_and_without_its_trace(one, on_blank):
    """An event is found by its id, in its trace only if that is given."""
    assert on_blank.ask("/events/s1")["event"]["spanId"] == "s1"
    assert on_blank.ask("/events/s1?trace_id=t1")["event"]["traceId"] == "t1"
    missing = {"status": "failed", "error": "event not found"}
    assert on_blank.ask("/events/s1?trace_id=t2") == missing
    assert on_blank.ask("/traces/t404")["status"] == "failed"


def test_ids_in_paths_are_percent_encoded(blank, on_blank):
    """An id with a slash is found when it is encoded, and refused when it is not."""
    blank.insert([{"span_id": "a/b?c=1#d%é"}])
    assert on_blank.ask("/events/a%2Fb%3Fc%3D1%23d%25%C3%A9")["event"]["spanId"] == "a/b?c=1#d%é"
    assert "percent-encoded" in on_blank.ask("/events/a/b", status=400)["error"]


@pytest.mark.parametrize(
    ("object_type", "kind", "key"),
    [
        ("Chatbot", "chatbot.run", "chatbot"),
        ("search", "search.run", "search"),
        ("Form", "form.run", "form"),
        ("VOICEBOT", "voicebot.run", "voicebot"),
        ("session", "session.create", "session"),
        ("Pipeline", "pipeline.run", "form"),
        ("portal", "portal.create", "session"),
    ],
)
def test_run_data_has_one_key(blank, on_blank, object_type, kind, key):
    """Every interface has exactly one result key, and its run identifier inside."""
    blank.insert([{"span_kind": kind, "object_id": "o_1", "run_id": "r_1"}])
    body = {"interface": {"object_id": "o_1", "object_type": object_type}, "run_identifier": "r_1"}
    result = on_blank.ask("/run-data", body)["result"]
    assert list(result) == [key]
    assert "r_1" in result[key].values()
    body["run_identifier"] = "r_2"
    assert on_blank.ask("/run-data", body)["status"] == "failed"


def test_run_data_of_an_agent_and_of_a_pipeline_behind_a_chatbot(blank, on_blank):
    """The key follows the interface that a run came through; an agent converses."""
    blank.insert(
        [
            {"object_id": "a", "run_id": "r", "interface_type": "agent"},
            {"object_id": "p", "run_id": "r", "interface_type": "chatbot"},
        ]
    )
    for object_type, object_id in (("Agent", "a"), ("Pipeline", "p")):
        interface = {"object_id": object_id, "object_type": object_type}
        reply = on_blank.ask("/run-data", {"interface": interface, "run_identifier": "r"})
        assert list(reply["result"]) == ["chatbot"]


def test_a_conversation_has_the_turns_of_all_its_runs(one, blank, on_blank):
    """Runs of one conversation become one list of messages, oldest first."""
    second = {"start_time": "2026-03-01T10:05:00Z", "interface_data": {"input": "bye"}}
    blank.insert([{**ROW, "span_id": "s2", "trace_id": "t2", **second}])
    interface = {"object_id": "cb_1", "object_type": "Chatbot"}
    reply = on_blank.ask("/run-data", {"interface": interface, "run_identifier": "conv_1"})
    assert reply["result"]["chatbot"]["messages"] == [
        {"role": "user", "text": "hi"},
        {"role": "assistant", "text": "hello"},
        {"role": "user", "text": "bye"},
    ]


def download(client, task):
    """The bytes of a ready export."""
    path = task["download_url"].partition(client.base_url.removesuffix("/v1"))[2]
    status, headers, body = client.raw("GET", path, headers={})
    assert status == 200
    assert headers["Content-Length"] == str(len(body))
    return body


def export(client, extension="CSV", **table):
    """The reply to a new export."""
    body = {"data_table": {"columns": [], **table}, "extension": extension, "file_name": "e.x"}
    return client.ask("/exports", body)


def test_export_holds_every_matching_event(emulator, client):
    """An export honours filters, ignores the page size inside it, and ends up ready."""
    emulator.settings(export_delay=0)
    failed = [text_filter("STATUS", "failure")]
    page = {"results_per_page": 2, "page_number": 1, "offset": 0}
    task = export(client, table_filters=failed, pagination_config=page)
    while task["task_status"] == "pending":
        task = client.ask(f"/exports/{task['task_id']}")
    rows = list(csv.DictReader(io.StringIO(download(client, task).decode())))
    truth = emulator.truth(
        "SELECT span_id FROM events WHERE status = 'failure' ORDER BY start_time DESC, span_id"
    )
    assert [row["span_id"] for row in rows] == [row["span_id"] for row in truth]
    assert {row["status"] for row in rows} == {"FAILURE"}


def test_export_of_chosen_columns_as_json(one, on_blank):
    """Columns given to an export are its columns, under their labels."""
    chosen = [
        {"column_label": "who", "column_type": "SESSION_USERS"},
        {"column_label": "start_time", "column_type": "SPAN_START_TIME"},
    ]
    task = export(on_blank, "JSON", columns=chosen, filters=[scope("TraceId", "t1")])
    assert json.loads(download(on_blank, task)) == [
        {"who": ROW["session_users"], "start_time": "2026-03-01T10:00:00.250Z"}
    ]


def test_export_modes(blank, on_blank):
    """async is pending first, sync is ready at once, no-poll is ready and cannot be polled."""
    blank.settings(export_mode="async", export_delay=3600)
    pending = export(on_blank)
    assert (pending["task_status"], "download_url" in pending) == ("pending", False)
    assert on_blank.ask(f"/exports/{pending['task_id']}")["task_status"] == "pending"
    for mode, polled in (("sync", 200), ("no-poll", 404)):
        blank.settings(export_mode=mode)
        ready = export(on_blank)
        assert ready["task_status"] == "ready"
        assert ready["download_url"]
        on_blank.ask(f"/exports/{ready['task_id']}", status=polled)
    assert "not found" in on_blank.ask("/exports/ex_404", status=404)["error"]


def test_an_export_is_pending_first_however_quick_it_is(blank, on_blank, monkeypatch):
    """Without a delay, and written before the service answers, an export is to be polled all the same."""

    def quick(self, *arguments, **named):
        task = create(self, *arguments, **named)
        assert task.ended.wait(30)
        return task

    create = Exports.create
    monkeypatch.setattr(Exports, "create", quick)
    blank.settings(export_mode="async", export_delay=0)
    pending = export(on_blank)
    assert pending["task_status"] == "pending"
    assert on_blank.ask(f"/exports/{pending['task_id']}")["task_status"] == "ready"
