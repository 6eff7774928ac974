"""The conversation with the API as data, and the flows that hold it.

A flow is a generator. It yields a step (a `Call` to send, a `Pause`, a `Fetch` of a file, `Work` that blocks) and is
sent the outcome of that step; what it returns is the typed result. A flow imports no HTTP, reads no clock and never
awaits, so retry, polling and paging are written once: `_transport.py` holds two small drivers, one that blocks and one
that awaits, and a test can step a flow by hand. A network failure arrives as a `Reply` with status 0, because whether
to try again is the flow's decision, not the driver's.
"""

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, TypeAlias, TypeVar

from vectorshift._retry import Failure, Quota, Retry, parse_retry_after, wait_before_retry
from vectorshift.errors import (
    ApiConnectionError,
    ApiTimeoutError,
    InvalidResponseError,
    VectorshiftError,
    error_class,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
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


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for `seconds` (0 only reads the clock). The outcome is the monotonic time afterwards, a float."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Fetch:
    """Stream `url` into `sink`, starting at `offset`, with none of the client's credentials. The outcome is `Fetched`."""

    url: str
    sink: BinaryIO
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
        """Seconds that the service asks to wait, if it does."""
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
    """How a `Fetch` ended: `received` bytes were written, `reason` tells why it stopped early, if it did.

    `usable` says that the body was the part of the file that was asked for; any other body is left unread.
    """

    status: int
    received: int
    headers: Mapping[str, str]
    usable: bool = False
    reason: str = ""
    now: float = 0.0


Step: TypeAlias = Call | Pause | Fetch | Work
Flow: TypeAlias = Generator[Step, Any, T]
Read: TypeAlias = Callable[[Any, Call, Reply], T]


def _failure(call: Call, reply: Reply) -> Failure:
    return Failure(reply.status, reply.retry_after, reply.sent, reply.timed_out, call.repeatable)


def _persist(call: Call, policy: Retry, quota: Quota, total: float) -> Flow[Reply]:
    """Send one call until it succeeds or trying again is unsafe, pointless or too late."""
    limit = total if call.total is None else min(total, call.total)
    started: float = yield Pause(0)
    attempt = 0
    remaining = limit
    while True:
        reply: Reply = yield replace(call, budget=max(0.0, remaining))
        attempt += 1
        if reply.ok:
            quota.earn()
            return reply
        remaining = limit - (reply.now - started)
        wait = wait_before_retry(
            _failure(call, reply),
            attempt=attempt,
            policy=policy,
            remaining=remaining,
            random=random.random,
        )
        if wait is None or not quota.spend(timed_out=reply.timed_out):
            return reply
        remaining = limit - ((yield Pause(wait)) - started)


def with_retries(flow: Flow[T], policy: Retry, quota: Quota, total: float) -> Flow[T]:
    """The same conversation, with each of its calls tried again while that is safe and its total time allows."""
    try:
        step = next(flow)
        while True:
            outcome: Any
            if isinstance(step, Call):
                outcome = yield from _persist(step, policy, quota, total)
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
    """Turn a reply that is not a success into the typed error. Source: CONTRACT.md A6."""
    if reply.status == 0:
        kind = ApiTimeoutError if reply.timed_out else ApiConnectionError
        return kind(reply.reason, method=call.method, endpoint=call.template, sent=reply.sent)
    from vectorshift.analytics._answers import error_message

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


def unreadable(call: Call, reply: Reply, what: str) -> InvalidResponseError:
    """The error for a success status whose body cannot be read."""
    from vectorshift.analytics._answers import error_message

    return InvalidResponseError(
        what,
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
    from vectorshift.analytics._answers import decode

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
