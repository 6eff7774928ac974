"""The three forms of where(), the twelve names, the operators, and words wherever an enum is."""

from datetime import UTC, datetime

import pytest

from tests.sdk.conftest import SINCE
from tests.sdk.scripted import in_turn
from vectorshift import AnalyticsInvalidQuery, Pipeline
from vectorshift.analytics import (
    Analytics,
    EventField,
    EventKind,
    EventStatus,
    FieldFilter,
    FieldFilterOp,
    FieldOp,
    Filter,
    FilterGroup,
    GroupBy,
    LogicalOp,
)

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def sent(scripted, service):
    """The body that a query's count sends."""
    service.script = in_turn({"status": "success", "count": 0})

    def body(query):
        service.requests.clear()
        query.using(scripted).count()
        return service.requests[-1].json

    return body


def basic(column, operation, **value):
    """One table filter."""
    return {"basic_op": {"column": column, "value": value, "operation": operation}}


def scope(column, value, operator="OPERATOR_EQUAL"):
    """One scope filter."""
    return {"column_name": column, "value": {"string_value": value}, "operator": operator}


def test_the_three_forms_mix(sent):
    """Explicit filters, operator results and names go together into one AND."""
    query = Analytics.query().where(
        Filter.eq(EventField.TRACE_ID, "tr_1"),
        FieldFilter.matches(EventField.ERROR_MESSAGE, "quota"),
        EventField.INTERFACE_NAME == "Intake",
        FilterGroup([EventField.PROJECT_ID == "pr_1"]),
        status="failure",
    )
    assert sent(query) == {
        "filters": [scope("TraceId", "tr_1"), scope("ProjectId", "pr_1")],
        "table_filters": [
            basic("ERROR_MESSAGE", "MATCHES", string_value="quota"),
            basic("INTERFACE_NAME", "EQUALS", string_value="Intake"),
            basic("STATUS", "EQUALS", string_value="failure"),
        ],
    }


def test_calls_and(sent):
    """Several where() calls AND, and each returns a new query."""
    first = Analytics.query().where(status="failure")
    second = first.where(source="web")
    assert len(sent(first)["table_filters"]) == 1
    assert len(sent(second)["table_filters"]) == 2


DATA_NAMES = {
    "source": "SOURCE",
    "event_start_time": "SPAN_START_TIME",
    "event_end_time": "SPAN_END_TIME",
    "status": "STATUS",
    "caller": "CALLER",
    "interface_type": "INTERFACE_TYPE",
    "interface_name": "INTERFACE_NAME",
    "error_message": "ERROR_MESSAGE",
    "session_name": "SESSION_NAME",
    "session_users": "SESSION_USERS",
}
SCOPE_NAMES = {"trace_id": "TraceId", "session_source": "SessionSource"}


@pytest.mark.parametrize("name", DATA_NAMES)
def test_a_data_name_is_an_equality(sent, name):
    """Each of the ten data names becomes an equality on its column."""
    query = Analytics.query().where(**{name: "success"})
    assert sent(query) == {
        "table_filters": [basic(DATA_NAMES[name], "EQUALS", string_value="success")]
    }


@pytest.mark.parametrize("name", SCOPE_NAMES)
def test_a_scope_name_is_an_equality(sent, name):
    """Each of the two scope names becomes a scope filter."""
    query = Analytics.query().where(**{name: "x"})
    assert sent(query) == {"filters": [scope(SCOPE_NAMES[name], "x")]}


@pytest.mark.parametrize("name", ["statuss", "model", "latency", "object_id", "node_type", "limit"])
def test_any_other_name_is_refused(name):
    """There are twelve names; another one raises and the message lists them."""
    with pytest.raises(AnalyticsInvalidQuery, match=r"Unknown where\(\) kwarg.*interface_type"):
        Analytics.query().where(**{name: "x"})


def test_operators(sent):
    """Every operator of the page builds the filter that the page says."""
    field = EventField.SESSION_LAST_MESSAGE_TIME
    query = Analytics.query().where(
        field > MARCH,
        field >= MARCH,
        field < MARCH,
        field <= MARCH,
        EventField.SOURCE.in_(["web", "api"]),
        EventField.SOURCE.includes(["web"]),
        EventField.SOURCE.matches("w.b"),
        EventField.EXECUTION_ID.in_(["a", "b"]),
        EventField.EXECUTION_ID.in_(["a"]),
    )
    stamp = {"timestamp": "2026-03-01T00:00:00Z"}
    several = [{"string_value": "web"}, {"string_value": "api"}]
    assert sent(query) == {
        "filters": [scope("ExecutionId", "a,b", "OPERATOR_IN"), scope("ExecutionId", "a")],
        "table_filters": [
            basic("SESSION_LAST_MESSAGE_TIME", "GREATER_THAN", **stamp),
            basic("SESSION_LAST_MESSAGE_TIME", "GREATER_THAN_EQUALS", **stamp),
            basic("SESSION_LAST_MESSAGE_TIME", "LESS_THAN", **stamp),
            basic("SESSION_LAST_MESSAGE_TIME", "LESS_THAN_EQUALS", **stamp),
            {"compound_op": {"column": "SOURCE", "values": several, "operation": "INCLUDES"}},
            {"compound_op": {"column": "SOURCE", "values": several[:1], "operation": "INCLUDES"}},
            basic("SOURCE", "MATCHES", string_value="w.b"),
        ],
    }


def test_time_bounds_are_lifted(sent):
    """The first lower and the first upper bound become start_time and end_time; later ones stay filters."""
    field = EventField.EVENT_START_TIME
    later = MARCH.replace(day=5)
    query = Analytics.query().where(field >= MARCH).where(field < later, field > MARCH)
    assert sent(query) == {
        "start_time": "2026-03-01T00:00:00Z",
        "end_time": "2026-03-05T00:00:00Z",
        "table_filters": [
            basic("SPAN_START_TIME", "GREATER_THAN", timestamp="2026-03-01T00:00:00Z")
        ],
    }


@pytest.mark.parametrize(
    ("filters", "logical_op"),
    [
        ([EventField.STATUS == "failure", EventField.STATUS == "success"], LogicalOp.OR),
        ([EventField.STATUS == "failure", EventField.STATUS == "success"], "or"),
        (
            [FilterGroup([EventField.STATUS == "failure", EventField.STATUS == "success"], "OR")],
            LogicalOp.AND,
        ),
    ],
    ids=["member", "word", "group"],
)
def test_or_in_its_three_spellings(sent, filters, logical_op):
    """logical_op as a member, as a word, and a FilterGroup are the same OR."""
    values = [{"string_value": "failure"}, {"string_value": "success"}]
    query = Analytics.query().where(*filters, logical_op=logical_op)
    assert sent(query) == {
        "table_filters": [
            {"compound_op": {"column": "STATUS", "values": values, "operation": "INCLUDES"}}
        ]
    }


def test_an_or_of_nothing_adds_nothing():
    """where(logical_op=OR) without filters is the same query."""
    assert Analytics.query().where(logical_op=LogicalOp.OR) == Analytics.query()


VALUES = {
    "bool": (True, {"bool_value": True}),
    "int": (3, {"int_value": 3}),
    "float": (2.5, {"float_value": 2.5}),
    "text": ("x", {"string_value": "x"}),
    "enum": (EventStatus.FAILURE, {"string_value": "failure"}),
    "utc": (MARCH, {"timestamp": "2026-03-01T00:00:00Z"}),
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_are_typed(sent, kind):
    """A value goes out by its Python type; a bool is not an int."""
    value, wire = VALUES[kind]
    assert sent(Analytics.query().where(source=value)) == {
        "table_filters": [basic("SOURCE", "EQUALS", **wire)]
    }


@pytest.mark.parametrize("status", [EventStatus.FAILURE, "FAILURE", " Failure "])
def test_a_status_is_sent_as_the_page_spells_it(sent, status):
    """A status in any spelling is the page's word, alone and among others."""
    equal = Analytics.query().where(status=status)
    assert sent(equal)["table_filters"] == [basic("STATUS", "EQUALS", string_value="failure")]
    assert equal == Analytics.query().where(EventField.STATUS == "failure")
    assert Analytics.query().where(EventField.STATUS.in_([status])) == Analytics.query().where(
        EventField.STATUS.in_(["failure"])
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda: Filter.eq(EventField.STATUS, "x"),
        lambda: Filter.eq(EventField.LATENCY, 1),
        lambda: Filter.in_(EventField.SOURCE, ["x"]),
    ],
    ids=["eq", "aggregate-only", "in_"],
)
def test_a_scope_filter_on_a_data_column_points_to_the_other(build):
    """Filter on a data column is a TypeError that names FieldFilter, at construction."""
    with pytest.raises(TypeError, match="FieldFilter"):
        build()


def test_in_with_a_comma_is_refused():
    """The wire joins IN values by commas, so a value with one would match something else."""
    with pytest.raises(AnalyticsInvalidQuery, match="comma"):
        EventField.TRACE_ID.in_(["a,b", "c"])


def test_fan_out_gives_one_query_per_value(client, truth):
    """Queries of fan_out count together what IN means."""
    traces = ["tr_none"]
    query = client.query().where(EventField.TRACE_ID.in_([*traces, "tr_other"]))
    assert [each.to_dict()["where"][0]["value"] for each in query.fan_out()] == [
        "tr_none",
        "tr_other",
    ]
    assert sum(each.count()["count"] for each in query.fan_out()) == query.count()["count"]
    assert client.query().fan_out() == [client.query()]


# --- scope -------------------------------------------------------------------------------------


class Bot:
    """A resource of the user's own, with nothing but an id."""

    def __init__(self, identifier):
        self.id = identifier


class Session:
    """The official client's Session has no id, only a session_id."""

    session_id = "se_1"


SCOPES = {
    "handle": (
        {"object": Pipeline("pl_1")},
        "pl_1",
        ["PIPELINE_ALL", "PIPELINE_RUN", "PIPELINE_BULK_RUN"],
    ),
    "list": (
        {"object": [Pipeline("pl_1")]},
        "pl_1",
        ["PIPELINE_ALL", "PIPELINE_RUN", "PIPELINE_BULK_RUN"],
    ),
    "own class": ({"object": Bot("b_1")}, "b_1", None),
    "number": ({"object": Bot(7)}, "7", None),
    "session": ({"object": Session()}, "se_1", None),
    "id": ({"object_ids": ["x"]}, "x", None),
    "twice": ({"object": Bot("x"), "object_ids": ["x"]}, "x", None),
    "kinds win": ({"object": Pipeline("p"), "kinds": [EventKind.FORM_RUN]}, "p", ["FORM_RUN"]),
    "no kinds": ({"object": Pipeline("p"), "kinds": []}, "p", None),
    "words": (
        {"kinds": ["form.run", "FORM_CHAT", EventKind.FORM_RUN]},
        None,
        ["FORM_RUN", "FORM_CHAT"],
    ),
    "nothing": ({"object": []}, None, None),
    "portal": ({"object_type": "Portal"}, None, ["PORTAL_CREATE"]),
}


@pytest.mark.parametrize("name", SCOPES)
def test_scopes(sent, name):
    """object=, object_type=, object_ids= and kinds= resolve to one id filter and the kinds."""
    arguments, identifier, kinds = SCOPES[name]
    body = sent(Analytics.query(**arguments))
    expected = {} if identifier is None else {"filters": [scope("ObjectId", identifier)]}
    if kinds:
        expected["span_type"] = [{kind.partition("_")[0].lower(): kind} for kind in kinds]
    assert body == expected


@pytest.mark.parametrize(
    "thing",
    ["pl_1", object(), Bot, Bot(None), Bot("")],
    ids=["str", "object", "class", "None", "empty"],
)
def test_an_object_without_an_id_is_a_type_error(thing):
    """object= takes a resource with an id; the error says where a raw id goes."""
    with pytest.raises(TypeError, match="id"):
        Analytics.query(object=thing)


def test_run_takes_an_object_or_a_type_and_id(client):
    """run() without a complete address is a TypeError that says what is missing."""
    for arguments in ({}, {"object_type": "chatbot"}, {"object": Bot("x"), "object_id": "y"}):
        with pytest.raises(TypeError, match=r"run\(\)"):
            client.run(**arguments, run_id="r_1")
    with pytest.raises(TypeError, match="run_id"):
        client.run(Bot("x"))


# --- words for enums ---------------------------------------------------------------------------


def test_strings_are_accepted_wherever_an_enum_is(client):
    """A value or a member name in any case means the member, in every argument that takes one."""
    query = client.query(kinds=["PIPELINE_RUN"]).where(SINCE)
    assert query == client.query(kinds=["pipeline.run"]).where(SINCE)
    assert query.group_by("time", "day") == query.group_by(GroupBy.TIME, "DAY")
    assert query.sum("TOKENS") == query.sum("tokens")
    assert Filter(EventField.TRACE_ID, "x", "eq") == Filter(EventField.TRACE_ID, "x", FieldOp.EQ)
    assert FieldFilter(EventField.SOURCE, "x", "matches").op is FieldFilterOp.MATCHES
    assert FilterGroup([SINCE], "or").op is LogicalOp.OR


@pytest.mark.parametrize("word", ["pipelin.run", "pipelines", ""])
def test_an_unknown_name_names_the_nearest(word):
    """A word that means nothing raises, and the message shows what is known."""
    with pytest.raises(AnalyticsInvalidQuery, match=r"pipeline\.run"):
        Analytics.query(kinds=[word])
