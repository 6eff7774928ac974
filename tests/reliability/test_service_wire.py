"""The wire to the service breaks under every terminal, blocking and awaiting, over every wire: the right value, or a typed error (F1-F4)."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import timedelta

import pytest

from tests.days import LAST_MIDNIGHT
from tests.fault_proxy import Fault, FaultProxy
from tests.sdk.ways import way
from vectorshift import (
    ApiConnectionError,
    ApiTimeoutError,
    Client,
    InternalServerError,
    InvalidResponseError,
    RateLimitError,
    Retry,
    VectorshiftError,
)
from vectorshift.analytics import EventField, FieldFilter, GroupBy, Interval

__all__ = ["way"]

DAYS = 2
START, END = LAST_MIDNIGHT - timedelta(days=DAYS), LAST_MIDNIGHT
AT = EventField.EVENT_START_TIME
WINDOW = FieldFilter.gte(AT, START), FieldFilter.lt(AT, END)
PATIENT = Retry(attempts=8, first_wait=0.0)
SETTINGS = {"retry": PATIENT, "timeout": 0.4, "total_timeout": 20, "time_precision": "us"}
TERMINALS = {
    "count": ("count",),
    "events": ("events",),
    "traces": ("traces",),
    "table": ("table", ["event_id", "status", "latency"]),
    "iter_events": ("iter_events", 400),
    "iter_rows": ("iter_rows", ["event_id", "status"], 400),
    "sum": ("sum", "runs"),
    "mean": ("mean", "latency"),
    "min": ("min", "latency"),
    "max": ("max", "latency"),
    "count_distinct": ("count_distinct", "users"),
    "percentile": ("percentile", "latency", 95),
    "raw_aggregate": ("raw_aggregate", ["runs.sum"], [GroupBy.TIME], Interval.DAY),
    "time_precision": ("time_precision",),
    "trace": ("trace",),
    "event": ("event",),
    "run": ("run",),
    "export_task": ("export_task",),
    "export": ("export", "CSV", "a.csv"),
}
SAFE = [
    Fault("refused"),
    Fault("lost request"),
    Fault("lost reply"),
    Fault("unanswered"),
    Fault("reset", at=9),
    Fault("reset", at=0.9),
    Fault("cut", at=0),
    Fault("cut", at=0.5),
    Fault("cut", at=1.0),
    Fault("hang", at=0.5),
    Fault("late"),
    Fault("slow", seconds=0.001),
    Fault("stale"),
    Fault("twice"),
]
"""After each of these a call that only reads has the right value."""
SPOILED = [Fault("corrupt", at=place) for place in (9, 40, 0.4, 0.6, 0.8, 0.99)]
"""After each of these a call has the right value, or says that it has none."""
PAGE = b"<html><body>502 Bad Gateway</body></html>"


def refusal(status, after=None):
    """A complete answer that refuses, and ends its connection."""
    field = b"" if after is None else b"Retry-After: %b\r\n" % after.encode()
    return Fault(
        "answered",
        reply=b"HTTP/1.1 %d No\r\n%bConnection: close\r\nContent-Length: %d\r\n\r\n%b"
        % (status, field, len(PAGE), PAGE),
    )


PASSING = [
    *(refusal(status) for status in (408, 429, 500, 502, 503, 504)),
    *(
        refusal(429, after)
        for after in (
            *("0", "-1", "NaN", "1e308", "soon", "Fri, 31 Dec 1999 23:59:59 GMT"),
            "Fri, 31 Dec 100000 23:59:59 GMT",
        )
    ),
]
"""After each of these a call that only reads has the right value, at once."""
LASTING = [refusal(429, "3600"), refusal(503, "Fri, 31 Dec 2100 23:59:59 GMT")]
"""Each of these says that there is nothing to wait for here."""


@pytest.fixture(scope="module")
def lookups(service):
    """What lookups by id ask for."""
    service.settings(export_mode="sync")
    [event] = service.truth("SELECT span_id, trace_id FROM events WHERE is_run LIMIT 1")
    with Client(service.api_key, service.base_url) as client:
        found = client.query().events(limit=1)["events"][0]
        task = client.query().where(*WINDOW).export("CSV", "a.csv")
    run = {"object_type": "pipeline", "object_id": "pl_1", "run_id": "r"}
    del found
    yield {
        "trace": (event["trace_id"],),
        "event": (event["span_id"],),
        "run": run,
        "export_task": (task["task_id"],),
    }
    service.reset()


def outcome(problem_or_value):
    """A value that can be compared: without what is new in each answer."""
    if isinstance(problem_or_value, dict):
        new = ("task_id", "download_url")
        return {name: value for name, value in problem_or_value.items() if name not in new}
    return problem_or_value


async def asked(way, client, terminal, lookups):
    """The outcome of a terminal over a wire; errors are outcomes."""
    name, *arguments = TERMINALS[terminal]
    options = {}
    if terminal in lookups:
        owner = client
        more = lookups[terminal]
        arguments, options = ([], more) if isinstance(more, dict) else (more, {})
    else:
        owner = client.query() if name == "time_precision" else client.query().where(*WINDOW)
    try:
        if not way.is_awaiting:
            found = getattr(owner, name)(*arguments, **options)
            return list(found) if name.startswith("iter_") else outcome(found)
        found = getattr(owner, f"a{name}")(*arguments, **options)
        if name.startswith("iter_"):
            return [each async for each in found]
        return outcome(await found)
    except VectorshiftError as error:
        return error


def rows_of(value):
    """The parts of an answer, to be compared one by one."""
    return [repr(each) for each in value] if isinstance(value, list) else [repr(value)]


@pytest.mark.parametrize("terminal", TERMINALS)
def test_a_broken_wire_is_mended_or_told(way, terminal, service, lookups, record_faults):
    """Whatever breaks once, a call that reads has the right value, and so has the call after it over the same client."""
    is_create = terminal == "export"
    faults = [fault for fault in SAFE if not (is_create and fault.kind in ("stale", "twice"))]

    async def everything(proxy, seen):
        direct = Client(service.api_key, service.base_url, time_precision="us")
        async with direct:
            truth = await asked(way, direct, terminal, lookups)
            count = await asked(way, direct, "count", lookups)
        assert not isinstance(truth, Exception) or terminal == "run", truth
        for fault in (*faults, *SPOILED):
            client = Client(
                service.api_key, f"{proxy.origin}/v1", **SETTINGS
            )
            async with client:
                proxy.plan(fault)
                found = await asked(way, client, terminal, lookups)
                after = await asked(way, client, "count", lookups)
            is_told = isinstance(found, VectorshiftError) and (
                (is_create or fault in SPOILED)
                and isinstance(found, (ApiConnectionError, ApiTimeoutError, InvalidResponseError))
            )
            print(fault, repr(found)[:300]) if is_told or repr(found)!=repr(truth) else None
            if not is_told:
                seen.compare(rows_of(truth), rows_of(found))
            if fault not in SPOILED:
                seen.compare(rows_of(count), rows_of(after))

    with FaultProxy(int(service.base_url.split(":")[2].split("/")[0])) as proxy, record_faults(proxy) as seen:
        asyncio.run(everything(proxy, seen))
