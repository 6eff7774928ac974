"""Waiting in the triggerer until a rule is breached."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import Any, Literal, TypedDict, cast, get_args

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_vectorshift.hooks import VectorShiftHook
from vectorshift.errors import VectorshiftError, redact
from vectorshift_orchestration.errors import is_permanent
from vectorshift_orchestration.values import seconds
from vectorshift_orchestration.watching import load, looks
from vectorshift_orchestration.windows import Window
from vectorshift_orchestration.windows.clock import trailing_window

_FIRST_INTERVAL = 2.0
_SPREAD = 1.2

Status = Literal["breached", "timeout", "refused"]


class BreachEvent(TypedDict):
    """How the wait ended: with a verdict, or with an error (which is empty otherwise).

    `refused`: trying again cannot help. `timeout`: the deadline passed.
    """

    status: Status
    verdict: dict[str, Any] | None
    error: str


def read_breach_event(value: Any) -> BreachEvent:
    """The event that the trigger sent. Raises ValueError for anything else."""
    if (
        not isinstance(value, dict)
        or set(value) != set(BreachEvent.__annotations__)
        or value["status"] not in get_args(Status)
        or (value["status"] == "breached") != isinstance(value["verdict"], dict)
    ):
        raise ValueError(
            "The task was resumed with something that is no event of VectorShiftBreachTrigger. "
            "Clear the task to run it again."
        )
    return cast(BreachEvent, value)


class VectorShiftBreachTrigger(BaseTrigger):
    """Judges a window again and again, until its rule is breached; then fires one `BreachEvent`.

    Errors that may pass are waited out until the deadline; the last one is in the timeout's text.

    Args:
        vectorshift_conn_id: the connection to look with.
        rule: JSON form of a rule.
        query: JSON form of a query without a time; None is every event.
        window: JSON form of the window; None is the trailing one.
        trailing: width in seconds of the window that ended `settle` seconds ago.
        settle: see `trailing`.
        poll_interval: seconds between two looks.
        deadline: when to give up, in POSIX seconds; it holds wherever the trigger moves.
    """

    def __init__(
        self,
        *,
        vectorshift_conn_id: str,
        rule: Mapping[str, Any],
        query: Mapping[str, Any] | None,
        window: Mapping[str, Any] | None,
        trailing: timedelta | float | None,
        settle: timedelta | float,
        poll_interval: timedelta | float,
        deadline: float,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.vectorshift_conn_id = vectorshift_conn_id
        self.rule = rule
        self.query = query
        self.window = window
        self.trailing = None if trailing is None else seconds("trailing", trailing)
        self.settle = seconds("settle", settle, above_0=False)
        self.poll_interval = seconds("poll_interval", poll_interval, above_0=False)
        self.deadline = deadline
        self._hook = VectorShiftHook(vectorshift_conn_id)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, as Airflow stores them."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "vectorshift_conn_id": self.vectorshift_conn_id,
                "rule": self.rule,
                "query": self.query,
                "window": self.window,
                "trailing": self.trailing,
                "settle": self.settle,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something to tell, and tell it once."""
        try:
            event = await self._outcome()
        except Exception as error:
            if not is_permanent(error):
                raise
            event = _event("refused", error=f"{type(error).__name__}: {error}")
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def _outcome(self) -> BreachEvent:
        await load()
        problem = ""
        first = min(_FIRST_INTERVAL, self.poll_interval)
        intervals = chain([first], repeat(self.poll_interval))
        async for patience in looks(self.deadline, intervals, spread=_SPREAD):
            verdict, problem = await self._look(patience)
            if verdict is not None and not verdict["ok"]:
                return _event("breached", verdict)
        return _event("timeout", error=problem)

    async def _look(self, patience: float) -> tuple[dict[str, Any] | None, str]:
        """The verdict, or why there is none."""
        from vectorshift_orchestration.thresholds.reports import ajudge
        from vectorshift_orchestration.thresholds.rules import rule_from_dict

        rule = rule_from_dict(self.rule)
        if self.window is None:
            window = trailing_window(datetime.now(UTC), self.trailing or 0.0, self.settle)
        else:
            window = Window.from_dict(self.window)
        try:
            async with asyncio.timeout(patience), self._hook.ashared() as client:
                verdict = await ajudge(client, self.query, rule, window)
        except (VectorshiftError, TimeoutError) as error:
            if is_permanent(error):
                raise
            problem = str(error) or "The last look had no answer in time."
            self.log.warning("The next look tries again: %s", problem)
            return None, problem
        self.log.info(verdict["reason"])
        return verdict, ""


def _event(status: Status, verdict: dict[str, Any] | None = None, error: str = "") -> BreachEvent:
    return {"status": status, "verdict": verdict, "error": redact(error)}
