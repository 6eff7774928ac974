"""Chains with exactly one mistake in them, so both clients must name the same one."""

import random

from tests.official.vocabulary import AGGREGATE_ONLY, Chain, call, compare, member

_NAIVE = {"datetime": "2026-01-01T00:00:00"}
_STATUS = member("EventField.STATUS")
_MISTAKEN_WHERE = [
    call("where", compare("EVENT_START_TIME", ">=", _NAIVE)),
    call("where", compare("EVENT_END_TIME", "<", _NAIVE)),
    call("where", event_end_time=_NAIVE),
    *(call("where", compare(field, "==", "x")) for field in AGGREGATE_ONLY),
    call("where", compare("LATENCY", ">", 100)),
    call("where", compare("STATUS", "!=", "failure")),
    call("where", compare("TRACE_ID", "!=", "tr_1")),
    call("where", latency=5),
    call("where", object_id="pl_1"),
    call("where", call("Filter.eq", _STATUS, "failure")),
    call("where", call("Filter.eq", member("EventField.MODEL_ID"), "m")),
    call("where", call("Filter.in_", _STATUS, ["failure"])),
    call("where", call("FilterGroup", [call("FilterGroup", [compare("STATUS", "==", "x")])])),
    call("where", "status"),
    call("where", compare("ERROR_MESSAGE", "matches", "")),
    call("where", call("FieldFilter.eq", member("EventField.TRACE_ID"), "tr_1")),
    call("where", compare("PROJECT_ID", ">", "p")),
]
_MISTAKEN_GROUPING = [
    call("group_by", "day"),
    call("group_by", member("GroupBy.TIME")),
    call("group_by", "time", "fortnight"),
]
_MISTAKEN_TERMINAL = [
    call("events", limit=0),
    call("events", limit=-5, offset=7),
    call("table", columns=["status"], offset=-1),
    call("export", "PDF", "a.pdf"),
    call("export", "CSV", ""),
]
_SINCE = call("where", compare("EVENT_START_TIME", ">=", {"datetime": "2026-01-01T00:00:00+00:00"}))
_RUNS = call("AggregationOperation", "runs", member("AggregationOp.SUM"))
_MISTAKEN_AGGREGATION = [
    [call("sum", "runs")],
    [
        call("where", event_start_time={"datetime": "2026-01-01T00:00:00+00:00"}),
        call("sum", "runs"),
    ],
    [_SINCE, call("where", status="failure"), call("sum", "runs")],
    [_SINCE, call("sum", "bogus")],
    [_SINCE, call("percentile", "tokens", 95)],
    [_SINCE, call("percentile", "latency", 90)],
    [_SINCE, call("raw_aggregate", [])],
    [_SINCE, call("raw_aggregate", [_RUNS], interval="day")],
    [
        _SINCE,
        call("raw_aggregate", [call("AggregationOperation", "latency", call("Percentile", 42))]),
    ],
]


def spoiled(rng: random.Random, chain: Chain) -> Chain:
    """The chain with one mistake in it, or a short chain whose whole point is the mistake."""
    parts = ("where", "group_by", "terminal", "aggregation", "scope")
    part = rng.choices(parts, (8, 2, 2, 3, 1))[0]
    bare = call("Analytics.query")
    if part == "where":
        terminal = call(rng.choice(("count", "events")))
        return {"start": bare, "then": [rng.choice(_MISTAKEN_WHERE), terminal]}
    if part == "group_by":
        return {
            "start": bare,
            "then": [_SINCE, rng.choice(_MISTAKEN_GROUPING), call("sum", "runs")],
        }
    if part == "terminal":
        return {"start": bare, "then": [rng.choice(_MISTAKEN_TERMINAL)]}
    if part == "aggregation":
        return {"start": bare, "then": rng.choice(_MISTAKEN_AGGREGATION)}
    start = chain["start"]
    scope = {**start["kwargs"], "object_ids": ["ob_1", "ob_2"]}
    return {**chain, "start": {**start, "kwargs": scope}}
