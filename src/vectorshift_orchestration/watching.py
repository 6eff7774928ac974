"""Watching in an event loop: until a rule is breached, and for several watchers at once.

The modules for judging are not imported here: a watcher in an event loop calls `load` first.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, TypeVar

from vectorshift.errors import VectorshiftError, redact
from vectorshift_orchestration.errors import is_permanent
from vectorshift_orchestration.values import typed

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.analytics import Query
    from vectorshift_orchestration import Judging, TopErrors, Window
    from vectorshift_orchestration.aggregates.measures import Figures

_log = logging.getLogger(__name__)

_REFUSED_PAUSE = 300.0
_LONGEST_PAUSE = 3600.0
_FIRST_INTERVAL = 2.0
_SPREAD = 1.2
_LAST_POLL = 2.0
"""Seconds that a poll may take beyond the deadline."""

_JUDGING = (
    "extract",
    "aggregates.measures",
    "aggregates.answers",
    "thresholds.judging",
    "thresholds.error_messages",
    "thresholds.reports",
    "windows.clock",
)

OpenClient: TypeAlias = "Callable[[], AbstractAsyncContextManager[Client]]"
"""Gives an account's client, as an asynchronous context manager."""

_Answer = TypeVar("_Answer")


async def load() -> None:
    """Import the modules for judging without blocking the event loop. Arrow is not among them."""
    for name in _JUDGING:
        await asyncio.to_thread(import_module, f"vectorshift_orchestration.{name}")


async def poll_timeouts(
    deadline: float, intervals: Iterable[float], *, spread: float
) -> AsyncIterator[float]:
    """Wait for an interval, then yield how many seconds a poll may take; again until the deadline.

    There is at least one poll, however late it is: a watcher may have been away. Each interval is
    up to `spread` times as long, at random, so that many watchers do not poll at once. `deadline` is
    in POSIX seconds.
    """
    for interval in intervals:
        remaining = max(deadline - time.time(), 0.0)
        await asyncio.sleep(min(interval * random.uniform(1.0, spread), remaining))
        yield max(deadline - time.time(), 0.0) + _LAST_POLL
        if time.time() >= deadline:
            return


BreachStatus: TypeAlias = Literal["breached", "timeout", "refused"]


class BreachEvent(TypedDict):
    """How a wait for a breach ended: with a verdict, or with an error (which is empty otherwise).

    `refused`: trying again cannot help. `timeout`: the deadline passed.
    """

    status: BreachStatus
    verdict: dict[str, Any] | None
    error: str


def read_breach(value: Any) -> BreachEvent:
    """A stored event, checked. Raises ValueError for anything else."""
    event = typed(value, BreachEvent)
    if (event["status"] == "breached") != (event["verdict"] is not None):
        raise ValueError("A breach has a verdict, and nothing else does.")
    return event


async def until_breached(
    open_client: OpenClient,
    query: Mapping[str, Any] | None,
    rule: Mapping[str, Any],
    window: Callable[[], Window],
    *,
    deadline: float,
    interval: float,
    log: Any,
) -> BreachEvent:
    """Judge a window again and again, until its rule is breached or the deadline has passed.

    Errors that may pass are retried; the last one is in the timeout's text.

    Args:
        open_client: gives the account's client.
        query: JSON form of a query without a time; None is every event.
        rule: JSON form of the rule.
        window: gives the window of each poll.
        deadline: when to give up, in POSIX seconds.
        interval: seconds between two polls; the first comes after two.
        log: a logger of any kind.
    """
    await load()
    problem = ""
    intervals = chain([min(_FIRST_INTERVAL, interval)], repeat(interval))
    try:
        async for timeout in poll_timeouts(deadline, intervals, spread=_SPREAD):
            verdict, problem = await _judged(open_client, query, rule, window(), timeout)
            if verdict is None:
                log.warning("The next poll tries again: %s", problem)
                continue
            log.info(verdict["reason"])
            if not verdict["ok"]:
                return {"status": "breached", "verdict": verdict, "error": ""}
    except Exception as error:
        if not is_permanent(error):
            raise
        message = redact(f"{type(error).__name__}: {error}")
        return {"status": "refused", "verdict": None, "error": message}
    return {"status": "timeout", "verdict": None, "error": redact(problem)}


async def _judged(
    open_client: OpenClient,
    query: Mapping[str, Any] | None,
    rule: Mapping[str, Any],
    window: Window,
    timeout: float,
) -> tuple[dict[str, Any] | None, str]:
    """The verdict, or why it is missing."""
    from vectorshift_orchestration.thresholds.reports import ajudge
    from vectorshift_orchestration.thresholds.rules import rule_from_dict

    parsed = rule_from_dict(rule)
    try:
        async with asyncio.timeout(timeout), open_client() as client:
            return await ajudge(client, query, parsed, window), ""
    except (VectorshiftError, TimeoutError) as error:
        if is_permanent(error):
            raise
        return None, str(error) or "The last poll had no response in time."


class SharedPoll:
    """One poll for several watchers: each request is sent once, and its result or failure shared.

    `over` is True once the next poll has begun. `pause` is how many seconds that one has to wait
    longer than usual: five minutes after an error that only people can fix, or as the service says.

    Args:
        open_client: gives the account's client, as an asynchronous context manager.
        query: JSON form of a query; None is every event.
    """

    def __init__(self, open_client: OpenClient, query: Mapping[str, Any] | None) -> None:
        self.over = False
        self.pause = 0.0
        self._opened = open_client
        self._query = query
        self._answers: dict[Hashable, Any] = {}
        self._asking = asyncio.Lock()

    async def figures(self, judging: Judging) -> list[Figures] | None:
        """The figures that a judging needs; None when they are not available now."""
        from vectorshift_orchestration.extract import afigures

        question = judging.question

        async def request(query: Query) -> list[Figures]:
            return await afigures(query, question.window, question.spec)

        return await self._once((question.spec, question.window), request, self._failed)

    async def top_errors(self, window: Window) -> TopErrors | None:
        """The commonest error messages of the window; None when they are not available now."""
        from vectorshift_orchestration.thresholds.error_messages import atop_errors
        from vectorshift_orchestration.thresholds.reports import log_without_messages

        async def request(query: Query) -> TopErrors:
            return await atop_errors(query, window)

        return await self._once(
            window, request, lambda problem: log_without_messages(window, problem)
        )

    async def _once(
        self,
        key: Hashable,
        request: Callable[[Query], Awaitable[_Answer]],
        failed: Callable[[Exception], None],
    ) -> _Answer | None:
        from vectorshift_orchestration.specs.scopes import scoped

        async with self._asking:
            if key not in self._answers:
                self._answers[key] = None
                try:
                    async with self._opened() as client:
                        self._answers[key] = await request(scoped(client, self._query))
                except Exception as problem:  # noqa: BLE001  # also those of a caller's look-up
                    failed(problem)
            answer: _Answer | None = self._answers[key]
            return answer

    def _failed(self, problem: Exception) -> None:
        if is_permanent(problem):
            self.pause = _REFUSED_PAUSE
            _log.error("Nothing can be watched until this is fixed: %s", problem)
            return
        self.pause = min(getattr(problem, "retry_after", None) or 0.0, _LONGEST_PAUSE)
        _log.warning("The next poll tries again: %s", problem)
