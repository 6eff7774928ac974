"""What several watchers want to know at the same time, asked of the service once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_vectorshift._alerts.verdicts import log_without_messages, scoped
from airflow_provider_vectorshift.errors import is_permanent
from airflow_provider_vectorshift.hooks import VectorShiftHook

if TYPE_CHECKING:
    from vectorshift.analytics import Query
    from vectorshift_orchestration import Judging, TopErrors, Window
    from vectorshift_orchestration.aggregates.measures import Figures

_log = logging.getLogger(__name__)

_REFUSED_PAUSE = 300.0
_LONGEST_PAUSE = 3600.0

_JUDGING = (
    "extract",
    "aggregates.measures",
    "aggregates.answers",
    "thresholds.judging",
    "thresholds.error_messages",
)

_Found = TypeVar("_Found")


async def load() -> None:
    """Load what judging takes, without holding up the triggerer's loop for so long. Arrow is not among it."""
    for name in _JUDGING:
        await asyncio.to_thread(import_module, f"vectorshift_orchestration.{name}")


class Look:
    """One look of a shared poll. An answer, or its failure, serves all who ask the same in it.

    `over` is True once the next look has begun. `pause` is how many seconds that one has to wait
    longer than usual: five minutes after a refusal that only people can end, or as the service says.

    Args:
        vectorshift_conn_id: connection of type `vectorshift`.
        query: JSON form of a query; None is every event.
    """

    def __init__(self, vectorshift_conn_id: str, query: Mapping[str, Any] | None) -> None:
        self.over = False
        self.pause = 0.0
        self._hook = VectorShiftHook(vectorshift_conn_id)
        self._query = query
        self._answers: dict[Hashable, Any] = {}
        self._asking = asyncio.Lock()

    async def figures(self, judging: "Judging") -> "list[Figures] | None":
        """The answer to what a judging asks; None where it cannot be had now."""
        from vectorshift_orchestration.extract import afigures

        asked = judging.question

        async def ask(query: "Query") -> "list[Figures]":
            return await afigures(query, asked.window, asked.spec)

        return await self._once((asked.spec, asked.window), ask, self._failed)

    async def top_errors(self, window: "Window") -> "TopErrors | None":
        """The commonest error messages of the window; None where they cannot be had now."""
        from vectorshift_orchestration import atop_errors

        async def ask(query: "Query") -> "TopErrors":
            return await atop_errors(query, window)

        return await self._once(window, ask, lambda problem: log_without_messages(window, problem))

    async def _once(
        self,
        what: Hashable,
        ask: "Callable[[Query], Awaitable[_Found]]",
        failed: Callable[[Exception], None],
    ) -> _Found | None:
        async with self._asking:
            if what not in self._answers:
                self._answers[what] = None
                try:
                    async with self._hook.ashared() as client:
                        self._answers[what] = await ask(scoped(client, self._query))
                except Exception as problem:  # noqa: BLE001  # also what Airflow's look-up raises
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
