"""The wire to the service breaks under every terminal, blocking and awaiting, over every wire: the right value, or a typed error (F1-F4)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.days import LAST_MIDNIGHT
from tests.fault_proxy import Fault, FaultProxy
from tests.sdk.ways import WAYS, way
from vectorshift import (
    ApiConnectionError,
    ApiTimeoutError,
    Client,
    InvalidResponseError,
    Retry,
    VectorshiftApiError,
    VectorshiftError,
)
from vectorshift.analytics import EventField, FieldFilter, GroupBy, Interval

__all__ = ["way"]

DAYS = 2
START, END = LAST_MIDNIGHT - timedelta(days=DAYS), LAST_MIDNIGHT
AT = EventField.EVENT_START_TIME
WINDOW = FieldFilter.gte(AT, START), FieldFilter.lt(AT, END)
PATIENT = Retry(attempts=8, first_wait=0.0)
SETTINGS = {"retry": PATIENT, "timeout": 0.4, "total_timeout": 20}
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
    [run] = service.truth(
        "SELECT span_id, trace_id, object_id, run_id, entity FROM events "
        "WHERE is_run AND entity = 'pipeline' AND run_id IS NOT NULL LIMIT 1"
    )
    with Client(service.api_key, service.base_url) as client:
        task = client.query().where(*WINDOW).export("CSV", "a.csv")
    yield {
        "trace": (run["trace_id"],),
        "event": (run["span_id"],),
        "run": (None, run["entity"], run["object_id"], run["run_id"]),
        "export_task": (task["task_id"],),
    }
    service.reset()


def compared(value):
    """The parts of an answer that are the same whenever it is requested."""
    if isinstance(value, dict):
        new = ("task_id", "download_url")
        return [repr({name: each for name, each in value.items() if name not in new})]
    return [repr(each) for each in value] if isinstance(value, list) else [repr(value)]


async def asked(way, client, terminal, lookups):
    """What a terminal came to over a wire; an error of ours is an outcome."""
    name, *arguments = TERMINALS[terminal]
    owner = client if terminal in lookups else client.query()
    if terminal not in (*lookups, "time_precision"):
        owner = owner.where(*WINDOW)
    ask = getattr(owner, f"a{name}" if way.is_awaiting else name)
    try:
        found = ask(*arguments, *lookups.get(terminal, ()))
        if name.startswith("iter_"):
            return [each async for each in found] if way.is_awaiting else list(found)
        return await found if way.is_awaiting else found
    except VectorshiftError as error:
        return error


class Wires:
    """One terminal over one wire, through a proxy."""

    def __init__(self, way, terminal, service, lookups):
        self.way, self.terminal, self.service, self.lookups = way, terminal, service, lookups
        self.is_create = terminal == "export"

    async def told(self, base_url, *plan):
        """What the terminal came to, and a count over the same client after it."""
        settings = SETTINGS if plan else {"retry": PATIENT}
        if self.terminal != "time_precision":
            settings = settings | {"time_precision": "us"}
        async with Client(self.service.api_key, base_url, **settings) as client:
            for proxy, fault in plan:
                proxy.plan(fault)
            return [
                await asked(self.way, client, each, self.lookups)
                for each in (self.terminal, "count")
            ]

    def through(self, faults, judge, record):
        """Each fault once; `judge(fault, truth, found)` for the call and for the count after it."""

        async def everything(proxy):
            truth = await self.told(self.service.base_url)
            assert not any(isinstance(each, Exception) for each in truth), truth
            for fault in faults:
                found = await self.told(f"{proxy.origin}/v1", (proxy, fault))
                for is_after, pair in enumerate(zip(truth, found, strict=True)):
                    judge(fault, *pair, is_after)

        with FaultProxy.before(self.service.base_url) as proxy, record(proxy) as seen:
            self.seen = seen
            asyncio.run(everything(proxy))


OFTEN = ("count", "events", "iter_rows", "raw_aggregate", "event", "export")
"""The terminals that are tried over every wire; the others over the two that carry nearly everything."""
TOLD = (ApiConnectionError, ApiTimeoutError, InvalidResponseError)


@pytest.fixture
def wires(way, request, service, lookups):
    """The terminal of the test over each wire."""
    return Wires(way, request.node.callspec.params["terminal"], service, lookups)


@pytest.mark.parametrize(
    ("way", "terminal"),
    [
        (name, terminal)
        for name, each in WAYS.items()
        for terminal in TERMINALS
        if each.library != "httpx" or terminal in OFTEN
    ],
    indirect=["way"],
)
def test_a_broken_wire_is_mended_or_told(wires, terminal, record_faults):
    """Whatever breaks once, a call that reads has the right value, and so has the call after it over the same client.

    A create is not sent twice: where nobody knows whether it arrived, it says so. A byte that is another one makes no value.
    """
    once = ("stale", "twice")  # a create leaves no connection

    def judge(fault, truth, found, is_after):
        may_be_told = (
            (fault in SPOILED or (wires.is_create and not is_after))
            or (is_after and fault.kind == "twice")  # whose second answer the next call finds
        )
        if may_be_told and isinstance(found, TOLD):
            return
        wires.seen.compare(compared(truth), compared(found))

    faults = [each for each in (*SAFE, *SPOILED) if not (wires.is_create and each.kind in once)]
    wires.through(faults, judge, record_faults)


@pytest.mark.parametrize("way", ["kept", "kept awaiting"], indirect=True)
@pytest.mark.parametrize("terminal", TERMINALS)
def test_a_refusal_passes_or_is_told_at_once(wires, terminal, record_faults):
    """A read is tried again after what may pass, whatever Retry-After says; what lasts longer than we wait is reported at once."""

    def judge(fault, truth, found, is_after):
        if not is_after and (fault in LASTING or wires.is_create):
            if isinstance(found, (VectorshiftApiError, ApiTimeoutError)):
                return
            assert fault not in LASTING
        wires.seen.compare(compared(truth), compared(found))

    wires.through([*PASSING, *LASTING], judge, record_faults)


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_silence_and_a_trickle_end_with_the_time_of_the_call(
    way, service, lookups, record_faults, record_overshoot
):
    """Neither silence nor a byte every 50 ms outlasts the total time by more than two seconds, wherever it begins."""
    seconds = 0.5

    async def waited(proxy, fault):
        settings = SETTINGS | {"timeout": 60, "total_timeout": seconds}
        async with Client(service.api_key, f"{proxy.origin}/v1", **settings) as client:
            proxy.plan(fault)
            with record_overshoot(seconds):
                return await asked(way, client, "events", lookups)

    with FaultProxy.before(service.base_url) as proxy, record_faults(proxy):
        for kind in ("drip", "hang"):
            for at in (0, 30, 0.5):
                found = asyncio.run(waited(proxy, Fault(kind, at=at, seconds=0.05)))
                assert isinstance(found, ApiTimeoutError)
