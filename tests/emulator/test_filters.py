"""Filters, kinds, time bounds and OR, over rows made for each test."""

import pytest

from tests.emulator.wire import includes, scope, text_filter, time_filter


@pytest.fixture
def rows(blank):
    """Five events, one minute apart, of different kinds and contents."""
    blank.insert(
        [
            {
                "span_id": "s1",
                "trace_id": "t1",
                "span_kind": "chatbot.run",
                "start_time": "2026-03-01T10:00:00Z",
                "end_time": "2026-03-01T10:00:05Z",
                "object_id": "cb_1",
                "session_users": ["ana", "bo"],
                "interface_name": "Help a+b",
                "span_attributes": {"Deep": {"camelKey": 1}},
            },
            {
                "span_id": "s2",
                "trace_id": "t1",
                "parent_span_id": "s1",
                "span_kind": "chatbot.node",
                "start_time": "2026-03-01T10:01:00Z",
                "object_id": "cb_1",
                "node_latency": 5.0,
            },
            {
                "span_id": "s3",
                "span_kind": "form.run",
                "start_time": "2026-03-01T10:02:00Z",
                "object_id": "fm_1",
                "status": "failure",
                "error_message": "Model quota exceeded",
                "session_users": ["bo"],
            },
            {
                "span_id": "s4",
                "span_kind": "pipeline.bulk_run",
                "start_time": "2026-03-01T10:03:00Z",
                "object_id": "pl_1",
                "status": "in_progress",
                "error_message": "(unfinished",
            },
            {
                "span_id": "s5",
                "span_kind": "session.create",
                "start_time": "2026-03-01T10:04:00Z",
                "object_id": "se_1",
                "project_id": "p,1",
            },
        ]
    )


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([text_filter("STATUS", "FAILURE")], "s3"),
        ([text_filter("STATUS", "FAIL", "MATCHES")], "s3"),
        ([includes("STATUS", "Failure", "IN_progress")], "s4 s3"),
        ([text_filter("ERROR_MESSAGE", "quota|disk", "MATCHES")], "s3"),
        ([text_filter("ERROR_MESSAGE", "QUOTA", "MATCHES")], ""),
        ([text_filter("INTERFACE_NAME", "a+b", "MATCHES")], ""),
        ([text_filter("INTERFACE_NAME", r"a\+b", "MATCHES")], "s1"),
        ([text_filter("SESSION_USERS", "bo")], "s3 s1"),
        ([includes("SESSION_USERS", "ana", "zoe")], "s1"),
        ([includes("SESSION_USERS")], ""),
        ([text_filter("SESSION_USERS", "^a", "MATCHES")], "s1"),
        ([text_filter("SPAN_ATTRIBUTES", '"camelKey":1', "MATCHES")], "s1"),
        ([includes("INTERFACE_TYPE", "form", "session")], "s5 s3"),
        ([text_filter("INTERFACE_TYPE", "form", "LESS_THAN")], "s2 s1"),
        ([time_filter("SPAN_START_TIME", "2026-03-01T10:03:00Z", "GREATER_THAN")], "s5"),
        ([time_filter("SPAN_START_TIME", "2026-03-01T15:32:00+05:30", "LESS_THAN")], "s2 s1"),
        ([time_filter("SPAN_END_TIME", "2026-03-01T10:00:05Z", "LESS_THAN_EQUALS")], "s1"),
        ([text_filter("SPAN_START_TIME", "2026-03-01T10:04:00Z")], "s5"),
        ([text_filter("STATUS", "success"), includes("SESSION_USERS", "bo")], "s1"),
    ],
)
def test_data_filter(rows, on_blank, filters, expected):
    """A data filter selects the events that it describes, newest first."""
    assert on_blank.spans(table_filters=filters) == expected.split()


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (scope("ObjectId", "cb_1"), "s2 s1"),
        (scope("ObjectId", "cb_1,fm_1", "OPERATOR_IN"), "s3 s2 s1"),
        (scope("TraceId", "t1"), "s2 s1"),
        (scope("ParentSpanId", "s1"), "s2"),
        (scope("SpanId", "s4"), "s4"),
        (scope("ProjectId", "p,1"), "s5"),
        (scope("ProjectId", "p,1", "OPERATOR_IN"), ""),
    ],
)
def test_scope_filter(rows, on_blank, filter_, expected):
    """A scope filter selects by equality, or by any value of a comma list."""
    assert on_blank.spans(filters=[filter_]) == expected.split()


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([{"chatbot": "CHATBOT_ALL"}], "s2 s1"),
        ([{"chatbot": "CHATBOT_RUN"}], "s1"),
        ([{"pipeline": "PIPELINE_BULK_RUN"}, {"form": "FORM_RUN"}], "s4 s3"),
        ([{"voicebot": "VOICEBOT_ALL"}], ""),
        ([], "s5 s4 s3 s2 s1"),
    ],
)
def test_kinds(rows, on_blank, kinds, expected):
    """Kinds select any of them; ALL is every span of the entity, nodes too."""
    assert on_blank.spans(span_type=kinds) == expected.split()


def test_or_joins_filters_but_never_kinds_times_or_the_object(rows, on_blank):
    """OR joins data and other scope filters; kinds, time bounds and ObjectId equality still AND."""
    either = [text_filter("STATUS", "failure"), includes("SESSION_USERS", "ana")]
    assert on_blank.spans(table_filters=either, operator="OR") == ["s3", "s1"]
    assert on_blank.spans(table_filters=either) == []
    assert on_blank.spans(table_filters=either, filters=[scope("SpanId", "s5")], operator="OR") == [
        "s5",
        "s3",
        "s1",
    ]
    assert on_blank.spans(
        table_filters=either, filters=[scope("ObjectId", "cb_1")], operator="OR"
    ) == ["s1"]
    assert on_blank.spans(
        table_filters=either, operator="OR", start_time="2026-03-01T10:01:00Z"
    ) == ["s3"]
    assert on_blank.spans(
        table_filters=either, operator="OR", span_type=[{"form": "FORM_ALL"}]
    ) == ["s3"]
    assert on_blank.count(table_filters=either, operator="OR") == 2
    table = on_blank.ask(
        "/tables",
        {
            "columns": [{"column_label": "id", "column_type": "SpanId"}],
            "table_filters": either,
            "operator": "OR",
            "return_record_count": True,
        },
    )
    assert table["total_records"] == "2"


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ("closed", "s3 s2 s1"),
        ("open", "s2"),
        ("half-open", "s2 s1"),
        ("open-closed", "s3 s2"),
    ],
)
def test_bounds(rows, blank, on_blank, bounds, expected):
    """Each strictness mode decides which ends of the time range belong to it, everywhere."""
    times = {"start_time": "2026-03-01T10:00:00Z", "end_time": "2026-03-01T10:02:00Z"}
    blank.settings(bounds=bounds)
    assert on_blank.spans(**times) == expected.split()
    assert on_blank.count(**times) == len(expected.split())
    totals = on_blank.aggregate("start_time.count_distinct", **times)
    assert totals["start_time_count_distinct"]["totalAggregation"] == len(expected.split())


def test_bounds_off_the_millisecond_grid(rows, on_blank):
    """A bound finer than the clock is compared exactly."""
    assert on_blank.spans(start_time="2026-03-01T10:03:59.999999Z") == ["s5"]
    assert on_blank.spans(start_time="2026-03-01T10:04:00.000001Z") == []


def test_generated_events_agree_with_the_database(emulator, client):
    """Count, search and the database tell the same number over generated events."""
    failed = [text_filter("STATUS", "failure")]
    (truth,) = emulator.truth("SELECT count(*) n FROM events WHERE status = 'failure'")
    assert truth["n"] > 0
    assert client.count(table_filters=failed) == truth["n"]
    assert len(client.spans(table_filters=failed)) == truth["n"]
