"""Random query chains from a seed, over the whole public surface, as data for `interpreter`.

Most chains are valid; `mistakes.py` spoils some of the others.
"""

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.official.mistakes import spoiled
from tests.official.vocabulary import (
    AGGREGATE_ONLY,
    AGGREGATIONS,
    ALIASES,
    ALL_KINDS,
    DIMENSIONS,
    DUCKS,
    HANDLES,
    INTERVALS,
    KINDS,
    MEASURES,
    OFFSETS,
    SCALARS,
    SCOPE_ALIASES,
    SCOPE_FIELDS,
    TEXT_FIELDS,
    TIME_FIELDS,
    WORDS,
    Call,
    Chain,
    Value,
    call,
    compare,
    member,
    moment,
)


def chains(seed: int, number: int) -> list[Chain]:
    """The first `number` chains of a seed; a chain's key carries its index to the recorder."""
    rng = random.Random(seed)
    created = [_chain(rng) for _ in range(number)]
    return [{"key": f"sk_{index}", **chain} for index, chain in enumerate(created)]


def _chain(rng: random.Random) -> Chain:
    shape = _weighted(rng, {_query: 84, _trace: 5, _event: 5, _run: 6})
    return shape(rng)


def _weighted(rng: random.Random, weights: dict[Any, int]) -> Any:
    return rng.choices(list(weights), list(weights.values()))[0]


def _maybe(rng: random.Random, chance: float) -> bool:
    return rng.random() < chance


def _id(rng: random.Random, prefix: str, odd: float = 0.04) -> str:
    """An id, now and then one whose characters mean something in a URL."""
    strange = rng.choice(("a/b?c=1#d", "Ü 1", "50%", "a+b&c", "x%2fy"))
    return strange if _maybe(rng, odd) else f"{prefix}_{rng.randrange(1000)}"


# --- lookups ---


def _trace(rng: random.Random) -> Chain:
    kwargs: dict[str, Value] = {}
    if _maybe(rng, 0.5):
        kwargs["event_ids"] = [_id(rng, "sp") for _ in range(rng.randint(0, 3))]
    if _maybe(rng, 0.5):
        kwargs["kinds"] = _kinds(rng)
    return _start(rng, "trace", _id(rng, "tr", 0.2), **kwargs)


def _event(rng: random.Random) -> Chain:
    kwargs = {"trace_id": _id(rng, "tr")} if _maybe(rng, 0.5) else {}
    return _start(rng, "event", _id(rng, "sp", 0.2), **kwargs)


def _run(rng: random.Random) -> Chain:
    texts = ["pipeline", "Chatbot", "FORM", "search", "voicebot", "agent", "session", "portal"]
    whose = _weighted(rng, {"handle": 4, "duck": 2, "words": 5, "nobody": 1})
    kwargs: dict[str, Value] = {
        "handle": lambda: {"object": _handle(rng)},
        "duck": lambda: {"object": _duck(rng)},
        "words": lambda: {"object_type": rng.choice(texts), "object_id": _id(rng, "ob")},
        "nobody": lambda: {"object_type": rng.choice(texts)},
    }[whose]()
    if _maybe(rng, 0.95):
        kwargs["run_id"] = _id(rng, "run")
    return _start(rng, "run", **kwargs)


def _start(rng: random.Random, name: str, *args: Value, **kwargs: Value) -> Chain:
    twin = f"a{name}" if _maybe(rng, 0.4) else name
    return {"start": call(f"Analytics.{twin}", *args, **kwargs), "then": []}


# --- queries ---


def _query(rng: random.Random) -> Chain:
    terminal, kwargs = _terminal(rng)
    aggregates = terminal in AGGREGATIONS
    asynchronous = _maybe(rng, 0.4)
    # `aquery()` and `query()` differ in what a plain terminal does; its `a` twin is async on both.
    start = "aquery" if asynchronous and _maybe(rng, 0.5) else "query"
    then = _where_calls(rng, aggregates)
    if _maybe(rng, 0.35 if aggregates else 0.05):
        then.append(_group_by(rng))
    chain = {
        "start": call(f"Analytics.{start}", **_scope(rng)),
        "then": [*then, call(f"a{terminal}" if asynchronous else terminal, **kwargs)],
    }
    return spoiled(rng, chain) if _maybe(rng, 0.1) else chain


def _scope(rng: random.Random) -> dict[str, Value]:
    identity = _id(rng, "ob")
    whose = {
        "all": {},
        "ids": {"object_ids": [identity]},
        "number": {"object_ids": [rng.randrange(10_000)]},
        "handle": {"object": _handle(rng)},
        "list": {"object": [_handle(rng)]},
        "duck": {"object": _duck(rng)},
        "twice": {"object": {"handle": "Pipeline", "id": identity}, "object_ids": [identity]},
        "type": {"object_type": rng.choice([*KINDS, "Chatbot", "agent"])},
        "type and id": {"object_type": rng.choice(list(KINDS)), "object_ids": [identity]},
    }
    weights = dict(zip(whose, (43, 14, 1, 14, 3, 5, 2, 4, 3), strict=True))
    scope: dict[str, Value] = dict(whose[_weighted(rng, weights)])
    if _maybe(rng, 0.3):
        scope["kinds"] = _kinds(rng)
    if scope.get("object_type") in KINDS and _maybe(rng, 0.3):
        entity = scope["object_type"]
        scope["kinds"] = [member(f"EventKind.{entity.upper()}_{KINDS[entity].split()[-1]}")]
    if _maybe(rng, 0.02):
        scope["kinds"] = ["pipeline.run", "CHATBOT_RUN"]
    if _maybe(rng, 0.2):
        scope["limit"] = rng.choice((1, 2, 10, 50, 500))
    if _maybe(rng, 0.15):
        scope["offset"] = _offset(rng, scope.get("limit", 50))
    return scope


def _kinds(rng: random.Random) -> list[Value]:
    return [member(f"EventKind.{k}") for k in rng.choices(ALL_KINDS, k=rng.choice((0, 1, 1, 2, 3)))]


def _handle(rng: random.Random) -> Value:
    return {"handle": rng.choice(HANDLES), "id": _id(rng, "ob")}


def _duck(rng: random.Random) -> Value:
    return {"duck": rng.choice(DUCKS), "id": _id(rng, "ob")}


def _offset(rng: random.Random, limit: int) -> int:
    """Mostly whole pages, sometimes a ragged start."""
    return limit * rng.randrange(5) + (rng.randrange(limit) if _maybe(rng, 0.25) else 0)


def _terminal(rng: random.Random) -> tuple[str, dict[str, Value]]:
    make = _weighted(
        rng,
        {_bare: 14, _page: 24, _table: 14, _export: 12, _scalar: 20, _percentile: 6, _raw: 14},
    )
    return make(rng)


def _bare(_: random.Random) -> tuple[str, dict[str, Value]]:
    return "count", {}


def _page(rng: random.Random) -> tuple[str, dict[str, Value]]:
    return rng.choice(("events", "events", "traces")), _paging(rng)


def _paging(rng: random.Random) -> dict[str, Value]:
    paging: dict[str, Value] = {}
    if _maybe(rng, 0.4):
        paging["limit"] = rng.choice((1, 7, 25, 50, 1000))
    if _maybe(rng, 0.3):
        paging["offset"] = _offset(rng, paging.get("limit", 50))
    return paging


def _table(rng: random.Random) -> tuple[str, dict[str, Value]]:
    fields = [member(f"EventField.{f}") for f in (*SCOPE_FIELDS, *TEXT_FIELDS, *AGGREGATE_ONLY)]
    kwargs: dict[str, Value] = {"columns": rng.sample(fields, rng.randint(1, 4)), **_paging(rng)}
    if _maybe(rng, 0.3):
        kwargs["columns"].append(rng.choice(("Status", "span_start_time", "object_id")))
    for flag in ("include_interface_data", "return_record_count"):
        if _maybe(rng, 0.3):
            kwargs[flag] = _maybe(rng, 0.7)
    return "table", kwargs


def _export(rng: random.Random) -> tuple[str, dict[str, Value]]:
    extension = rng.choice(("CSV", "JSON", "XLSX"))
    spelled = member(f"ExportFormat.{extension}") if _maybe(rng, 0.6) else extension.lower()
    kwargs = {"format": spelled, "file_name": rng.choice(("failures.csv", "Ü.json", "a b.xlsx"))}
    if _maybe(rng, 0.4):
        if _maybe(rng, 0.2):
            kwargs |= {"timeout": 5, "poll_interval": 0.5}
        return "export_and_wait", kwargs
    return "export", kwargs


def _scalar(rng: random.Random) -> tuple[str, dict[str, Value]]:
    return rng.choice(SCALARS), {"field": _measure(rng, MEASURES)}


def _measure(rng: random.Random, of: list[str]) -> Value:
    name = rng.choice(of)
    return rng.choice((member(f"AggregationField.{name.upper()}"), name, name.upper()))


def _percentile(rng: random.Random) -> tuple[str, dict[str, Value]]:
    field = _measure(rng, ["latency", "node_latency"])
    return "percentile", {"field": field, "n": rng.choice((50, 75, 95, 99))}


def _raw(rng: random.Random) -> tuple[str, dict[str, Value]]:
    kwargs: dict[str, Value] = {"operations": [_operation(rng) for _ in range(rng.randint(1, 4))]}
    if _maybe(rng, 0.5):
        kwargs["group_by"] = _dimensions(rng, rng.randint(0, 3))
        kwargs["interval"] = _interval(rng)
    return "raw_aggregate", kwargs


def _operation(rng: random.Random) -> Call:
    if _maybe(rng, 0.3):
        field, op = _measure(rng, ["latency", "node_latency"]), call("Percentile", 95)
    else:
        name = rng.choice(SCALARS)
        op = name if _maybe(rng, 0.05) else member(f"AggregationOp.{name.upper()}")
        field = _measure(rng, MEASURES)
    return call("AggregationOperation", field=field, op=op)


def _group_by(rng: random.Random) -> Call:
    dimensions = _dimensions(rng, rng.choice((1, 1, 2, 3)))
    slices = dimensions[0] if len(dimensions) == 1 and _maybe(rng, 0.6) else dimensions
    needed = any(str(d).upper().find("TIME") >= 0 for d in dimensions)
    interval = [_interval(rng)] if needed or _maybe(rng, 0.1) else []
    return call("group_by", slices, *interval)


def _dimensions(rng: random.Random, number: int) -> list[Value]:
    return [
        rng.choice((member(f"GroupBy.{d}"), d, d.lower())) for d in rng.sample(DIMENSIONS, number)
    ]


def _interval(rng: random.Random) -> Value:
    name = rng.choice(INTERVALS)
    return rng.choice((member(f"Interval.{name}"), name.lower()))


# --- filters ---


def _where_calls(rng: random.Random, aggregates: bool) -> list[Call]:
    calls = []
    if not aggregates and _maybe(rng, 0.1):
        lone = call("where", _or_group(rng))
        return [lone, call("where", *_bounds(rng))] if _maybe(rng, 0.5) else [lone]
    if aggregates or _maybe(rng, 0.5):
        calls.append(call("where", *_bounds(rng)))
    for _ in range(int(_maybe(rng, 0.1)) if aggregates else rng.choice((0, 1, 1, 2))):
        calls.append(_scope_where(rng) if aggregates else _where(rng))
    rng.shuffle(calls)
    return calls


def _bounds(rng: random.Random) -> list[Value]:
    start = _moment(rng)
    bounds = [_test(rng, "EVENT_START_TIME", rng.choice((">", ">=")), moment(start))]
    if _maybe(rng, 0.7):
        length = timedelta(hours=rng.choice((1, 24, 168, 1000, 9000)))
        bounds.append(
            _test(rng, "EVENT_START_TIME", rng.choice(("<", "<=")), moment(start + length))
        )
    if _maybe(rng, 0.15):
        third = _moment(rng) if _maybe(rng, 0.1) else start + timedelta(minutes=30)
        bounds.append(_test(rng, "EVENT_START_TIME", rng.choice((">=", "<")), moment(third)))
    rng.shuffle(bounds)
    return bounds


def _moment(rng: random.Random) -> datetime:
    at = datetime(2025, 10, 1, tzinfo=UTC) + timedelta(hours=rng.randrange(6000))
    at += timedelta(microseconds=rng.choice((0, 0, 0, 250_000, 123_456, 1)))
    return at.astimezone(timezone(timedelta(minutes=rng.choice(OFFSETS))))


def _where(rng: random.Random) -> Call:
    """Positional filters, keyword filters and a logical operator, mixed."""
    filters = [_data_filter(rng) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    kwargs = {
        alias: _text(rng, alias.upper()) for alias in rng.sample(ALIASES, rng.choice((0, 0, 1, 2)))
    }
    if _maybe(rng, 0.05):
        filters.append(_scope_filter(rng))
    if _maybe(rng, 0.03):
        kwargs[rng.choice(SCOPE_ALIASES)] = _id(rng, "ob")
    if _maybe(rng, 0.06):
        kwargs["event_start_time"] = moment(_moment(rng))
    if _maybe(rng, 0.08):
        filters.append(call("FilterGroup", [_data_filter(rng) for _ in range(rng.randint(1, 3))]))
    if _maybe(rng, 0.08):
        filters.append(_or_group(rng))
    created = call("where", *filters, **kwargs)
    if not any(f.get("call") == "FilterGroup" for f in filters) and _maybe(rng, 0.12):
        created["kwargs"]["logical_op"] = rng.choice(
            (member("LogicalOp.OR"), member("LogicalOp.OR"), member("LogicalOp.AND"), "or")
        )
    return created


def _or_group(rng: random.Random) -> Call:
    number = rng.choice((1, 2, 2, 3, 3, 5))
    if _maybe(rng, 0.4):
        field = rng.choice(TEXT_FIELDS)
        terms = [_test(rng, field, "==", _text(rng, field)) for _ in range(number)]
    else:
        terms = [_data_filter(rng) for _ in range(number)]
    return call("FilterGroup", terms, op=member("LogicalOp.OR"))


def _scope_where(rng: random.Random) -> Call:
    if _maybe(rng, 0.3):
        return call("where", **{rng.choice(SCOPE_ALIASES): _id(rng, "ob")})
    return call("where", _scope_filter(rng))


def _data_filter(rng: random.Random) -> Value:
    kind = _weighted(rng, {"equal": 50, "time": 14, "order": 6, "matches": 14, "includes": 16})
    field = rng.choice(TEXT_FIELDS)
    if kind == "equal":
        return _test(rng, field, "==", _operand(rng, field))
    if kind == "time":
        sign = rng.choice(("==", ">", ">=", "<", "<="))
        return _test(rng, rng.choice(TIME_FIELDS), sign, moment(_moment(rng)))
    if kind == "order":
        return _test(rng, field, rng.choice((">", ">=", "<", "<=")), _operand(rng, field))
    if kind == "matches":
        return _test(rng, field, "matches", rng.choice(WORDS))
    values = [_operand(rng, field) for _ in range(rng.randint(1, 3))]
    return _test(rng, field, rng.choice(("in_", "includes")), values)


def _scope_filter(rng: random.Random) -> Value:
    field = rng.choice(SCOPE_FIELDS)
    if _maybe(rng, 0.25):
        values = [f"id_{rng.randrange(1000)}" for _ in range(rng.randint(1, 3))]
        return _test(rng, field, "in_", values)
    return _test(rng, field, "==", _id(rng, "ob"))


# One comparison in either of its two spellings.
_METHODS = {
    "==": "eq",
    ">": "gt",
    ">=": "gte",
    "<": "lt",
    "<=": "lte",
    "matches": "matches",
    "includes": "includes",
}


def _test(rng: random.Random, field: str, operator: str, value: Value) -> Value:
    if _maybe(rng, 0.6):
        return compare(field, operator, value)
    if field in SCOPE_FIELDS:
        return call(f"Filter.{_METHODS.get(operator, 'in_')}", member(f"EventField.{field}"), value)
    method = _METHODS.get(operator, "includes")
    return call(f"FieldFilter.{method}", member(f"EventField.{field}"), value)


def _text(rng: random.Random, field: str) -> Value:
    if field == "STATUS":
        existing = (member("EventStatus.FAILURE"), "failure", "SUCCESS", "in_progress")
        return "broken" if _maybe(rng, 0.02) else rng.choice(existing)
    return rng.choice(WORDS)


def _operand(rng: random.Random, field: str) -> Value:
    numbers = (True, False, 0, -7, 2**53 + 1, 1.0, 0.1, 1e-9)
    return rng.choice(numbers) if field != "STATUS" and _maybe(rng, 0.15) else _text(rng, field)
