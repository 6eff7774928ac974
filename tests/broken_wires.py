"""What goes wrong on the wire under an operator or an asset: each of its exchanges is spoiled once, all in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tests.fault_proxy import Fault
from vectorshift import Retry, VectorshiftError

CREATE, POLL, COUNT, FILE, FIGURES = (
    b"POST /v1/analytics/exports",
    b"GET /v1/analytics/exports/",
    b"POST /v1/analytics/events/count",
    b"GET /downloads/",
    b"POST /v1/analytics/aggregations",
)
"""How requests begin."""
EXPORT = CREATE, POLL, COUNT, FILE
REST = b"ytes="
"""What a request for the rest of a file holds."""
MOST_TRIES = 3


def answer(status: int, body: bytes = b"<html>No</html>", *fields: bytes) -> Fault:
    """A whole answer in place of the service's, which ends its connection."""
    length = b"Content-Length: %d" % len(body)
    lines = [b"HTTP/1.1 %d No" % status, *fields, b"Connection: close", length, b"", body]
    return Fault("answered", reply=b"\r\n".join(lines))


def _without_rest(reply: Fault) -> list[Fault]:
    return [Fault("cut", on=FILE, at=0.5), replace(reply, on=REST)]


STALE = "F1 stale connection"
ANYWHERE = {
    "F1 refused": Fault("refused"),
    "F1 reset before the service": Fault("lost request"),
    "F1 reset in the head": Fault("reset", at=9),
    "F1 reset in the body": Fault("reset", at=0.9),
    STALE: Fault("stale"),
    "F2 answer lost": Fault("lost reply"),
    "F3 429": answer(429, b"{}", b"Retry-After: 0"),
    "F3 503": answer(503),
    "F4 late": Fault("late", seconds=0.05),
    "F4 hang": Fault("hang", at=0.5),
    "F4 drip": Fault("drip", at=0.99, seconds=0.001),
    "F5 cut": Fault("cut", at=0.5),
    "F6 byte changed": Fault("corrupt", at=0.97),
    "F6 HTML page": answer(200),
    "F8 answered twice": Fault("twice"),
}
"""By the class in docs/faults.md, what may happen to every exchange."""
OF_FILES = {
    "F7 expired": [replace(answer(403), on=FILE)] * 2,
    "F8 416 for the rest": _without_rest(answer(416)),
    "F8 all for the rest": _without_rest(answer(200, b"span_id\n")),
    "F8 another part": _without_rest(answer(206, b"a", b"Content-Range: bytes 0-0/9")),
}
"""What may happen to a download alone."""
UNREADABLE = "F6 byte changed", "F6 HTML page"
"""After these there is an answer, which cannot be read: that is told, and not asked for again by the client."""


def patience(name: str) -> float:
    """Seconds after which a client gives up: few only where an answer never comes, so that a busy machine is no fault."""
    return 1.0 if name == "F4 hang" else 30.0


def faults(name: str, routes: Iterable[bytes]) -> list[Fault]:
    """The faults of a name: one for each route, or those of a download."""
    if name in OF_FILES:
        return OF_FILES[name]
    fault = ANYWHERE[name]
    return [fault] if fault.kind == "refused" else [replace(fault, on=each) for each in routes]


def tries(work: Callable[[], Any]) -> tuple[int, Any]:
    """Which try succeeded, and with what. Raises the last one's error, and at once what an orchestrator does not try again."""
    for number in range(1, MOST_TRIES):
        try:
            return number, work()
        except VectorshiftError:
            continue
    return MOST_TRIES, work()


def at_once(**settings: Any) -> Retry:
    """Retries in place of a client's own, without its waits."""
    return Retry(**{**settings, "first_wait": 0.0})
