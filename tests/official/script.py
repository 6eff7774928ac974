"""The official client's script: calls over every endpoint, each with the SQL that answers it.

A case is one call and one SELECT over the emulator's table `events`; `read` turns the client's
answer and the SELECT's rows into values that must be equal. Every case is run by the blocking
terminal and by its async twin. The readers are in `answers.py`.
"""

from datetime import UTC, datetime

from tests.official.answers import (
    count,
    dialogue,
    event,
    labelled,
    nested,
    number,
    page,
    submission,
    table,
    totals,
    traces,
)
from tests.official.case import (
    BOUNDED,
    EVENT,
    NEWEST,
    P95,
    START,
    STARTED,
    UNTIL,
    WINDOW,
    Case,
    Truth,
    lookup,
    query,
)
from tests.official.vocabulary import Call, Value, call, compare, member, moment


def operation(field: str, op: Value) -> Call:
    """An AggregationOperation; `op` is the name of an AggregationOp or a Percentile."""
    spelled = member(f"AggregationOp.{op}") if isinstance(op, str) else op
    return call("AggregationOperation", field=member(f"AggregationField.{field}"), op=spelled)


def cases(truth: Truth) -> list[Case]:
    """The whole script; ids come out of the data itself."""
    return [
        *counts(truth),
        *pages(),
        *scalars(),
        *groups(),
        *tables(),
        *lookups(truth),
    ]


def counts(truth: Truth) -> list[Case]:
    """POST /analytics/events/count."""
    pipeline = truth(
        "SELECT object_id FROM events WHERE entity = 'pipeline' GROUP BY 1 ORDER BY count(*), 1"
    )[0]["object_id"]
    user = truth("SELECT session_users[1] AS u FROM events WHERE session_users IS NOT NULL LIMIT 1")
    failed = call("where", status="failure")
    group = call(
        "FilterGroup", [compare("SOURCE", "==", "api"), compare("STATUS", "==", "FAILURE")]
    )
    result = [
        (query(call("count")), "true"),
        (query(failed, call("count")), "status = 'failure'"),
        (
            query(call("count"), kinds=[member("EventKind.PIPELINE_ALL")]),
            "entity = 'pipeline'",
        ),
        (
            query(
                call("count"), kinds=[member("EventKind.CHATBOT_RUN"), member("EventKind.FORM_RUN")]
            ),
            "span_kind IN ('chatbot.run', 'form.run')",
        ),
        (query(call("count"), object_ids=[pipeline]), f"object_id = '{pipeline}'"),
        (
            query(failed, call("count"), object={"handle": "Pipeline", "id": pipeline}),
            f"object_id = '{pipeline}' AND status = 'failure'",
        ),
        (query(BOUNDED, failed, call("count")), f"{WINDOW} AND status = 'failure'"),
        (
            query(
                call("where", compare("ERROR_MESSAGE", "matches", "time.*out|quota")), call("count")
            ),
            "regexp_matches(error_message, 'time.*out|quota')",
        ),
        (
            query(
                call("where", compare("INTERFACE_TYPE", "in_", ["form", "voicebot"])), call("count")
            ),
            "interface_type IN ('form', 'voicebot')",
        ),
        (
            query(call("where", compare("EVENT_END_TIME", "<", moment(START))), call("count")),
            "end_time < '2025-12-10'",
        ),
        (
            query(call("where", session_users=user[0]["u"]), call("count")),
            f"list_contains(session_users, '{user[0]['u']}')",
        ),
        (query(call("where", group), call("count")), "source = 'api' AND status = 'failure'"),
    ]
    return [
        Case(chain, f"SELECT count(*) AS n FROM events WHERE {condition}", count)
        for chain, condition in result
    ]


def pages() -> list[Case]:
    """POST /analytics/events/search."""
    either = call(
        "where",
        compare("SOURCE", "==", "twilio"),
        compare("STATUS", "==", "failure"),
        logical_op=member("LogicalOp.OR"),
    )
    select = f"SELECT {EVENT} FROM events WHERE"
    return [
        Case(query(call("events")), f"{select} true {NEWEST} LIMIT 50", page),
        Case(
            query(call("events", limit=7, offset=23)),
            f"{select} true {NEWEST} LIMIT 7 OFFSET 23",
            page,
        ),
        Case(
            query(
                BOUNDED,
                call("where", status="failure"),
                call("events", offset=3),
                kinds=[member("EventKind.PIPELINE_RUN")],
                limit=11,
            ),
            f"{select} {WINDOW} AND status = 'failure' AND span_kind = 'pipeline.run' "
            f"{NEWEST} LIMIT 11 OFFSET 3",
            page,
        ),
        Case(
            query(BOUNDED, either, call("events", limit=30)),
            f"{select} {WINDOW} AND (source = 'twilio' OR status = 'failure') {NEWEST} LIMIT 30",
            page,
        ),
        Case(
            query(BOUNDED, call("traces", limit=40)),
            f"{select} {WINDOW} {NEWEST} LIMIT 40",
            traces,
        ),
    ]


def scalars() -> list[Case]:
    """POST /analytics/aggregations without a group-by, over New Year where that has an answer."""
    whole = [
        (call("sum", member("AggregationField.RUNS")), "count(*) FILTER (is_run)"),
        (call("sum", "tokens"), "sum(tokens)"),
        (call("sum", "errors"), "count(*) FILTER (is_run AND status = 'failure')"),
        (call("min", "latency"), "min(latency)"),
        (call("max", "latency"), "max(latency)"),
    ]
    january = call(
        "where",
        compare("EVENT_START_TIME", ">", moment(datetime(2026, 1, 1, tzinfo=UTC))),
        UNTIL,
    )
    within = [
        (call("mean", "latency"), "avg(latency)"),
        (call("count_distinct", "users"), "count(DISTINCT user_id)"),
        (call("percentile", "latency", 95), "quantile_cont(latency, 0.95)"),
        (call("percentile", "node_latency", 50), "quantile_cont(node_latency, 0.5)"),
    ]
    nobody = query(BOUNDED, call("sum", "tokens"), object_ids=["nobody"])
    return [
        *(
            Case(query(BOUNDED, terminal), f"SELECT {sql} AS n FROM events WHERE {WINDOW}", number)
            for terminal, sql in whole
        ),
        *(
            Case(
                query(january, terminal),
                f"SELECT {sql} AS n FROM events "
                "WHERE start_time BETWEEN '2026-01-01' AND '2026-01-20 12:30'",
                number,
            )
            for terminal, sql in within
        ),
        Case(nobody, "SELECT 0 AS n", number),
    ]


def bucket(interval: str) -> str:
    """The SQL of a TIME label."""
    return f"strftime(date_trunc('{interval}', start_time)::TIMESTAMP, '%Y-%m-%dT%H:%M:%SZ')"


def groups() -> list[Case]:
    """POST /analytics/aggregations with a group-by, flat and nested."""
    flat = [
        (call("group_by", "model_id"), "sum", "tokens", "coalesce(model_id, '')", "sum(tokens)"),
        (
            call("group_by", member("GroupBy.TIME"), member("Interval.DAY")),
            "sum",
            "runs",
            bucket("day"),
            "nullif(count(*) FILTER (is_run), 0)",
        ),
        (call("group_by", "time", "week"), "mean", "latency", bucket("week"), "avg(latency)"),
        (
            call("group_by", ["PIPELINE_ID"]),
            "sum",
            "model_costs",
            "coalesce(pipeline_id, '')",
            "sum(model_costs)",
        ),
        (
            call("group_by", "node_type"),
            "max",
            "node_latency",
            "coalesce(node_type, '')",
            "max(node_latency)",
        ),
        (
            call("group_by", "feedback_type"),
            "sum",
            "feedback",
            "coalesce(feedback_type, '')",
            "nullif(count(feedback_type), 0)",
        ),
    ]
    created = [
        Case(
            query(BOUNDED, group, call(verb, field)),
            f"SELECT * FROM (SELECT {label} AS label, {sql} AS n FROM events WHERE {WINDOW} "
            "GROUP BY 1) WHERE n IS NOT NULL",
            labelled,
        )
        for group, verb, field, label, sql in flat
    ]
    dimensions = f"{bucket('month')} AS first, coalesce(model_id, '') AS second"
    raw = call(
        "raw_aggregate",
        [operation("TOKENS", "SUM"), operation("LATENCY", P95)],
        group_by=[member("GroupBy.TIME")],
        interval=member("Interval.DAY"),
    )
    several = call("raw_aggregate", [operation("RUNS", "SUM"), operation("ERRORS", "SUM")])
    return [
        *created,
        Case(
            query(BOUNDED, call("group_by", ["time", "model_id"], "month"), call("sum", "tokens")),
            f"SELECT 'tokens_sum' AS op, {dimensions}, sum(tokens) AS n FROM events "
            f"WHERE {WINDOW} GROUP BY ALL HAVING n IS NOT NULL",
            nested,
        ),
        Case(
            query(BOUNDED, raw),
            f"SELECT 'tokens_sum' AS op, {bucket('day')} AS first, sum(tokens) AS n FROM events "
            f"WHERE {WINDOW} GROUP BY ALL HAVING n IS NOT NULL UNION ALL "
            f"SELECT 'latency_percentile_95', {bucket('day')}, quantile_cont(latency, 0.95) AS n "
            f"FROM events WHERE {WINDOW} GROUP BY ALL HAVING n IS NOT NULL",
            nested,
        ),
        Case(
            query(BOUNDED, several),
            "SELECT count(*) FILTER (is_run) AS runs_sum, "
            "count(*) FILTER (is_run AND status = 'failure') AS errors_sum "
            f"FROM events WHERE {WINDOW}",
            totals,
        ),
    ]


def tables() -> list[Case]:
    """POST /analytics/tables."""
    fields = ["EVENT_ID", "EVENT_START_TIME", "STATUS", "INTERFACE_NAME", "LATENCY", "MODEL_ID"]
    columns = [member(f"EventField.{field}") for field in fields]
    select = (
        f"SELECT span_id AS event_id, {STARTED} AS event_start_time, status, interface_name, "
        "latency, model_id"
    )
    failed = call("where", status="failure")
    return [
        Case(
            query(failed, call("table", columns, return_record_count=True)),
            f"{select}, count(*) OVER () AS total FROM events WHERE status = 'failure' "
            f"{NEWEST} LIMIT 50",
            table,
        ),
        Case(
            query(BOUNDED, call("table", columns, limit=20, offset=40)),
            f"{select} FROM events WHERE {WINDOW} {NEWEST} LIMIT 20 OFFSET 40",
            table,
        ),
        Case(
            query(call("table", ["source", "caller"], include_interface_data=True, limit=5)),
            f"SELECT source, caller FROM events {NEWEST} LIMIT 5",
            table,
        ),
    ]


def lookups(truth: Truth) -> list[Case]:
    """GET /analytics/traces/{id}, GET /analytics/events/{id} and POST /analytics/run-data."""
    tree = truth(
        "SELECT trace_id FROM events GROUP BY 1 HAVING count(*) > 3 ORDER BY count(*) DESC, 1"
    )[0]["trace_id"]
    ids = truth(f"SELECT span_id, entity FROM events WHERE trace_id = '{tree}' ORDER BY 1")
    span = ids[1]["span_id"]
    select = f"SELECT {EVENT} FROM events WHERE trace_id = '{tree}'"
    oldest = "ORDER BY start_time, parent_span_id IS NOT NULL, span_id"
    return [
        Case(lookup("trace", tree), f"{select} {oldest}", page),
        Case(
            lookup("trace", tree, event_ids=[span, ids[0]["span_id"]]),
            f"{select} AND span_id IN ('{span}', '{ids[0]['span_id']}') {oldest}",
            page,
        ),
        Case(
            lookup("trace", tree, kinds=[member(f"EventKind.{ids[0]['entity'].upper()}_ALL")]),
            f"{select} AND entity = '{ids[0]['entity']}' {oldest}",
            page,
        ),
        Case(lookup("event", span), f"{select} AND span_id = '{span}'", event),
        Case(lookup("event", span, trace_id=tree), f"{select} AND span_id = '{span}'", event),
        *(conversation(truth, entity) for entity in ("chatbot", "search", "voicebot")),
        form(truth),
    ]


def longest_run(truth: Truth, entity: str) -> tuple[str, str]:
    """The object and run identifiers of the run with the most rows that hold interface data."""
    result = truth(
        "SELECT object_id, run_id FROM events WHERE interface_data IS NOT NULL "
        f"AND entity = '{entity}' GROUP BY ALL ORDER BY count(*) DESC, 1, 2 LIMIT 1"
    )[0]
    return result["object_id"], result["run_id"]


def conversation(truth: Truth, entity: str) -> Case:
    """The run data of a conversation."""
    identity, run_id = longest_run(truth, entity)
    return Case(
        lookup("run", object_type=entity, object_id=identity, run_id=run_id),
        f"SELECT '{entity}' AS key, interface_data->>'input' AS user, "
        "interface_data->>'output' AS assistant FROM events "
        f"WHERE run_id = '{run_id}' AND object_id = '{identity}' AND interface_data IS NOT NULL "
        "ORDER BY start_time, parent_span_id IS NOT NULL, span_id",
        dialogue,
    )


def form(truth: Truth) -> Case:
    """The run data of a submitted form, requested with a user's own object."""
    identity, run_id = longest_run(truth, "form")
    return Case(
        lookup("run", object={"duck": "Form", "id": identity}, run_id=run_id),
        "SELECT interface_data->>'input' AS input, interface_data->>'output' AS output "
        f"FROM events WHERE run_id = '{run_id}' AND interface_data IS NOT NULL",
        submission,
    )
