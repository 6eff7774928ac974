"""Replies that nobody would send, at every terminal: each ends in a value or an error of ours, soon.

`python -m tests.sdk.fuzzing bytes 200000 7` disturbs the bytes of so many replies, of seed 7, and `structures` their parts, the
same number at every terminal; both print what the calls ended in. A failure names its own seed, and `replay(how, seed)` makes the
same call again.
"""

import asyncio
import atexit
import copy
import json
import logging
import random
import sys
import time
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from tests.seeds import search
from vectorshift import Client, Retry, VectorshiftError
from vectorshift._calls import Call, Reply
from vectorshift.analytics import EventField, FieldFilter, GroupBy, Interval

MOST_REQUESTS, MOST_CPU = 50, 1.0
SINCE = FieldFilter.gte(EventField.EVENT_START_TIME, datetime(2026, 1, 1, tzinfo=UTC))
UNTIL = FieldFilter.lt(EventField.EVENT_START_TIME, datetime(2026, 2, 1, tzinfo=UTC))
EVENT = {
    "span_id": "sp_1",
    "trace_id": "tr_1",
    "span_kind": "pipeline.run",
    "span_start_time": "2026-01-05T10:00:00.123Z",
    "spanEndTime": "2026-01-05T10:00:01Z",
    "status": "SUCCESS",
    "latency": "12.5",
    "session_users": ["u"],
    "object_info": {"a": {"b": 1}},
}
EVENTS = {
    "status": "success",
    "events": [EVENT, EVENT | {"span_id": "sp_2"}],
    "pagination_meta": {
        "offset": "0",
        "page_number": 1,
        "results_per_page": 2,
        "total_records": "2",
    },
}
CELLS = [
    {"column_label": "event_id", "string_value": "sp_1"},
    {"columnLabel": "event_start_time", "stringValue": "2026-01-05T10:00:00Z"},
    {"column_label": "status", "string_value": "success"},
    {"column_label": "latency", "number_value": 1.5},
]
VALUES = {
    "event_id": "sp_2",
    "event_start_time": "2026-01-05T10:00:00Z",
    "status": "x",
    "latency": 1,
}
TABLE = {
    "status": "success",
    "rows": [{"cells": CELLS, "interface_data": {"a": 1}}, {"values": VALUES}],
    "columns": [{"column_label": "status", "column_type": "STATUS"}],
    "total_records": 2,
}
LEAVES = {"gpt": {"total_aggregation": 3}, "": {"totalAggregation": "2"}}
SUMS = {
    "status": "success",
    "result": {
        "aggregation_result": {
            "runs_sum": {
                "total_aggregation": 5,
                "nested_result": {
                    "nested_aggregation_map": {
                        "2026-01-01T00:00:00Z": {
                            "total_aggregation": 5,
                            "nested_result": {"nested_aggregation_map": LEAVES},
                        }
                    }
                },
            }
        }
    },
}
FLAT = {
    "status": "success",
    "result": {
        "aggregationResult": {
            "latency_mean": {"totalAggregation": 4, "result": {"aggregationMap": {"2026-01-01": 4}}}
        }
    },
}
TASK = {
    "status": "success",
    "task_id": "ex_1",
    "task_status": "pending",
    "download_url": "",
    "error": "",
    "format": "CSV",
}
RUN = {"status": "success", "result": {"chatbot": {"conversation": [{"role": "user"}]}}}
REPLIES: dict[str, Any] = {
    "/analytics/events/count": {"status": "success", "count": "2"},
    "/analytics/events/search": EVENTS,
    "/analytics/tables": TABLE,
    "/analytics/aggregations": SUMS,
    "/analytics/exports": TASK,
    "/analytics/exports/{task_id}": TASK | {"task_status": "ready", "download_url": "https://f/x"},
    "/analytics/traces/{trace_id}": EVENTS | {"trace_id": "tr_1"},
    "/analytics/events/{event_id}": {"status": "success", "event": EVENT},
    "/analytics/run-data": RUN,
}
_WRITTEN = {template: [json.dumps(reply).encode()] for template, reply in REPLIES.items()}
_WRITTEN["/analytics/aggregations"].append(json.dumps(FLAT).encode())
_AGAIN = "(again)"
"""Before a key that is there twice, until it is written."""
INSERTED = (b"[" * 5000, b'"', b"\\ud800", b"\xff", b"9" * 400, b"9" * 20_000, b"-", b"\x00")
NASTY: list[Any] = [
    None, True, False, 0, -1, -0.0, 1, 2, 2**53 + 1, 2**63, 2**64, 10**30, 1e308, 5e-324, 0.5,
    "", " ", "0", "-1", "NaN", "nan", "-Infinity", "1e999", "1_000", "0x10", "9" * 5000, "1.0", "٣",
    "success", "failed", "FAILED", "TASK_STATUS_FAILED", "\x00", "\udfff", "\U0001f600", "x" * 3000,
    "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-13-01T00:00:00Z",
    "2026-01-05t10:00:00z", "2026-01-05 10:00:00", "2026-02-30T00:00:00Z", "__total__",
    [], {}, [None], [[]], [{}], {"": None}, [1, "a", None], {"message": "no"}, ["a"] * 50,
]  # fmt: skip
Terminal = tuple[str, tuple[Any, ...], dict[str, Any]]
TERMINALS: list[Terminal] = [
    ("count", (), {}),
    ("events", (), {}),
    ("traces", (), {}),
    ("table", (["event_id", "status", "latency"],), {"return_record_count": True}),
    ("iter_events", (2,), {}),
    ("iter_rows", (["status", "event_end_time"],), {"page_size": 2}),
    ("sum", ("runs",), {}),
    ("mean", ("latency",), {}),
    ("min", ("latency",), {}),
    ("max", ("latency",), {}),
    ("count_distinct", ("users",), {}),
    ("percentile", ("latency", 95), {}),
    ("raw_aggregate", (["runs.sum", "latency.mean"],), {}),
    ("raw_aggregate", (["runs.sum"], [GroupBy.TIME, GroupBy.MODEL_ID], Interval.DAY), {}),
    ("raw_aggregate", (["runs.sum"], [GroupBy.MODEL_ID]), {}),
    ("time_precision", (), {}),
    ("export", ("CSV", "x"), {}),
    ("export_and_wait", ("CSV", "x"), {"timeout": 0.01, "poll_interval": 0.001}),
    ("trace", ("tr_1",), {}),
    ("event", ("sp_1",), {}),
    ("run", (), {"object_type": "chatbot", "object_id": "o", "run_id": "r"}),
    ("export_task", ("ex_1",), {}),
]
LOOKUPS = ("trace", "event", "run", "export_task")
PATIENCE = Retry(attempts=2, first_wait=0.0, longest_wait=0.0)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    keys = (
        list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    )
    return [pair for key in keys for pair in [(node, key), *places(node[key])]]


def bytes_of(chance: random.Random, template: str) -> bytes:
    """A reply with a few of its bytes removed, replaced, repeated or added."""
    body = bytearray(chance.choice(_WRITTEN[template]))
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        at, how = chance.randrange(len(body) + 1), chance.randrange(5)
        if how == 0:
            del body[at : at + chance.choice((1, 2, 30))]
        elif how == 1:
            body[at:at] = chance.choice(INSERTED)
        elif how == 2:
            del body[at:]
        elif how == 3 and at < len(body):
            body[at] = chance.choice((chance.randrange(256), chance.choice(b'0179"{}[],:.-eE ntf')))
        else:
            body += body[:at]
    return bytes(body)


def structure_of(chance: random.Random, template: str) -> bytes:
    """A reply with a few of its parts disturbed."""
    return restructured(chance, chance.choice(_WRITTEN[template]))


def restructured(chance: random.Random, text: bytes) -> bytes:
    """JSON with a few parts replaced, removed, moved, repeated, wrapped, renamed, or in another unit."""
    whole = json.loads(text)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        parts = places(whole)
        if not parts:
            break
        holder, key = chance.choice(parts)
        how = chance.randrange(9)
        if how < 3:
            holder[key] = copy.deepcopy(chance.choice(NASTY))
        elif how == 3:
            del holder[key]
        elif how == 4:
            other, its = chance.choice(parts)
            if its in other if isinstance(other, dict) else its < len(other):
                holder[key] = json.loads(json.dumps(other[its]))
        elif how == 5:
            holder[key] = chance.choice(([holder[key]], {str(key): holder[key]}, [[], holder[key]]))
        elif how == 6:
            holder[key] = in_another_unit(chance, holder[key])
        elif isinstance(holder, list):
            holder.extend(copy.deepcopy(holder[key]) for _ in range(chance.choice((1, 3, 40))))
        elif how == 7:
            name = chance.choice(("x", "status", "events", "__total__", str(key).upper()))
            holder[name] = copy.deepcopy(holder[key])
        else:
            holder[_AGAIN + str(key)] = copy.deepcopy(chance.choice((holder[key], *NASTY)))
    return json.dumps(whole).encode().replace(_AGAIN.encode(), b"")


def in_another_unit(chance: random.Random, value: Any) -> Any:
    """A number that is off by one or a power of ten, a time as a number, and anything else as its text."""
    try:
        if isinstance(value, str) and value.startswith("2026-"):
            since = datetime.fromisoformat(value.upper()).timestamp()
            return chance.choice(
                (since, int(since), int(since * 1e3), int(since * 1e9), value[:10])
            )
        number = float(value)
        changed = chance.choice((number * 1e3, number / 1e9, number + 1, number - 1, -number))
        return chance.choice((changed, str(changed), int(changed)))
    except (TypeError, ValueError, OverflowError):
        return str(value)


DISTURBED = {"bytes": bytes_of, "structures": structure_of}


class Liar:
    """A transport whose every reply is disturbed, by a seed; it counts its requests."""

    def __init__(self, how: str, chance: random.Random) -> None:
        self.disturbed = DISTURBED[how]
        self.chance = chance
        self.requests = 0
        self.repeats = chance.random() < 0.5
        self.sent: dict[str, bytes] = {}

    def send(self, call: Call) -> Reply:
        self.requests += 1
        if self.requests > MOST_REQUESTS:
            raise AssertionError(f"more than {MOST_REQUESTS} requests")
        body = self.sent.get(call.template) if self.repeats else None
        if body is None:
            body = self.sent[call.template] = self.disturbed(self.chance, call.template)
        status = self.chance.choice((200,) * 20 + (204, 404, 429, 500))
        return Reply(status, body, now=time.monotonic(), wall=time.time(), key="sk_x")

    async def asend(self, call: Call) -> Reply:
        return self.send(call)

    def close(self) -> None:
        """Nothing is open."""


def replay(how: str, seed: int) -> Any:
    """Make the call of a seed; return its value, or raise what it raises."""
    chance = random.Random(seed)
    name, arguments, options = TERMINALS[seed % len(TERMINALS)]
    liar: Any = Liar(how, chance)
    client = Client("sk_x", "https://api.example/v1", retry=PATIENCE)
    client._open_transport = liar
    owner: Any = client if name in LOOKUPS else client.query().where(SINCE, UNTIL)
    if chance.random() < 0.7:
        result = getattr(owner, name)(*arguments, **options)
        return list(result) if name.startswith("iter_") else result

    async def ask() -> Any:
        result = getattr(owner, f"a{name}")(*arguments, **options)
        return [each async for each in result] if name.startswith("iter_") else await result

    return _loop().run_until_complete(ask())


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One event loop for all calls: making one takes longer than a call."""
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def ended(how: str, seed: int) -> str:
    """What the call of a seed ended in: `value`, or the name of an error of ours. Raises AssertionError for anything else."""
    began = time.process_time()
    try:
        replay(how, seed)
        outcome = "value"
    except VectorshiftError as error:
        outcome = type(error).__name__
        str(error).encode()
    except BaseException as error:
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {str(error)[:200]}") from error
    if (took := time.process_time() - began) > MOST_CPU:
        raise AssertionError(f"seed {seed}: {took:.1f} s of CPU")
    return outcome


if __name__ == "__main__":
    logging.disable()
    HOW, CALLS, FIRST = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sys.exit(search("calls", partial(ended, HOW), CALLS, FIRST) > 0)
