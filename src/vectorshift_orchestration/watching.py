"""Watching in an event loop: until a rule is breached, and for several watchers at once.

Nothing of what judging takes is imported here: a watcher in an event loop calls `load` first.
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
_LAST_LOOK = 2.0
"""Seconds that a look may take beyond the deadline."""

_JUDGING = (
    "extract",
    "aggregates.measures",
    "aggregates.answers",
    "thresholds.judging",
    "thresholds.error_messages",
    "thresholds.reports",
)

Opened: TypeAlias = "Callable[[], AbstractAsyncContextManager[Client]]"
"""Gives an account's client, as an asynchronous context manager."""

_Found = TypeVar("_Found")


async def load() -> None:
    """Load what judging takes, without holding up the event loop for so long. Arrow is not among it."""
    for name in _JUDGING:
        await asyncio.to_thread(import_module, f"vectorshift_orchestration.{name}")


async def looks(
    deadline: float, intervals: Iterable[float], *, spread: float
) -> AsyncIterator[float]:
    """Wait for an interval, then give how many seconds a look may take; again until the deadline.

    There is at least one look, however late it is: a watcher may have been away. Each interval is
    up to `spread` times as long, by chance, so that many watchers do not look at once. `deadline` is
    in POSIX seconds.
    """
    for interval in intervals:
        left = max(deadline - time.time(), 0.0)
        await asyncio.sleep(min(interval * random.uniform(1.0, spread), left))
        yield max(deadline - time.time(), 0.0) + _LAST_LOOK
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
    """The event that was told, out of wherever it was kept. Raises ValueError for anything else."""
    event = typed(value, BreachEvent)
    if (event["status"] == "breached") != (event["verdict"] is not None):
        raise ValueError("A breach is told with its verdict, and nothing else is.")
    return event


async def until_breached(
    opened: Opened,
    query: Mapping[str, Any] | None,
    rule: Mapping[str, Any],
    window: Callable[[], Window],
    *,
    deadline: float,
    interval: float,
    log: Any,
) -> BreachEvent:
    """Judge a window again and again, until its rule is breached or the deadline has passed.

    Errors that may pass are waited out; the last one is in the timeout's text.

    Args:
        opened: gives the account's client.
        query: JSON form of a query without a time; None is every event.
        rule: JSON form of the rule.
        window: the window, asked for before each look.
        deadline: when to give up, in POSIX seconds.
        interval: seconds between two looks; the first comes after two.
        log: is told of each look; a logger of any make.
    """
    await load()
    problem = ""
    intervals = chain([min(_FIRST_INTERVAL, interval)], repeat(interval))
    try:
        async for patience in looks(deadline, intervals, spread=_SPREAD):
            verdict, problem = await _judged(opened, query, rule, window(), patience)
            if verdict is None:
                log.warning("The next look tries again: %s", problem)
                continue
            log.info(verdict["reason"])
            if not verdict["ok"]:
                return {"status": "breached", "verdict": verdict, "error": ""}
    except Exception as error:
        if not is_permanent(error):
            raise
        told = redact(f"{type(error).__name__}: {error}")
        return {"status": "refused", "verdict": None, "error": told}
    return {"status": "timeout", "verdict": None, "error": redact(problem)}


async def _judged(
    opened: Opened,
    query: Mapping[str, Any] | None,
    rule: Mapping[str, Any],
    window: Window,
    patience: float,
) -> tuple[dict[str, Any] | None, str]:
    """The verdict, or why there is none."""
    from vectorshift_orchestration.thresholds.reports import ajudge
    from vectorshift_orchestration.thresholds.rules import rule_from_dict

    asked = rule_from_dict(rule)
    try:
        async with asyncio.timeout(patience), opened() as client:
            return await ajudge(client, query, asked, window), ""
    except (VectorshiftError, TimeoutError) as error:
        if is_permanent(error):
            raise
        return None, str(error) or "The last look had no answer in time."


class Look:
    """One look of a shared poll. An answer, or its failure, serves all who ask the same in it.

    `over` is True once the next look has begun. `pause` is how many seconds that one has to wait
    longer than usual: five minutes after a refusal that only people can end, or as the service says.

    Args:
        opened: gives the account's client, as an asynchronous context manager.
        query: JSON form of a query; None is every event.
    """

    def __init__(self, opened: Opened, query: Mapping[str, Any] | None) -> None:
        self.over = False
        self.pause = 0.0
        self._opened = opened
        self._query = query
        self._answers: dict[Hashable, Any] = {}
        self._asking = asyncio.Lock()

    async def figures(self, judging: Judging) -> list[Figures] | None:
        """The answer to what a judging asks; None where it cannot be had now."""
        from vectorshift_orchestration.extract import afigures

        asked = judging.question

        async def ask(query: Query) -> list[Figures]:
            return await afigures(query, asked.window, asked.spec)

        return await self._once((asked.spec, asked.window), ask, self._failed)

    async def top_errors(self, window: Window) -> TopErrors | None:
        """The commonest error messages of the window; None where they cannot be had now."""
        from vectorshift_orchestration.thresholds.error_messages import atop_errors
        from vectorshift_orchestration.thresholds.reports import log_without_messages

        async def ask(query: Query) -> TopErrors:
            return await atop_errors(query, window)

        return await self._once(window, ask, lambda problem: log_without_messages(window, problem))

    async def _once(
        self,
        what: Hashable,
        ask: Callable[[Query], Awaitable[_Found]],
        failed: Callable[[Exception], None],
    ) -> _Found | None:
        from vectorshift_orchestration.specs.scopes import scoped

        async with self._asking:
            if what not in self._answers:
                self._answers[what] = None
                try:
                    async with self._opened() as client:
                        self._answers[what] = await ask(scoped(client, self._query))
                except Exception as problem:  # noqa: BLE001  # also what a caller's look-up raises
                    failed(problem)
            found: _Found | None = self._answers[what]
            return found

    def _failed(self, problem: Exception) -> None:
        if is_permanent(problem):
            self.pause = _REFUSED_PAUSE
            _log.error("Nothing can be watched until somebody changes something: %s", problem)
            return
        self.pause = min(getattr(problem, "retry_after", None) or 0.0, _LONGEST_PAUSE)
        _log.warning("The next look tries again: %s", problem)
