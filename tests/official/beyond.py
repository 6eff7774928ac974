"""What only our client can ask: every deviation that sends something, with the SQL that answers it."""

from datetime import UTC, datetime

from tests.official.answers import count, labelled, number, page, table
from tests.official.case import (
    BOUNDED,
    NEWEST,
    SINCE,
    STARTED,
    UNTIL,
    WINDOW,
    Case,
    Truth,
    lookup,
    query,
)
from tests.official.vocabulary import Chain, call, compare, member, moment

EITHER = call(
    "where",
    compare("SOURCE", "==", "api"),
    compare("STATUS", "==", "failure"),
    compare("INTERFACE_TYPE", "==", "form"),
    logical_op=member("LogicalOp.OR"),
)
IS_EITHER = "(source = 'api' OR status = 'failure' OR interface_type = 'form')"


def cases(truth: Truth) -> list[Case]:
    """Calls whose requests deviate from the official client's."""
    return [*counts(truth), *aggregations(truth), *rows(truth)]


def counts(truth: Truth) -> list[Case]:
    """Counts by scope, by type and by alternatives."""
    one, two = truth("SELECT DISTINCT trace_id FROM events ORDER BY 1 LIMIT 2")
    first, second = one["trace_id"], two["trace_id"]
    failed = call("where", status="failure")
    result: list[tuple[Chain, str]] = [
        (query(call("count"), object_type="pipeline"), "entity = 'pipeline'"),
        (
            query(failed, call("count"), object_type="Form"),
            "entity = 'form' AND status = 'failure'",
        ),
        (query(call("where", trace_id=first), call("count")), f"trace_id = '{first}'"),
        (
            query(call("where", compare("TRACE_ID", "in_", [first, second])), call("count")),
            f"trace_id IN ('{first}', '{second}')",
        ),
        (
            query(call("where", compare("SESSION_COLLECTION", "==", "sales")), call("count")),
            "session_collection = 'sales'",
        ),
        (query(EITHER, call("count")), IS_EITHER),
        (
            query(BOUNDED, EITHER, call("where", source="web"), call("count")),
            f"{WINDOW} AND source = 'web' AND {IS_EITHER}",
        ),
        (
            query(
                call(
                    "where",
                    compare("SOURCE", "==", "api"),
                    compare("SOURCE", "in_", ["slack", "twilio"]),
                    logical_op="or",
                ),
                failed,
                call("count"),
            ),
            "source IN ('api', 'slack', 'twilio') AND status = 'failure'",
        ),
    ]
    return [
        Case(chain, f"SELECT count(*) AS n FROM events WHERE {condition}", count)
        for chain, condition in result
    ]


def aggregations(truth: Truth) -> list[Case]:
    """Several bounds, one scope filter, one label."""
    owner = truth("SELECT project_id FROM events GROUP BY 1 ORDER BY count(*) DESC, 1")[0][
        "project_id"
    ]
    later = compare("EVENT_START_TIME", ">=", moment(datetime(2026, 1, 5, tzinfo=UTC)))
    pipeline = truth("SELECT object_id FROM events WHERE entity = 'pipeline' ORDER BY 1")[0]
    one = pipeline["object_id"]  # which executes one pipeline, itself: one label
    return [
        Case(
            query(BOUNDED, call("where", later), call("sum", "runs")),
            "SELECT count(*) FILTER (is_run) AS n FROM events "
            "WHERE start_time BETWEEN '2026-01-05' AND '2026-01-20 12:30'",
            number,
        ),
        Case(
            query(
                BOUNDED, call("where", compare("PROJECT_ID", "==", owner)), call("sum", "tokens")
            ),
            f"SELECT sum(tokens) AS n FROM events WHERE {WINDOW} AND project_id = '{owner}'",
            number,
        ),
        Case(
            query(
                BOUNDED,
                call("group_by", "pipeline_id"),
                call("sum", "runs"),
                object_ids=[one],
            ),
            "SELECT coalesce(pipeline_id, '') AS label, count(*) FILTER (is_run) AS n FROM events "
            f"WHERE {WINDOW} AND object_id = '{one}' GROUP BY 1 HAVING n > 0",
            labelled,
        ),
    ]


def rows(truth: Truth) -> list[Case]:
    """A ragged table page, alternatives on a search, and a trace narrowed to one kind."""
    tree = truth(
        "SELECT trace_id FROM events GROUP BY 1 HAVING count(*) > 3 ORDER BY count(*) DESC, 1"
    )[0]["trace_id"]
    return [
        Case(
            query(
                call(
                    "table",
                    [member("EventField.EVENT_ID"), "event_start_time"],
                    limit=20,
                    offset=33,
                )
            ),
            f"SELECT span_id AS event_id, {STARTED} AS event_start_time FROM events {NEWEST} "
            "LIMIT 20 OFFSET 33",
            table,
        ),
        Case(
            query(call("where", SINCE), EITHER, call("where", UNTIL), call("events", limit=40)),
            f'SELECT span_id AS "spanId" FROM events WHERE {WINDOW} AND {IS_EITHER} '
            f"{NEWEST} LIMIT 40",
            page,
        ),
        Case(
            lookup("trace", tree, kinds=["pipeline.run"]),
            f"SELECT span_id AS \"spanId\" FROM events WHERE trace_id = '{tree}' "
            "AND span_kind = 'pipeline.run'",
            page,
        ),
    ]
