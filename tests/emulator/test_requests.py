"""What is refused before anything is looked up: keys, unknown fields, wrong types, broken JSON."""

import json

import pytest

from tests.emulator.wire import API, scope, text_filter, time_filter

TIME = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, "Missing authorization header"),
        ({"Authorization": "sk_demo"}, "Invalid authorization header format"),
        ({"Authorization": "Basic sk_demo"}, "Invalid authorization header format"),
        ({"Authorization": "Bearer None"}, "Invalid API key: "),
        ({"Authorization": "Bearer clé"}, "Invalid API key: "),
    ],
)
def test_key(client, headers, error):
    """Every route of the service needs the key, and says what is wrong without repeating it."""
    headers = {name: value.encode() for name, value in headers.items()}
    status, _, body = client.raw("POST", f"{API}/events/count", b"{}", headers)
    assert status == 401
    assert json.loads(body)["error"].startswith(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"start_time": NaN}',
        b'\xef\xbb\xbf{"operator": "AND"}',
        b'{"operator": "\xff"}',
        b'{"operator": "AND", "operator": "AND"}',
        b"[" * 100_000,
        b'{"start_time": ' + b"9" * 5000 + b"}",
        '{"operator": "AND"}'.encode("utf-16"),
    ],
)
def test_not_a_message(client, body):
    """A body that is not a JSON object in UTF-8 is refused, not answered and not a crash."""
    status, _, reply = client.raw("POST", f"{API}/events/count", body)
    assert status == 400
    assert json.loads(reply)["error"].startswith("Invalid request: proto: ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"limit": 5}, 'unknown field "limit"'),
        ({"start_time": "2026-01-01"}, "start_time"),
        ({"start_time": "2026-01-01T00:00:00"}, "start_time"),
        ({"start_time": "2026-02-30T00:00:00Z"}, "start_time"),
        ({"start_time": "2026-01-01T00:00:00.0000000001Z"}, "start_time"),
        ({"start_time": 1767225600}, "start_time"),
        ({"start_time": TIME, "startTime": TIME}, "duplicate field"),
        ({"operator": "XOR"}, "XOR"),
        ({"operator": 2}, "operator"),
        ({"operator": True}, "operator"),
        ({"span_type": [{"chatbot": "FORM_RUN"}]}, "FORM_RUN"),
        ({"span_type": [{"agent": "AGENT_RUN"}]}, "agent"),
        ({"span_type": [{}]}, "exactly one"),
        ({"span_type": {"chatbot": "CHATBOT_RUN"}}, "repeated"),
        ({"filters": [scope("STATUS", "x")]}, "STATUS"),
        ({"filters": [scope("TraceId", "x", "EQUALS")]}, "EQUALS"),
        ({"table_filters": [text_filter("TraceId", "x")]}, "enum field column"),
        ({"table_filters": [text_filter("LATENCY", "x")]}, "enum field column"),
        ({"table_filters": [text_filter("STATUS", "x", "INCLUDES")]}, "INCLUDES"),
        ({"table_filters": [text_filter("SPAN_START_TIME", "soon")]}, "Timestamp"),
        ({"table_filters": [text_filter("SPAN_END_TIME", TIME, "MATCHES")]}, "MATCHES"),
        ({"table_filters": [text_filter("SESSION_USERS", "x", "LESS_THAN")]}, "SESSION_USERS"),
        ({"table_filters": [time_filter("STATUS", TIME, "EQUALS")]}, "string_value"),
        ({"table_filters": [{"basic_op": {}, "compound_op": {}}]}, "exactly one"),
        ({"table_filters": [text_filter("STATUS", "\ud800")]}, "UTF-8"),
        ({"table_filters": [text_filter("STATUS", 5)]}, "string_value"),
    ],
)
def test_refused(client, body, reason):
    """Whatever the service would not understand is refused with the reason."""
    assert reason in client.refused("/events/count", body)


@pytest.mark.parametrize(
    "value", [{"int_value": 5}, {"bool_value": True}, {"float_value": 1.5}, {}, {"text": "x"}]
)
@pytest.mark.parametrize("column", ["STATUS", "SPAN_START_TIME"])
def test_wrong_oneof(client, column, value):
    """A value of another type than the column's is refused."""
    filter_ = {"column": column, "value": value, "operation": "EQUALS"}
    client.refused("/events/count", {"table_filters": [{"basic_op": filter_}]})


def test_leniency_of_protojson(emulator, client):
    """Fields in camelCase, nulls, int64 as text and offsets are understood as in snake_case."""
    (truth,) = emulator.truth(
        "SELECT count(*) n FROM events WHERE entity = 'chatbot' AND status = 'failure'"
    )
    basic = {"column": "STATUS", "value": {"stringValue": "failure"}, "operation": "EQUALS"}
    body = {
        "spanType": [{"chatbot": "CHATBOT_ALL"}],
        "tableFilters": [{"basicOp": basic}],
        "startTime": "2000-01-01T00:00:00+05:30",
        "filters": None,
        "paginationConfig": {"resultsPerPage": "1", "pageNumber": 1.0},
    }
    reply = client.ask("/events/search", body)
    assert len(reply["events"]) == 1
    assert int(reply["pagination_meta"]["total_records"]) == truth["n"] > 1


def test_enums_by_number_and_nine_digits_of_a_second(emulator, client):
    """As protojson has it, an enum may be its number, counted from 0, and a time may have nine digits."""
    emulator.insert([{"span_id": "now", "start_time": "2031-03-01T10:00:00Z", "status": "failure"}])
    basic = {"column": 3, "value": {"string_value": "failure"}, "operation": 0}
    body = {
        "span_type": [{"pipeline": 1}],
        "table_filters": [{"basic_op": basic}],
        "operator": 0,
        "start_time": "2031-03-01T10:00:00.000000000Z",
        "end_time": "2031-03-01T10:00:00.000000999Z",
    }
    assert client.spans(**body) == ["now"]
    assert client.spans(**body | {"end_time": "2031-03-01T09:59:59.999999999Z"}) == []
    requested = {"column_label": "kind", "column_type": 3}
    table = {"columns": [requested], "table_filters": body["table_filters"]}
    (row, *_) = client.ask("/tables", table)["rows"]
    assert row["cells"] == [{"columnLabel": "kind", "stringValue": "now"}]


def test_unknown_fields_are_dropped_when_not_strict(emulator, client):
    """With strict off unknown fields are ignored, unknown enums are still refused."""
    emulator.settings(strict=False)
    assert client.count(bogus=1) == client.count()
    client.refused("/events/count", {"operator": "XOR"})


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/tables", {"columns": [], "start_time": TIME}, "start_time"),
        ("/tables", {"columns": [{"column_type": "EVENT_ID"}]}, "EVENT_ID"),
        ("/tables", {"columns": [], "return_record_count": "true"}, "return_record_count"),
        ("/events/search", {"pagination_config": {"offset": -1}}, "negative"),
        ("/events/search", {"pagination_config": {"offset": 1.5}}, "int64"),
        ("/exports", {"data_table": {}, "extension": "PDF", "file_name": "a"}, "PDF"),
        ("/exports", {"data_table": {}, "extension": "CSV", "file_name": ""}, "file_name"),
        ("/exports", {"data_table": {}, "extension": "CSV", "file_name": "../a"}, "file_name"),
        ("/exports", {"extension": "CSV", "file_name": "a"}, "data_table"),
        ("/run-data", {"interface": {"object_id": "x"}, "run_identifier": "r"}, "object_type"),
        (
            "/run-data",
            {"interface": {"object_id": "x", "object_type": "Table"}, "run_identifier": "r"},
            "Table",
        ),
    ],
)
def test_refused_elsewhere(client, path, body, reason):
    """Tables, searches, exports and run data are as strict as count."""
    assert reason in client.refused(path, body)


def test_unknown_routes_methods_and_parameters(client):
    """What the service does not have is not a success: 404, 405 or 400."""
    assert client.ask("/nothing", status=404)["status"] == "failed"
    client.ask("/aggregations", status=405)
    assert "kind" in client.ask("/traces/t?kind=form", status=400)["error"]
    assert "tree" in client.ask("/traces/t?kinds=tree", status=400)["error"]


def test_rate_limit(emulator, client):
    """Past the burst a request gets 429 and the seconds to wait."""
    emulator.settings(rate_limit=1)
    assert client.count() > 0
    status, headers, body = client.raw("POST", f"{API}/events/count", b"{}")
    assert (status, headers["Retry-After"]) == (429, "1")
    assert json.loads(body) == {"error": "Rate limit exceeded"}
