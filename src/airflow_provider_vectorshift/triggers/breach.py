"""Waiting in the triggerer until a rule is breached."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, Literal, TypedDict, cast, get_args

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_vectorshift._alerts.verdicts import ajudge
from airflow_provider_vectorshift._alerts.windows import trailing_window
from airflow_provider_vectorshift.errors import PERMANENT, VectorShiftConnectionError
from airflow_provider_vectorshift.hooks import VectorShiftHook
from vectorshift.errors import VectorshiftError, redact
from vectorshift_orchestration.windows import Window

GRACE = timedelta(seconds=60)
"""What the trigger has to report its own timeout, before the scheduler steps in for it."""

_FIRST_INTERVAL = 2.0
_SPREAD = 1.2
"""Looks of many triggers that start together are spread by so much."""

_LAST_LOOK = 2.0
"""Seconds that a look may take beyond the deadline."""

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
        trailing: float | None,
        settle: float,
        poll_interval: float,
        deadline: float,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.vectorshift_conn_id = vectorshift_conn_id
        self.rule = rule
        self.query = query
        self.window = window
        self.trailing = trailing
        self.settle = settle
        self.poll_interval = poll_interval
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
        except (*PERMANENT, VectorShiftConnectionError) as error:
            event = _event("refused", error=f"{type(error).__name__}: {error}")
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def _outcome(self) -> BreachEvent:
        """Look at least once, however late it is: a triggerer may have been away."""
        # Loading Arrow takes longer than the triggerer lets its loop be blocked.
        await asyncio.to_thread(import_module, "vectorshift_orchestration.tables")
        interval = min(_FIRST_INTERVAL, self.poll_interval)
        while True:
            left = max(self.deadline - time.time(), 0.0)
            await asyncio.sleep(min(interval * random.uniform(1.0, _SPREAD), left))
            interval = self.poll_interval
            verdict, problem = await self._look()
            if verdict is not None and not verdict["ok"]:
                return _event("breached", verdict)
            if time.time() >= self.deadline:
                return _event("timeout", error=problem)

    async def _look(self) -> tuple[dict[str, Any] | None, str]:
        """The verdict, or why there is none."""
        from vectorshift_orchestration.thresholds.rules import rule_from_dict

        rule = rule_from_dict(self.rule)
        if self.window is None:
            window = trailing_window(datetime.now(UTC), self.trailing or 0.0, self.settle)
        else:
            window = Window.from_dict(self.window)
        patience = max(self.deadline - time.time(), 0.0) + _LAST_LOOK
        try:
            async with asyncio.timeout(patience), self._hook.ashared() as client:
                verdict = await ajudge(client, self.query, rule, window)
        except (*PERMANENT, VectorShiftConnectionError):
            raise
        except (VectorshiftError, TimeoutError) as error:
            problem = str(error) or "The last look had no answer in time."
            self.log.warning("The next look tries again: %s", problem)
            return None, problem
        self.log.info(verdict["reason"])
        return verdict, ""


def _event(status: Status, verdict: dict[str, Any] | None = None, error: str = "") -> BreachEvent:
    return {"status": status, "verdict": verdict, "error": redact(error)}
