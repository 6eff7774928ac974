"""What terminals return: the keys of an event in every spelling, and values of the user's own left alone."""

import copy
import json
import pickle

import pytest

from tests.sdk.scripted import in_turn
from vectorshift import analytics
from vectorshift.analytics import Event

SPELLINGS = {
    "span_id": ["spanId"],
    "span_start_time": ["spanStartTime", "start_time", "startTime"],
    "span_end_time": ["spanEndTime", "end_time", "endTime"],
    "error_message": ["errorMessage", "status_message", "statusMessage"],
    "session_ai_source": ["sessionAiSource"],
    "model_id": ["modelId"],
    "status": [],
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_an_event_answers_to_every_spelling(scripted, service, name):
    """However the service spells a key, it is stored as the page says and found under every spelling."""
    for sent in (name, *SPELLINGS[name]):
        service.script = in_turn({"status": "success", "event": {sent: "x"}})
        event = scripted.event("sp_1")
        assert dict(event) == {name: "x"}
        for requested in (name, *SPELLINGS[name]):
            assert event[requested] == event.get(requested) == "x"
            assert requested in event


def test_a_key_that_is_not_there(scripted, service):
    """Unknown and absent keys behave as in any dict; keys that nobody documented are kept as they come."""
    service.script = in_turn(
        {"status": "success", "event": {"spanId": "x", "newKey": 1, "modelId": None}}
    )
    event = scripted.event("sp_1")
    assert dict(event) == {"span_id": "x", "newKey": 1}
    assert event.get("latency", 5) == 5
    assert "model_id" not in event
    for key in ("latency", "modelId", "nonsense", 5):
        with pytest.raises(KeyError):
            event[key]


def test_the_users_own_data_is_left_alone(scripted, service):
    """Keys inside object_info, span_attributes, interface_data and caller are never respelled."""
    inside = {"camelKey": 1, "start_time": "mine", "startTime": "also", "statusMessage": None}
    names = ("objectInfo", "spanAttributes", "interfaceData", "caller")
    service.script = in_turn({"status": "success", "event": dict.fromkeys(names, inside)})
    event = scripted.event("sp_1")
    assert list(event.values()) == [inside] * 4


def test_values_are_read_as_the_page_types_them(scripted, service):
    """The status is lower case, latencies are floats, also when they come as text."""
    raw = {"status": "IN_PROGRESS", "latency": "12", "nodeLatency": 3, "sessionUsers": ["a"]}
    service.script = in_turn({"status": "success", "event": raw})
    event = scripted.event("sp_1")
    assert dict(event) == {
        "status": "in_progress",
        "latency": 12.0,
        "node_latency": 3.0,
        "session_users": ["a"],
    }
    assert isinstance(event["node_latency"], float)


def test_an_event_is_a_dict(scripted, service):
    """An event goes through json, pickle and copy as what it is."""
    service.script = in_turn({"status": "success", "event": {"spanId": "x", "startTime": "t"}})
    event = scripted.event("sp_1")
    assert json.loads(json.dumps(event)) == {"span_id": "x", "span_start_time": "t"}
    for same in (pickle.loads(pickle.dumps(event)), copy.deepcopy(event)):
        assert same == event
        assert same["startTime"] == "t"


def test_events_of_the_emulator_have_the_keys_of_the_page(client):
    """Every key of a real event is one of the page's, and its time, kind and id are there."""
    for event in client.query(limit=200).events()["events"]:
        assert set(event) <= set(Event.__annotations__)
        assert {"span_id", "trace_id", "span_kind", "span_start_time", "status"} <= set(event)


SHAPES = {
    "EventPage": ({"events"}, {"pagination_meta"}),
    "EventCount": ({"count"}, set()),
    "PaginationMeta": (set(), {"results_per_page", "page_number", "offset", "total_records"}),
    "AggregationResult": ({"buckets"}, set()),
    "AggregationBucket": ({"label"}, {"value", "nested"}),
    "DataTableResult": ({"rows", "columns"}, {"total_records"}),
    "DataTableRow": ({"values"}, {"interface_data"}),
    "Trace": ({"trace_id", "events"}, set()),
    "RunData": (set(), {"chatbot", "search", "form", "voicebot", "session"}),
    "ExportTask": (
        set(),
        {"task_id", "status", "task_status", "download_url", "format", "file_name", "error"},
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shapes_of_the_page(name):
    """Each TypedDict has the keys of the page, required where the page says so."""
    shape = getattr(analytics, name)
    required, optional = SHAPES[name]
    assert shape.__required_keys__ == required
    assert shape.__optional_keys__ == optional


def test_the_event_has_all_keys_of_the_page():
    """The page names 15 common keys and 12 that are present when populated; all are optional."""
    assert len(Event.__annotations__) == 27
    assert Event.__required_keys__ == set()
