"""The conversation with the API as data, and the flows that hold it.

A flow is a generator. It yields a step (a `Call` to send, a `Pause`, a way to `Resolve`, a `Fetch` of a file, `Work`
that blocks) and is sent the outcome of that step; what it returns is the typed result. A flow imports no HTTP, reads no
clock and never awaits, so retry, polling, paging and pace are written once: `_drivers.py` holds two small drivers, one
that blocks and one that awaits, and a test can step through a flow. A network failure arrives as a `Reply` with status
0, because whether to try again is the flow's decision, not the driver's.
"""

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from vectorshift._bodies import decode, error_message
from vectorshift._pace import Pace
from vectorshift._retry import Failure, Quota, Retry, parse_retry_after, wait_before_retry
from vectorshift.errors import (
    ApiConnectionError,
    ApiTimeoutError,
    InvalidResponseError,
    VectorshiftError,
    error_class,
)

T = TypeVar("T")


class Call(Struct, frozen=True):
    """One request. `path` is quoted and ready to send; `template` is what errors and logs say instead.

    `repeatable` is False only for creating an export. `total` caps the seconds of the call with all its retries
    (None: the client's own total), `budget` is what is left of it for this try.
    """

    method: str
    path: str
    template: str
    query: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | None = None
    repeatable: bool = True
    total: float | None = None
    budget: float | None = None

    def within(self, budget: float) -> "Call":
        """The same for one try."""
        return replace(self, budget=budget)


class Pause(Struct, frozen=True):
    """Wait for `seconds` (0 only reads the clock). The outcome is the monotonic time afterwards, a float."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """An address from which anybody could download, kept out of representations: tracebacks may print every variable."""

    text: str = field(repr=False)

    @property
    def origin(self) -> str | None:
        """Scheme, host and port, with `***@` in place of a user name; None where they cannot be read."""
        try:
            parts = urlsplit(self.text)
            _ = parts.port
        except ValueError:
            return None
        _, user, place = parts.netloc.rpartition("@")
        return f"{parts.scheme}://{'***@' if user else ''}{place}"


@dataclass(frozen=True, slots=True)
class Resolve:
    """Find the route to a URL's host within `budget` seconds, past the process's proxies unless `proxies`. The outcome is a `Route`."""

    url: str
    budget: float
    proxies: bool


@dataclass(frozen=True, slots=True)
class Route:
    """How a host is reached: through a `proxy`, or at one of its IP `addresses`, none when it has none."""

    addresses: tuple[str, ...] = ()
    proxy: str | None = field(default=None, repr=False)


class Sink(Protocol):
    """Where the bytes of a file go."""

    def write(self, data: bytes, /) -> int:
        """Take all of the bytes; their number."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Stream `url` into `sink`, starting at `offset`, with none of the client's credentials. The outcome is `Fetched`.

    The connection goes through `proxy`, or else to the IP `address`, whatever the host in `url` would resolve to by now.
    """

    url: SignedUrl
    address: str | None
    proxy: str | None = field(repr=False)
    sink: Sink
    offset: int
    etag: str | None
    limit: int
    budget: float
    progress: Callable[[int, int | None], None] | None


@dataclass(frozen=True, slots=True)
class Work:
    """Run something that blocks (disk, hashing). The outcome is what it returns."""

    run: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status 0 and a `reason` when nothing did. `now` is monotonic, `wall` is Unix time, in seconds."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    sent: bool = True
    timed_out: bool = False
    now: float = 0.0
    wall: float = 0.0
    key: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status says success."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait as the service demands, if it does."""
        exact = parse_retry_after(self.headers.get("retry-after-ms"), wall_clock=self.wall)
        if exact is not None:
            return exact / 1000
        return parse_retry_after(self.headers.get("retry-after"), wall_clock=self.wall)

    @property
    def request_id(self) -> str | None:
        """The service's name for this request, if it gave one."""
        return self.headers.get("x-request-id") or self.headers.get("request-id")


@dataclass(frozen=True, slots=True)
class Fetched:
    """How a `Fetch` ended: `received` bytes were written, `reason` says why it stopped early, if it did.

    `usable` says that the body was the requested part of the file; any other body is left unread.
    """

    status: int
    received: int
    headers: Mapping[str, str] = field(repr=False)  # one may lead on to another signed address
    usable: bool = False
    reason: str = ""
    now: float = 0.0


Step: TypeAlias = Call | Pause | Resolve | Fetch | Work
Flow: TypeAlias = Generator[Step, Any, T]
Read: TypeAlias = Callable[[Any, Call, Reply], T]


def _failure(call: Call, reply: Reply) -> Failure:
    return Failure(reply.status, reply.retry_after, reply.sent, reply.timed_out, call.repeatable)


@dataclass(frozen=True, slots=True)
class Persistence:
    """How a client carries its calls through: its retries, its pace, and the seconds for one call with all its tries."""

    retry: Retry
    quota: Quota
    pace: Pace
    total: float


def _persist(call: Call, limits: Persistence) -> Flow[Reply]:
    """Send one call until it succeeds or trying again is unsafe, pointless or too late."""
    limit = limits.total if call.total is None else min(limits.total, call.total)
    now: float = yield Pause(0)
    started, attempt = now, 0
    while True:
        turn = yield from _turn(limits.pace, now, started + limit)
        if turn is None:
            return _CROWDED_OUT
        reply: Reply = yield call.within(max(0.0, limit - (turn - started)))
        attempt += 1
        if reply.ok:
            limits.quota.earn()
            return reply
        wait = wait_before_retry(
            _failure(call, reply),
            attempt=attempt,
            policy=limits.retry,
            remaining=limit - (reply.now - started),
            random=random.random,
        )
        if wait is None or not limits.quota.spend(timed_out=reply.timed_out):
            return reply
        now = yield Pause(wait)


_CROWDED_OUT = Reply(
    0,
    reason="the rate limit of this client left no time for it",
    sent=False,
    timed_out=True,
)


def _turn(pace: Pace, now: float, deadline: float) -> Flow[float | None]:
    """Wait for a turn to send; return the time then, or None without a turn before the deadline."""
    turn = pace.take(now)
    if turn <= now:
        return now
    used = False
    try:
        if turn < deadline:
            now = yield Pause(turn - now)
            used = True
        return now if used else None
    finally:
        if not used:  # too late, or cancelled
            pace.give_back(turn)


def with_retries(flow: Flow[T], limits: Persistence) -> Flow[T]:
    """The same conversation, with each of its calls tried again while that is safe and its total time allows."""
    try:
        step = next(flow)
        while True:
            outcome: Any
            if isinstance(step, Call):
                outcome = yield from _persist(step, limits)
            else:
                try:
                    outcome = yield step
                except Exception as error:  # noqa: BLE001  # handed to the flow, whose it is
                    step = flow.throw(error)
                    continue
            step = flow.send(outcome)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        flow.close()


def error_from(call: Call, reply: Reply) -> VectorshiftError:
    """Turn a reply that is not a success into the typed error. Source: docs/contract.md A6."""
    if reply.status == 0:
        kind = ApiTimeoutError if reply.timed_out else ApiConnectionError
        return kind(reply.reason, method=call.method, endpoint=call.template, sent=reply.sent)
    message, raw = error_message(reply.body, reply.key)
    return error_class(reply.status)(
        message,
        status_code=reply.status,
        method=call.method,
        endpoint=call.template,
        raw_response=raw,
        request_id=reply.request_id,
        retry_after=reply.retry_after,
    )


def unreadable(call: Call, reply: Reply, reason: str) -> InvalidResponseError:
    """The error for a success status whose body cannot be read."""
    return InvalidResponseError(
        reason,
        status_code=reply.status,
        method=call.method,
        endpoint=call.template,
        raw_response=error_message(reply.body, reply.key)[1],
        request_id=reply.request_id,
    )


def ask(call: Call, read: Read[T]) -> Flow[T]:
    """Send a call and read its answer; any failure is the typed error."""
    reply: Reply = yield call
    if not reply.ok:
        raise error_from(call, reply)
    return answer(call, reply, read)


def answer(call: Call, reply: Reply, read: Read[T]) -> T:
    """Read the body of a success; what does not fit the contract is an `InvalidResponseError`."""
    try:
        data = decode(reply.body)
        return read(data, call, reply)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise unreadable(
            call, reply, f"the body is not the JSON of the contract ({error})"
        ) from None
