"""Every terminal, blocking and awaiting, plain and grouped, against the emulator's own database."""

import inspect
import os
from typing import Any, get_type_hints

import pytest

import vectorshift.analytics
from tests.sdk.conftest import SINCE
from vectorshift import AnalyticsNotFound, Chatbot, Client
from vectorshift.analytics import (
    AggregationField,
    AggregationOp,
    AggregationOperation,
    Analytics,
    AsyncQuery,
    EventField,
    EventKind,
    ExportFormat,
    GroupBy,
    Interval,
    Percentile,
    Query,
)
from vectorshift.analytics._query import _AsyncGroupedQuery, _GroupedQuery
from vectorshift.analytics._terminals import Progress

pytestmark = pytest.mark.anyio

TERMINALS = [
    "count",
    "events",
    "traces",
    "table",
    "export",
    "export_and_wait",
    "raw_aggregate",
    "sum",
    "mean",
    "min",
    "max",
    "count_distinct",
    "percentile",
    "time_precision",
    "iter_events",
    "iter_rows",
]

RUNS = "FROM events WHERE is_run AND entity = 'pipeline'"
LATENCIES = f"{RUNS} AND latency IS NOT NULL"


@pytest.fixture(params=["blocking", "awaiting"])
def ask(request):
    """Call a terminal of a query in one of two ways, which must answer alike."""

    async def call(query, terminal, *arguments, **options):
        if request.param == "blocking":
            return getattr(query, terminal)(*arguments, **options)
        return await getattr(query, f"a{terminal}")(*arguments, **options)

    return call


@pytest.fixture
def pipelines(client):
    """The events of all pipelines, with the lower bound that aggregations need."""
    return client.query(object_type="pipeline").where(SINCE)


async def test_count(ask, pipelines, truth):
    """count gives the number of matching events, grouped or not."""
    expected = {"count": truth("SELECT count(*) FROM events WHERE entity = 'pipeline'")}
    assert await ask(pipelines, "count") == expected
    assert await ask(pipelines.group_by("MODEL_ID"), "count") == expected


async def test_events(ask, pipelines, emulator):
    """events gives one page, newest first, with the number of all matching events."""
    page = await ask(pipelines, "events", limit=5, offset=3)
    rows = emulator.truth(
        "SELECT span_id, trace_id, status, object_id FROM events WHERE entity = 'pipeline' "
        "ORDER BY start_time DESC, span_id LIMIT 5 OFFSET 3"
    )
    assert [
        {name: event[name] for name in row} for event, row in zip(page["events"], rows, strict=True)
    ] == rows
    total = (await ask(pipelines, "count"))["count"]
    assert page["pagination_meta"] == {
        "results_per_page": 5,
        "page_number": 1,
        "offset": 3,
        "total_records": total,
    }
    assert await ask(pipelines.group_by("MODEL_ID"), "events", limit=5, offset=3) == page


async def test_page_defaults_come_from_the_query(ask, client):
    """limit and offset of query() are the defaults of the paginated terminals, 50 and 0 theirs."""
    everything = await ask(client.query(), "events")
    assert len(everything["events"]) == 50
    small = client.query(limit=3, offset=2)
    assert (await ask(small, "events"))["events"] == everything["events"][2:5]
    rows = (await ask(small, "table", ["event_id"]))["rows"]
    assert [row["values"]["event_id"] for row in rows] == [
        event["span_id"] for event in everything["events"][2:5]
    ]


async def test_traces(ask, pipelines):
    """traces groups one page of events by trace, in the order in which traces first appear."""
    page = await ask(pipelines, "events", limit=40)
    result = await ask(pipelines, "traces", limit=40)
    order = list(dict.fromkeys(event["trace_id"] for event in page["events"]))
    assert [each["trace_id"] for each in result] == order
    assert sorted(e["span_id"] for each in result for e in each["events"]) == sorted(
        event["span_id"] for event in page["events"]
    )


SCALARS = {
    ("sum", "runs"): f"SELECT count(*) {RUNS}",
    ("sum", "tokens"): f"SELECT sum(tokens) {RUNS}",
    ("sum", "model_costs"): f"SELECT sum(model_costs) {RUNS}",
    ("mean", "latency"): f"SELECT avg(latency) {LATENCIES}",
    ("min", "latency"): f"SELECT min(latency) {LATENCIES}",
    ("max", "latency"): f"SELECT max(latency) {LATENCIES}",
    ("sum", "errors"): f"SELECT count(*) {RUNS} AND status = 'failure'",
    ("count_distinct", "users"): f"SELECT count(DISTINCT user_id) {RUNS}",
}


@pytest.mark.parametrize(("terminal", "field"), SCALARS)
async def test_scalars(ask, pipelines, truth, terminal, field):
    """The scalar aggregations give the database's figures: floats, and an int for count_distinct."""
    result = await ask(pipelines, terminal, field)
    assert result == pytest.approx(truth(SCALARS[terminal, field]))
    assert type(result) is (int if terminal == "count_distinct" else float)
    assert result == await ask(pipelines, terminal, AggregationField(field))


@pytest.mark.parametrize("n", [50, 75, 95, 99])
async def test_percentile(ask, pipelines, truth, n):
    """percentile gives the n-th percentile of a latency."""
    expected = truth(f"SELECT quantile_cont(latency, {n / 100}) {LATENCIES}")
    assert await ask(pipelines, "percentile", "latency", n) == pytest.approx(expected)


@pytest.mark.parametrize("terminal", ["sum", "mean", "min", "max", "count_distinct"])
async def test_nothing_matched(ask, client, terminal):
    """An aggregation of nothing is 0, and of no slices an empty dict."""
    nothing = client.query(object_ids=["pl_none"]).where(SINCE)
    assert await ask(nothing, terminal, "tokens") == 0
    assert await ask(nothing.group_by("MODEL_ID"), terminal, "tokens") == {}


async def test_one_dimension_gives_a_flat_dict(ask, pipelines, emulator):
    """Grouped by one dimension an aggregation is {label: figure}, an unknown value under ""."""
    rows = emulator.truth(
        f"SELECT coalesce(model_id, '') AS label, sum(tokens) AS figure {RUNS} GROUP BY ALL"
    )
    expected = {row["label"]: row["figure"] for row in rows}
    assert len(expected) > 2
    for slices in (GroupBy.MODEL_ID, "model_id", [GroupBy.MODEL_ID], ["MODEL_ID"]):
        assert await ask(pipelines.group_by(slices), "sum", "tokens") == expected


async def test_time_slices(ask, pipelines, emulator):
    """Days are labelled with the start of the bucket in UTC."""
    rows = emulator.truth(
        f"SELECT strftime(date_trunc('day', start_time), '%Y-%m-%dT%H:%M:%SZ') AS label, count(*) AS n {RUNS} GROUP BY ALL"
    )
    for interval in (Interval.DAY, "day"):
        result = await ask(pipelines.group_by(GroupBy.TIME, interval), "sum", "runs")
        assert result == {row["label"]: row["n"] for row in rows}


async def test_several_dimensions_give_nested_buckets(ask, pipelines, emulator):
    """Grouped by two dimensions an aggregation is one bucket per operation, nested per dimension."""
    rows = emulator.truth(
        "SELECT strftime(date_trunc('month', start_time), '%Y-%m-%dT%H:%M:%SZ') AS month, "
        f"coalesce(model_id, '') AS model, sum(tokens) AS n {RUNS} GROUP BY ALL"
    )
    query = pipelines.group_by([GroupBy.TIME, GroupBy.MODEL_ID], Interval.MONTH)
    result = await ask(query, "sum", "tokens")
    [operation] = result["buckets"]
    assert operation["label"] == "tokens_sum"
    assert {
        (month["label"], model["label"]): model["value"]
        for month in operation["nested"]
        for model in month["nested"]
    } == {(row["month"], row["model"]): row["n"] for row in rows}
    assert operation["value"] == sum(row["n"] for row in rows)


async def test_raw_aggregate(ask, pipelines, emulator, truth):
    """Several operations come back in one round trip, in the order asked, members and shorthand alike."""
    members = [
        AggregationOperation(AggregationField.RUNS, AggregationOp.SUM),
        AggregationOperation("latency", Percentile(95)),
        AggregationOperation("users", "count_distinct"),
    ]
    expected = [
        {"label": "runs_sum", "value": truth(f"SELECT count(*) {RUNS}")},
        {
            "label": "latency_percentile_95",
            "value": pytest.approx(truth(f"SELECT quantile_cont(latency, 0.95) {LATENCIES}")),
        },
        {"label": "users_count_distinct", "value": truth(f"SELECT count(DISTINCT user_id) {RUNS}")},
    ]
    emulator.reset_counters()
    assert (await ask(pipelines, "raw_aggregate", members))["buckets"] == expected
    assert emulator.counters()["requests"] == {"aggregations": 1}
    texts = ["runs.sum", "latency.p95", ("users", "COUNT_DISTINCT")]
    assert (await ask(pipelines, "raw_aggregate", texts))["buckets"] == expected


async def test_raw_aggregate_takes_its_own_grouping(ask, pipelines):
    """group_by of raw_aggregate replaces that of the query."""
    own = await ask(pipelines, "raw_aggregate", ["runs.sum"], group_by=["TIME"], interval="DAY")
    grouped = pipelines.group_by("MODEL_ID")
    assert await ask(grouped, "raw_aggregate", ["runs.sum"], group_by="TIME", interval="DAY") == own
    assert await ask(pipelines.group_by("TIME", "DAY"), "raw_aggregate", ["runs.sum"]) == own
    assert own["buckets"][0]["nested"]


async def test_table(ask, pipelines, emulator, truth):
    """table gives the asked columns under the asked labels, and the number of rows when asked."""
    columns = [EventField.EVENT_ID, "status", "LATENCY", EventField.MODEL_ID]
    result = await ask(pipelines, "table", columns, return_record_count=True, limit=4)
    rows = emulator.truth(
        'SELECT span_id AS event_id, status, latency AS "LATENCY", model_id FROM events '
        "WHERE entity = 'pipeline' ORDER BY start_time DESC, span_id LIMIT 4"
    )
    assert [row["values"] for row in result["rows"]] == rows
    assert result["total_records"] == truth("SELECT count(*) FROM events WHERE entity = 'pipeline'")
    assert [column["name"] for column in result["columns"]] == [
        "event_id",
        "status",
        "LATENCY",
        "model_id",
    ]
    plain = await ask(pipelines.group_by("MODEL_ID"), "table", ["status"])
    assert "total_records" not in plain
    assert "interface_data" not in plain["rows"][0]


async def test_table_with_interface_data(ask, client):
    """include_interface_data attaches the run's payload to its row."""
    query = client.query(kinds=[EventKind.CHATBOT_RUN])
    result = await ask(query, "table", ["status"], include_interface_data=True)
    assert any(row.get("interface_data") for row in result["rows"])


@pytest.mark.parametrize("format", [ExportFormat.CSV, "json", "Xlsx"])
async def test_export(ask, pipelines, emulator, format):
    """export starts one server-side export and tells its task; formats may be words."""
    task = await ask(pipelines, "export", format, "runs.out")
    assert task["task_status"] == "pending"
    assert (task["format"], task["file_name"]) == (str(format).upper(), "runs.out")
    assert emulator.counters()["exports_created"] == 1


async def test_export_and_wait(ask, pipelines, emulator):
    """export_and_wait ends with a download URL, on plain and grouped queries."""
    emulator.settings(export_delay=0.0)
    for query in (pipelines, pipelines.group_by("MODEL_ID")):
        task = await ask(query, "export_and_wait", "CSV", "a.csv", timeout=20, poll_interval=0.01)
        assert task["task_status"] == "ready"
        assert task["download_url"]


# --- look-ups ----------------------------------------------------------------------------------


@pytest.fixture(params=["blocking", "awaiting"])
def look_up(request, emulator):
    """Call an entry point of `Analytics`, with the account of the environment."""

    async def call(name, *arguments, **options):
        if request.param == "blocking":
            return getattr(Analytics, name)(*arguments, **options)
        return await getattr(Analytics, f"a{name}")(*arguments, **options)

    return call


async def test_trace(look_up, emulator):
    """trace gives every span of the trace, oldest first, and narrows by ids and kinds exactly."""
    trace_id = emulator.truth(
        "SELECT trace_id FROM events GROUP BY ALL ORDER BY count(*) DESC LIMIT 1"
    )[0]["trace_id"]
    rows = emulator.truth(f"SELECT span_id, span_kind FROM events WHERE trace_id = '{trace_id}'")
    whole = await look_up("trace", trace_id)
    assert whole["trace_id"] == trace_id
    assert sorted(e["span_id"] for e in whole["events"]) == sorted(r["span_id"] for r in rows)
    some = await look_up("trace", trace_id, event_ids=[rows[0]["span_id"]])
    assert [event["span_id"] for event in some["events"]] == [rows[0]["span_id"]]
    entity = rows[0]["span_kind"].partition(".")[0]
    for kinds in ([EventKind(f"{entity}.run")], [f"{entity}.run"]):
        roots = await look_up("trace", trace_id, kinds=kinds)
        assert {event["span_kind"] for event in roots["events"]} == {f"{entity}.run"}
    assert (await look_up("trace", trace_id, kinds=[f"{entity}.all"])) == whole


async def test_event(look_up, emulator):
    """event gives one event by its id, within a trace when one is named."""
    [row] = emulator.truth("SELECT span_id, trace_id FROM events LIMIT 1")
    result = await look_up("event", row["span_id"])
    assert result["span_id"] == row["span_id"]
    assert await look_up("event", row["span_id"], trace_id=row["trace_id"]) == result
    with pytest.raises(AnalyticsNotFound):
        await look_up("event", row["span_id"], trace_id="tr_other")


async def test_run(look_up, emulator):
    """run gives the interface detail under its resource's key, by object or by type and id."""
    [row] = emulator.truth(
        "SELECT object_id, run_id FROM events WHERE span_kind = 'chatbot.run' AND run_id IS NOT NULL LIMIT 1"
    )
    result = await look_up("run", Chatbot(row["object_id"]), run_id=row["run_id"])
    assert list(result) == ["chatbot"]
    by_type = {"object_type": "Chatbot", "object_id": row["object_id"], "run_id": row["run_id"]}
    assert await look_up("run", **by_type) == result


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("trace", ("tr_none",)),
        ("event", ("sp_none",)),
        ("run", (None, "chatbot", "cb_none", "r_none")),
        ("export_task", ("ex_none",)),
    ],
)
async def test_a_missing_thing_is_not_found(look_up, name, arguments):
    """A lookup without a result raises AnalyticsNotFound, whatever HTTP status told it, and says what to do."""
    with pytest.raises(AnalyticsNotFound, match="Check the id"):
        await look_up(name, *arguments)


async def test_export_task(look_up, client):
    """export_task tells the state of an export by its id."""
    created = client.query().export("CSV", "a.csv")
    result = await look_up("export_task", created["task_id"])
    assert result["task_id"] == created["task_id"]
    assert result["task_status"] in ("pending", "ready")


# --- parity ------------------------------------------------------------------------------------


NAMES = {name: getattr(vectorshift.analytics, name) for name in vectorshift.analytics.__all__}
NAMES |= {"Any": Any, "Download": vectorshift.Download, "Progress": Progress, "os": os}
"""What annotations may say that are text."""


def parameters(function):
    """Names, kinds, defaults and types of a function's parameters."""
    types = get_type_hints(function, localns=NAMES)
    return [
        (each.name, each.kind, each.default, types.get(each.name))
        for each in inspect.signature(function).parameters.values()
    ]


@pytest.mark.parametrize("terminal", TERMINALS)
@pytest.mark.parametrize(
    ("plain", "awaiting"), [(Query, AsyncQuery), (_GroupedQuery, _AsyncGroupedQuery)]
)
def test_each_terminal_has_an_equal_twin(plain, awaiting, terminal):
    """`a<terminal>` takes what the terminal takes, and is the terminal of the awaiting query."""
    twin = getattr(plain, f"a{terminal}")
    assert parameters(getattr(plain, terminal)) == parameters(twin)
    assert getattr(awaiting, terminal) is twin
    assert inspect.iscoroutinefunction(twin) or terminal.startswith("iter_")


def test_the_list_of_terminals_is_whole():
    """Whatever runs a request has a twin; whatever has a twin is in the list of terminals."""
    public = {name for name in dir(Query) if not name.startswith("_")}
    assert {name for name in public if f"a{name}" in public} == set(TERMINALS)


def test_a_grouped_query_is_not_refined():
    """Refine before grouping: a grouped query has every terminal, but neither where nor group_by."""
    grouped = Analytics.query().group_by("MODEL_ID")
    assert not hasattr(grouped, "where")
    assert not hasattr(grouped, "group_by")
    assert all(hasattr(grouped, terminal) for terminal in TERMINALS)


VERBS = ["query", "aquery", "trace", "event", "run", "export_task", "download_export"]


@pytest.mark.parametrize("verb", [*VERBS, *(f"a{verb}" for verb in VERBS[2:])])
def test_analytics_and_client_take_the_same(verb):
    """A client has the verbs of Analytics with the same arguments."""
    own = [each for each in parameters(getattr(Client, verb)) if each[0] != "self"]
    assert parameters(getattr(Analytics, verb)) == own


def test_query_takes_no_positional_argument():
    """The arguments of query are keyword-only; Analytics is never instantiated; aquery is not a coroutine."""
    with pytest.raises(TypeError):
        Analytics.query(Chatbot("cb_1"))
    with pytest.raises(TypeError, match="never instantiated"):
        Analytics()
    assert isinstance(Analytics.aquery(), AsyncQuery)
