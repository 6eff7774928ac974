"""One test per clause of "No silent wrong answer": the answer is right, or a typed error comes before it.

`faults.py` names the fault that each guards against, and `test_faults.py` sees the test fail with it.
"""

import copy
import pickle
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest

import vectorshift
from tests.sdk.conftest import IMPATIENT, SINCE
from tests.sdk.scripted import Answer, in_turn
from vectorshift import (
    AnalyticsInvalidQuery,
    AnalyticsNotFound,
    ApiConnectionError,
    Client,
    InvalidResponseError,
    MissingApiKeyError,
    Retry,
    VectorshiftError,
    errors,
)
from vectorshift.analytics import (
    Analytics,
    EventField,
    EventKind,
    FieldFilter,
    Filter,
    FilterGroup,
    LogicalOp,
    Query,
)

FAILED = EventField.STATUS == "failure"
FORMS = EventField.INTERFACE_TYPE == "form"
BOTS = EventField.INTERFACE_TYPE == "chatbot"
QUOTA = EventField.ERROR_MESSAGE.matches("quota")
WEB = EventField.SOURCE == "web"
OR = LogicalOp.OR
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
SUCCESS = {"status": "success"}


def calls(client):
    """One call of every endpoint, by its name."""
    query = client.query().where(SINCE)
    return {
        "count": query.count,
        "search": query.events,
        "traces": query.traces,
        "aggregations": partial(query.sum, "runs"),
        "grouped": partial(query.group_by("MODEL_ID").sum, "runs"),
        "tables": partial(query.table, ["status"]),
        "export_create": partial(query.export, "CSV", "a.csv"),
        "export_poll": partial(client.export_task, "ex_1"),
        "trace": partial(client.trace, "tr_1"),
        "event": partial(client.event, "sp_1"),
        "run_data": partial(client.run, object_type="chatbot", object_id="cb_1", run_id="r_1"),
    }


ENDPOINTS = tuple(calls(Client("sk_x", "http://127.0.0.1:9/v1")))


# --- object_type -------------------------------------------------------------------------------


@pytest.mark.parametrize("entity", ["pipeline", "chatbot", "form", "voicebot", "session", "search"])
def test_object_type_alone_scopes_to_the_objects_of_that_type(client, truth, entity):
    """object_type= alone counts the events of that type, and not those of everybody."""
    expected = truth(f"SELECT count(*) FROM events WHERE span_kind LIKE '{entity}.%'")
    assert 0 < expected < truth("SELECT count(*) FROM events")
    assert client.query(object_type=entity).count() == {"count": expected}


@pytest.mark.parametrize("entity", ["agent", "workflow"])
def test_object_type_without_kinds_raises_instead_of_widening(client, emulator, entity):
    """A type that the wire cannot scope by is refused before anything is sent."""
    with pytest.raises(AnalyticsInvalidQuery, match="cannot scope"):
        client.query(object_type=entity)
    assert emulator.counters()["requests"] == {}


# --- OR ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("terminal", ["count", "table", "events"])
def test_or_on_one_data_column_is_exact_beside_other_filters(client, truth, terminal):
    """G2 a: equalities on one column are one INCLUDES, on every endpoint, and the other filters still AND."""
    query = client.query(limit=2000).where(FORMS, BOTS, logical_op=OR).where(FAILED)
    expected = truth(
        "SELECT count(*) FROM events WHERE interface_type IN ('form', 'chatbot') AND status = 'failure'"
    )
    found = {
        "count": lambda: query.count()["count"],
        "events": lambda: len(query.events()["events"]),
        "table": lambda: len(query.table(["status"])["rows"]),
    }
    assert expected
    assert found[terminal]() == expected


def test_lone_or_on_events_is_an_or(client, truth):
    """G2 b: one OR group beside time bounds and kinds is sent as the service's OR."""
    query = client.query(kinds=["pipeline.all"], limit=2000).where(FAILED, WEB, logical_op=OR)
    expected = truth(
        "SELECT count(*) FROM events WHERE entity = 'pipeline' AND (status = 'failure' OR source = 'web')"
    )
    assert len(query.where(SINCE).events()["events"]) == expected > 0


def test_or_never_leaks_over_an_earlier_filter(client, emulator):
    """An OR beside another filter would turn that one into an alternative too, so it is refused."""
    query = client.query().where(FORMS).where(FAILED, WEB, logical_op=OR)
    with pytest.raises(AnalyticsInvalidQuery, match="OR cannot be said exactly"):
        query.events()
    assert emulator.counters()["requests"] == {}


def test_named_filters_stay_outside_the_or(client, truth):
    """The page joins positional arguments by logical_op; the names of the same call AND."""
    query = client.query(limit=2000).where(FORMS, BOTS, logical_op=OR, status="failure")
    expected = truth(
        "SELECT count(*) FROM events WHERE interface_type IN ('form', 'chatbot') AND status = 'failure'"
    )
    assert query.count()["count"] == expected > 0


@pytest.mark.parametrize("alternatives", [(FAILED, WEB), (FAILED, WEB, BOTS)])
def test_count_of_an_or_is_inclusion_and_exclusion(client, emulator, truth, alternatives):
    """G2 c: k alternatives are counted with 2**k - 1 requests, and other filters still AND."""
    sql = {FAILED: "status = 'failure'", WEB: "source = 'web'", BOTS: "interface_type = 'chatbot'"}
    joined = " OR ".join(sql[each] for each in alternatives)
    expected = truth(f"SELECT count(*) FROM events WHERE entity = 'chatbot' AND ({joined})")
    query = client.query(object_type="chatbot").where(*alternatives, logical_op=OR)
    assert query.count() == {"count": expected}
    assert emulator.counters()["requests"] == {"count": 2 ** len(alternatives) - 1}


@pytest.mark.parametrize(
    "ask",
    [
        lambda query: query.table(["status"]),
        lambda query: query.export("CSV", "a.csv"),
        lambda query: query.export_and_wait("CSV", "a.csv"),
    ],
    ids=["table", "export", "export_and_wait"],
)
def test_or_that_a_table_or_export_cannot_say_is_refused(client, emulator, ask):
    """G2 d: what would be ANDed in silence raises before anything is sent."""
    with pytest.raises(AnalyticsInvalidQuery, match="OR cannot be said exactly"):
        ask(client.query().where(FAILED, WEB, logical_op=OR))
    assert emulator.counters()["requests"] == {}


def test_or_in_an_aggregation_is_refused(client, emulator):
    """Aggregations ignore OR, so an OR of scope filters raises."""
    traces = [EventField.TRACE_ID == "tr_1", EventField.TRACE_ID == "tr_2"]
    query = client.query().where(SINCE).where(*traces, logical_op=OR)
    with pytest.raises(AnalyticsInvalidQuery, match="OR cannot be said exactly"):
        query.sum("runs")
    assert emulator.counters()["requests"] == {}


def test_or_within_one_object_is_refused_on_events(client):
    """Whether the service ORs the object's own filter is unknown, so it is not tried."""
    query = client.query(object_ids=["pl_1"]).where(FAILED, WEB, logical_op=OR)
    with pytest.raises(AnalyticsInvalidQuery, match="OR cannot be said exactly"):
        query.events()


def test_and_group_within_an_or_is_refused(client):
    """An AND group as one alternative is not representable, so it never becomes two alternatives."""
    with pytest.raises(AnalyticsInvalidQuery, match="not representable"):
        client.query().where(FilterGroup([FAILED, WEB]), FORMS, logical_op=OR)


# --- 200 + failed ------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_success_status_with_a_failed_body_raises(scripted, service, endpoint):
    """HTTP 200 with status "failed" is an error that names its reason, on every endpoint."""
    service.script = in_turn({"status": "failed", "error": "engine on fire"})
    with pytest.raises(VectorshiftError, match="engine on fire"):
        calls(scripted)[endpoint]()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_success_status_with_foreign_json_raises(scripted, service, endpoint):
    """A JSON object that holds nothing of the contract is never read as zero rows."""
    service.script = in_turn({"hello": "world"})
    with pytest.raises((InvalidResponseError, AnalyticsNotFound)):
        calls(scripted)[endpoint]()


@pytest.mark.parametrize("endpoint", ["count", "search", "tables", "aggregations"])
def test_the_answer_to_another_question_raises(scripted, service, endpoint):
    """Zeros and empty lists are left out of answers, but an answer with another one's payload is not a zero."""
    others = {"count": 7, "events": [{"span_id": "a"}], "rows": [{"cells": []}], "task_id": "ex_1"}
    own = {"tables": "rows", "search": "events"}.get(endpoint, endpoint)
    for name, payload in others.items():
        if name != own:
            service.script = in_turn({"status": "success", name: payload})
            with pytest.raises(InvalidResponseError, match=f"has {name} and no"):
                calls(scripted)[endpoint]()


# --- group-by labels ---------------------------------------------------------------------------


def result(**outer):
    """An aggregation answer."""
    return SUCCESS | {"result": {"aggregation_result": outer}}


def leaves(**slices):
    """A node whose slices are numbers."""
    return {"result": {"aggregation_map": slices}}


def nested(**slices):
    """A node whose slices are nodes."""
    return {"nested_result": {"nested_aggregation_map": slices}}


@pytest.mark.parametrize("total", [{}, {"total_aggregation": 7}])
def test_a_group_by_with_one_label_keeps_it(scripted, service, total):
    """One slice is a slice: its label stays, whether a total comes along or not."""
    service.script = in_turn(result(tokens_sum=leaves(**{"gpt-4o": 7}) | total))
    query = scripted.query().where(SINCE).group_by("MODEL_ID")
    assert query.sum("tokens") == {"gpt-4o": 7.0}


def test_a_single_label_on_an_inner_level_keeps_it(scripted, service):
    """With two dimensions, a day with one model still names the model, and a single day the day."""
    service.script = in_turn(result(tokens_sum=nested(monday=leaves(**{"gpt-4o": 7}))))
    found = scripted.query().where(SINCE).group_by(["TIME", "MODEL_ID"], "DAY").sum("tokens")
    [operation] = found["buckets"]
    [day] = operation["nested"]
    assert (day["label"], day["nested"]) == ("monday", [{"label": "gpt-4o", "value": 7}])


def test_a_single_slice_keyed_label_is_not_an_operation(scripted, service):
    """An answer keyed by its only slice is told from one keyed by the operation, by its depth."""
    service.script = in_turn(result(monday=leaves(**{"gpt-4o": 7})))
    found = scripted.query().where(SINCE).group_by(["TIME", "MODEL_ID"], "DAY").sum("tokens")
    [operation] = found["buckets"]
    assert (operation["label"], operation["nested"][0]["label"]) == ("tokens_sum", "monday")


# --- several years -----------------------------------------------------------------------------


YEARS = {"2024": 3, "2025": 4, "2026": 5}


@pytest.mark.parametrize(
    ("op", "expected"), [("sum", 12), ("min", 3), ("max", 5)], ids=["sum", "min", "max"]
)
def test_years_keyed_by_operation_without_totals_lose_none(scripted, service, op, expected):
    """The YEAR slices that stand in for "no group" are reduced, not cut to the first."""
    service.script = in_turn(result(**{f"tokens_{op}": leaves(**YEARS)}))
    assert getattr(scripted.query().where(SINCE), op)("tokens") == expected


def test_years_keyed_by_slice_lose_none(scripted, service):
    """An answer keyed by its years instead of the operation is the same answer."""
    service.script = in_turn(
        result(**{year: {"total_aggregation": value} for year, value in YEARS.items()})
    )
    assert scripted.query().where(SINCE).sum("tokens") == 12


@pytest.mark.parametrize("total", [{"total_aggregation": 12}, 12])
@pytest.mark.parametrize("keyed", ["by slice", "by operation"])
def test_a_total_among_the_years_is_not_a_year(scripted, service, total, keyed):
    """`__total__` is the total and is never added to the years that it totals."""
    slices = {"__total__": total, **YEARS}
    outer = slices if keyed == "by slice" else {"tokens_sum": leaves(**slices)}
    service.script = in_turn(result(**outer))
    assert scripted.query().where(SINCE).sum("tokens") == 12


def test_what_years_cannot_be_put_together_from_raises(scripted, service):
    """A mean, a percentile or a distinct count of several years is refused, not invented."""
    query = scripted.query().where(SINCE)
    for label, ask in {
        "latency_mean": lambda: query.mean("latency"),
        "latency_percentile_95": lambda: query.percentile("latency", 95),
        "users_count_distinct": lambda: query.count_distinct("users"),
    }.items():
        service.script = in_turn(result(**{label: leaves(**YEARS)}))
        with pytest.raises(AnalyticsInvalidQuery, match="calendar year"):
            ask()


def test_mean_over_known_years_is_refused_before_dispatch(client, emulator):
    """When both ends are known, the mean over several years is refused without a request."""
    query = client.query().where(SINCE, EventField.EVENT_START_TIME < JANUARY)
    with pytest.raises(AnalyticsInvalidQuery, match="calendar year"):
        query.mean("latency")
    assert emulator.counters()["requests"] == {}


# --- filters have no truth ---------------------------------------------------------------------


def test_a_chained_comparison_raises():
    """`T1 <= FIELD < T2` would keep only its last half."""
    later = JANUARY + timedelta(days=1)
    with pytest.raises(AnalyticsInvalidQuery, match="no truth value"):
        JANUARY <= EventField.EVENT_START_TIME < later  # noqa: B015  # the mistake under test


def test_and_between_filters_raises():
    """`a and b` would keep only b."""
    with pytest.raises(AnalyticsInvalidQuery, match="no truth value"):
        FAILED and WEB  # noqa: B018  # the mistake under test


def test_or_between_filters_raises():
    """`a or b` would keep only a."""
    with pytest.raises(AnalyticsInvalidQuery, match="no truth value"):
        FAILED or WEB  # noqa: B018  # the mistake under test


def test_not_of_a_filter_raises():
    """`not f` would be False, which filters nothing."""
    with pytest.raises(AnalyticsInvalidQuery, match="no truth value"):
        not FAILED  # noqa: B018  # the mistake under test


def test_a_group_has_no_truth_value_either():
    """A FilterGroup raises like its members."""
    with pytest.raises(AnalyticsInvalidQuery, match="no truth value"):
        bool(FilterGroup([FAILED]))


def test_not_equal_raises():
    """`!=` has no operator on the wire and never becomes an equality."""
    with pytest.raises(NotImplementedError, match="NEQ"):
        EventField.STATUS != "failure"  # noqa: B015


# --- equality ----------------------------------------------------------------------------------


def test_a_field_is_not_in_a_list_of_others():
    """Members compare as members, so lists, sets and dicts of them work."""
    assert EventField.STATUS not in [EventField.SOURCE, EventField.CALLER]
    assert EventField.STATUS in [EventField.SOURCE, EventField.STATUS]
    assert EventField.STATUS != EventField.SOURCE
    assert len({EventField.STATUS: 1, EventField.SOURCE: 2}) == 2


DIFFERENT = [
    Analytics.query(),
    Analytics.query(limit=10),
    Analytics.query(offset=10),
    Analytics.query(object_ids=["1"]),
    Analytics.query(kinds=[EventKind.FORM_RUN]),
    Analytics.query().where(status="success"),
    Analytics.query().where(status="failure"),
    Analytics.query().where(source="failure"),
    Analytics.query().where(EventField.SOURCE.matches("failure")),
    Analytics.query().where(EventField.SOURCE.includes(["failure"])),
    Analytics.query().where(EventField.SOURCE == 1),
    Analytics.query().where(EventField.SOURCE == 1.0),
    Analytics.query().where(EventField.SOURCE == True),  # noqa: E712  # a value, not a test
    Analytics.query().where(FilterGroup([FAILED, WEB], OR)),
    Analytics.query().where(FilterGroup([FAILED, WEB])),
    Analytics.query().where(FAILED, WEB),
    Analytics.aquery(),
]


def test_different_queries_are_unequal():
    """No two of seventeen different queries are equal, 1, 1.0 and True included."""
    for index, one in enumerate(DIFFERENT):
        assert [other for other in DIFFERENT if other == one] == [one], index
    assert len(set(DIFFERENT)) == len(DIFFERENT)


@pytest.mark.parametrize("query", DIFFERENT, ids=repr)
def test_equal_queries_are_equal_and_hash_equal(query):
    """A query read back from its JSON form, pickled or copied is equal and finds the same cache entry."""
    same = [pickle.loads(pickle.dumps(query)), copy.deepcopy(query), copy.copy(query)]
    same.append(type(query).from_dict(query.to_dict()))
    for each in same:
        assert each == query
        assert hash(each) == hash(query)


# --- tables, where, bounds ---------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "limit"), [(75, 50), (3, 7), (1, 1), (49, 2), (0, 10), (7, 3)])
def test_a_table_offset_need_not_be_a_multiple_of_the_limit(client, emulator, offset, limit):
    """Rows offset..offset+limit-1 come back, although the service pages tables by number."""
    found = client.query().table([EventField.EVENT_ID], limit=limit, offset=offset)
    expected = emulator.truth(
        f"SELECT span_id FROM events ORDER BY start_time DESC, span_id LIMIT {limit} OFFSET {offset}"
    )
    rows = [row["values"]["event_id"] for row in found["rows"]]
    assert rows == [each["span_id"] for each in expected]


@pytest.mark.parametrize("nonsense", ["status", None, True, 1, EventField.STATUS, {"status": "x"}])
def test_where_refuses_what_is_not_a_filter(nonsense):
    """`where("status")` raises; the official client drops it and answers for everything."""
    with pytest.raises(AnalyticsInvalidQuery, match="not a filter"):
        Analytics.query().where(nonsense)


def test_several_lower_bounds_of_an_aggregation_combine(client, emulator, truth):
    """The latest lower and the earliest upper bound win, in any order, AND groups included."""
    low, high = (
        datetime.fromisoformat(truth(f"SELECT {which}(start_time) FROM events"))
        for which in ("min", "max")
    )
    third = (high - low) / 3
    start, end = low + third, high - third
    start, end = (each.replace(microsecond=0) for each in (start, end))
    field = EventField.EVENT_START_TIME
    expected = truth(
        "SELECT count(*) FROM events WHERE is_run AND start_time BETWEEN "
        f"'{start:%Y-%m-%d %H:%M:%S}' AND '{end:%Y-%m-%d %H:%M:%S}'"
    )
    loose = client.query().where(field >= low, field <= end).where(field <= high)
    assert loose.where(field >= start).sum("runs") == expected > 0
    assert loose.where(FilterGroup([field >= start])).sum("runs") == expected


def test_bounds_around_a_change_of_the_clocks_compare_as_instants(scripted, service):
    """Two times of one zone compare by their instants, not by what the clock on the wall showed."""
    zone = ZoneInfo("America/New_York")
    before = datetime(2026, 11, 1, 1, 45, tzinfo=zone)  # 05:45Z, still summer time
    after = datetime(2026, 11, 1, 1, 15, fold=1, tzinfo=zone)  # 06:15Z
    field = EventField.EVENT_START_TIME
    service.script = in_turn(result(runs_sum={"total_aggregation": 1}))
    scripted.query().where(field >= before, field >= after).sum("runs")
    assert service.requests[0].json["start_time"] == "2026-11-01T01:15:00-05:00"
    scripted.query().where(field >= before, field < after).sum("runs")
    assert service.requests[1].json["end_time"] == "2026-11-01T01:15:00-05:00"


# --- refused before HTTP -----------------------------------------------------------------------


NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  # the mistake under test
REFUSED = {
    "kind": lambda q: Analytics.query(kinds=["pipeline.walk"]),
    "two ids": lambda q: Analytics.query(object_ids=["a", "b"]),
    "two objects": lambda q: Analytics.query(
        object=[vectorshift.Pipeline("a"), vectorshift.Pipeline("b")]
    ),
    "limit 0": lambda q: Analytics.query(limit=0),
    "limit -5": lambda q: q.events(limit=-5),
    "limit True": lambda q: q.events(limit=True),
    "limit 1.5": lambda q: q.table(["status"], limit=1.5),
    "offset -1": lambda q: q.traces(offset=-1),
    "page size": lambda q: next(q.iter_events(page_size=-1)),
    "columns": lambda q: q.table([]),
    "column": lambda q: q.table(["statuss"]),
    "status": lambda q: q.where(status="failed").count(),
    "status among others": lambda q: q.where(EventField.STATUS.includes(["success", "failed"])),
    "alias": lambda q: q.where(model="gpt-4o"),
    "aggregate-only field": lambda q: q.where(EventField.LATENCY > 5),
    "logical op": lambda q: q.where(FAILED, logical_op="XOR"),
    "naive time": lambda q: q.where(EventField.EVENT_START_TIME > NAIVE).count(),
    "naive time by name": lambda q: q.where(event_end_time=NAIVE).count(),
    "reversed range": lambda q: q.where(
        FieldFilter.lt(EventField.EVENT_START_TIME, datetime(2000, 1, 1, tzinfo=UTC))
    ).count(),
    "empty range": lambda q: q.where(
        EventField.EVENT_START_TIME >= JANUARY, EventField.EVENT_START_TIME < JANUARY
    ).count(),
    "empty includes": lambda q: q.where(EventField.SOURCE.in_([])).count(),
    "value": lambda q: q.where(source={"a": 1}),
    "None": lambda q: q.where(source=None),
    "infinite": lambda q: q.where(source=float("inf")),
    "field": lambda q: q.sum("coffee"),
    "operation": lambda q: q.raw_aggregate(["runs.total"]),
    "no operation": lambda q: q.raw_aggregate([]),
    "percentile field": lambda q: q.percentile("tokens", 95),
    "percentile": lambda q: q.percentile("latency", 90),
    "percentile of raw": lambda q: q.raw_aggregate(["tokens.p95"]),
    "dimension": lambda q: q.group_by("WEATHER"),
    "interval": lambda q: q.group_by("TIME", "FORTNIGHT"),
    "no interval": lambda q: q.group_by("TIME"),
    "no lower bound": lambda q: Analytics.query().sum("runs"),
    "data filter in aggregation": lambda q: q.where(status="failure").sum("runs"),
    "format": lambda q: q.export("PDF", "a.pdf"),
    "file name": lambda q: q.export("CSV", "  "),
    "waiting": lambda q: q.export_and_wait("CSV", "a.csv", timeout=-1),
    "interval of looks": lambda q: q.export_and_wait("CSV", "a.csv", poll_interval=0),
    "task id": lambda q: Analytics.export_task(""),
    "trace id": lambda q: Analytics.trace(""),
    "event id": lambda q: Analytics.event(None),
    "run id": lambda q: Analytics.run(object_type="chatbot", object_id="cb_1"),
    "kind of a trace": lambda q: Analytics.trace("tr_1", kinds=["nothing"]),
    "fields and filters": lambda q: q.where(Filter(EventField.STATUS, "x")),
    "scope in data filter": lambda q: q.where(FieldFilter.eq(EventField.TRACE_ID, "x")),
    "nested group": lambda q: q.where(FilterGroup([FilterGroup([FAILED])])),
    "empty or": lambda q: q.where(FilterGroup([], OR)).count(),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_refused_before_any_request(emulator, mistake):
    """Bad enums, formats, sizes, names, times and values raise AnalyticsInvalidQuery; nothing is sent."""
    with pytest.raises(AnalyticsInvalidQuery):
        REFUSED[mistake](Analytics.query().where(SINCE))
    assert emulator.counters()["requests"] == {}


@pytest.mark.parametrize(
    "identifier", ["a/b?c=1#d", "..", ".", "ünïcødé/ß", "100%25", " a b ", "a\nb"]
)
def test_ids_are_one_quoted_path_segment(client, scripted, service, identifier):
    """An id never ends the path, climbs out of it or adds a query; the service sees exactly the id."""
    from urllib.parse import unquote

    service.script = in_turn(SUCCESS | {"event": {}, "events": [{}], "task_id": "x"})
    scripted.event(identifier)
    scripted.trace(identifier)
    scripted.export_task(identifier)
    for request, folder in zip(service.requests, ("events", "traces", "exports"), strict=True):
        name = request.path.removeprefix(f"/analytics/{folder}/")
        assert "/" not in name
        assert "." not in name
        assert unquote(name) == identifier
    with pytest.raises(AnalyticsNotFound):
        client.event(identifier)


# --- the key -----------------------------------------------------------------------------------


def test_netrc_never_replaces_the_key(emulator, tmp_path, monkeypatch):
    """An entry for the host in ~/.netrc changes nothing."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Client(emulator.api_key, emulator.base_url, retry=IMPATIENT) as client:
        assert client.query().count()["count"] > 0


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_nothing_is_sent(emulator, monkeypatch, key):
    """No key is an error that says where to put one; `Bearer None` is never sent."""
    monkeypatch.delenv("VECTORSHIFT_API_KEY")
    monkeypatch.setattr(vectorshift, "api_key", key)
    with Client() as client:
        for ask in calls(client).values():
            with pytest.raises(MissingApiKeyError, match="VECTORSHIFT_API_KEY"):
                ask()
    assert emulator.counters()["requests"] == {}


# --- bodies ------------------------------------------------------------------------------------

LOGIN = b"<!DOCTYPE html><html><body>Please log in</body></html>"
BODIES = {
    "empty": b"",
    "blank": b" \n",
    "html": LOGIN,
    "cut json": b'{"status": "succ',
    "list": b"[1, 2]",
    "text": b'"success"',
    "null": b"null",
    "nan": b'{"status": "success", "count": NaN}',
    "deep": b"[" * 100_000,
    "not utf-8": b'{"status": "\xff"}',
    "bom": b'\xef\xbb\xbf{"status": "success"}',
}


@pytest.mark.parametrize("body", BODIES)
def test_a_success_that_is_not_json_raises_our_error(scripted, service, body):
    """Whatever a proxy or a login page answers with status 200, the error is ours and names the request."""
    service.script = in_turn(BODIES[body])
    for ask in calls(scripted).values():
        with pytest.raises(InvalidResponseError, match=r"from (GET|POST) /analytics/"):
            ask()


WRONG = [1, "x", [1], {"a": 1}, True]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_payloads_of_the_wrong_type_raise_our_error(scripted, service, wrong):
    """A payload of another type is a value that fits or an error of ours, on every endpoint."""
    names = ("count", "events", "rows", "columns", "result", "event", "pagination_meta")
    for name in names:
        service.script = in_turn(SUCCESS | {name: wrong})
        for ask in calls(scripted).values():
            try:
                ask()
            except VectorshiftError:
                continue


def cut(total, sent, extra=b""):
    """An answer that announces more than it sends."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {total}\r\n\r\n"
    return Answer(raw=[head.encode() + b'{"status": "success", "count": 12345}'[:sent] + extra])


@pytest.mark.parametrize("sent", [0, 10])
def test_a_body_cut_short_raises_our_error(scripted, service, sent):
    """A connection that ends early is tried again, then told as a connection error of ours."""
    service.script = lambda request: cut(37, sent)
    for endpoint, ask in calls(scripted).items():
        service.requests.clear()
        with pytest.raises(ApiConnectionError, match="no answer from"):
            ask()
        assert len(service.requests) == (1 if endpoint == "export_create" else IMPATIENT.attempts)


# --- errors ------------------------------------------------------------------------------------

SECRET = "sk_live_SECRET123"
SIGNED = "https://files.example/x.csv?X-Amz-Signature=deadbeef&Expires=1"
EXAMPLES = [
    errors.VectorshiftError("x"),
    errors.ConfigurationError("x"),
    *(
        kind("x", status_code=500, method="GET", endpoint="/a", request_id="r", retry_after=1.5)
        for kind in (
            errors.VectorshiftApiError,
            errors.BadRequestError,
            errors.AuthenticationError,
            errors.MissingApiKeyError,
            errors.PermissionDeniedError,
            errors.NotFoundError,
            errors.UnprocessableEntityError,
            errors.RateLimitError,
            errors.InternalServerError,
            errors.InvalidResponseError,
            errors.AnalyticsRouteNotFound,
        )
    ),
    errors.ApiConnectionError("refused", method="GET", endpoint="/a", sent=True),
    errors.ApiTimeoutError("late", method="GET", endpoint="/a", sent=True),
    *(
        kind("x", method="GET", endpoint="/a", status_code=200, request_id="r")
        for kind in (
            errors.AnalyticsError,
            errors.AnalyticsInvalidQuery,
            errors.AnalyticsTypeError,
            errors.AnalyticsUnsupported,
            errors.AnalyticsNotFound,
            errors.AnalyticsRequestFailed,
        )
    ),
    errors.AnalyticsIncomplete("iter_events", seen=1, expected=2),
    errors.AnalyticsExportFailed("ex_1", "disk full", method="GET", endpoint="/a"),
    errors.AnalyticsExportTimeout("ex_1", 5.0),
    errors.AnalyticsDownloadFailed("ex_1", "cut"),
]


def test_every_error_class_has_an_example_here():
    """A new error class without an example in the test below fails this one."""
    classes = {each for each in vars(errors).values() if isinstance(each, type)}
    assert {type(each) for each in EXAMPLES} == {
        each for each in classes if issubclass(each, VectorshiftError)
    }


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_pickles_with_its_attributes(error):
    """An error crosses a process boundary as it is: class, text and attributes."""
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
    assert back.args == error.args
    assert copy.copy(error).args == error.args


STATUSES = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    418: errors.VectorshiftApiError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
    500: errors.InternalServerError,
    503: errors.InternalServerError,
    302: errors.VectorshiftApiError,
}


@pytest.mark.parametrize("status", STATUSES)
def test_an_error_status_says_what_where_and_what_to_do(service, status):
    """On every endpoint: method, path template, status, request id, the service's words, a way out; no secrets."""
    said = f"broken: key {SECRET} and {SIGNED}"
    body = {"status": "failed", "error": said}
    service.script = in_turn(Answer(body, status, {"X-Request-Id": "req_7", "Location": SIGNED}))
    with Client(SECRET, service.base_url, retry=Retry(1)) as client:
        for ask in calls(client).values():
            service.requests.clear()
            with pytest.raises(STATUSES[status]) as caught:
                ask()
            check_error(caught.value, service.requests[0], status)


def check_error(error, request, status):
    """Assert that an error tells everything about its request, and nothing secret."""
    text = str(error)
    assert (error.status_code, error.method, error.request_id) == (status, request.method, "req_7")
    assert f"HTTP {status} from {request.method} {error.endpoint}; request id req_7" in text
    assert error.endpoint.startswith("/analytics/")
    assert "{" in error.endpoint or request.path == error.endpoint
    assert "broken" in text
    assert error.hint in text
    for shown in (text, repr(error), repr(vars(error)), repr(pickle.dumps(error))):
        assert SECRET not in shown
        assert "deadbeef" not in shown


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_failed_body_is_reported_with_its_request_and_no_secrets(service, endpoint):
    """The errors of 200 + failed name method, path template, status and request id as well."""
    body = {"status": "failed", "error": f"broken: key {SECRET} and {SIGNED}"}
    service.script = in_turn(Answer(body, headers={"X-Request-Id": "req_7"}))
    with (
        Client(SECRET, service.base_url) as client,
        pytest.raises(errors.AnalyticsError) as caught,
    ):
        calls(client)[endpoint]()
    text = str(caught.value)
    assert (
        f"{service.requests[0].method} {caught.value.endpoint}: HTTP 200; request id req_7" in text
    )
    assert SECRET not in text
    assert "deadbeef" not in text


def test_no_answer_at_all_is_reported_with_its_request():
    """A refused connection names the method and the path template, and says that nothing arrived."""
    with (
        Client(SECRET, "http://127.0.0.1:9/v1", retry=IMPATIENT) as client,
        pytest.raises(
            ApiConnectionError, match=r"GET /analytics/events/\{event_id\}.*did not arrive"
        ) as caught,
    ):
        client.event("sp_secret")
    assert caught.value.request_info == {
        "method": "GET",
        "endpoint": "/analytics/events/{event_id}",
    }
    assert caught.value.sent is False


def test_a_query_without_its_client_says_how_to_get_one(client):
    """A query pickled with a client of its own never runs as another account."""
    query = pickle.loads(pickle.dumps(client.query()))
    assert query == pickle.loads(pickle.dumps(query))
    with pytest.raises(errors.ConfigurationError, match=r"using\(client\)"):
        query.count()
    assert query.using(client).count() == client.query().count()
    assert isinstance(query, Query)
