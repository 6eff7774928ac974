"""Waiting in the triggerer until a rule is breached."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.triggers._waiting import WaitingTrigger
from vectorshift_orchestration.values import seconds
from vectorshift_orchestration.watching import until_breached

if TYPE_CHECKING:
    from vectorshift_orchestration.windows import Window


class VectorShiftBreachTrigger(WaitingTrigger):
    """Judges a window again and again, until its rule is breached; then fires one `BreachEvent`.

    Errors that may pass are waited out until the deadline; the last one is in the timeout's text.

    Args:
        vectorshift_conn_id: the connection to poll with.
        rule: JSON form of a rule.
        query: JSON form of a query without a time; None is every event.
        window: JSON form of the window; None is the trailing one.
        trailing: width in seconds of the window that ended `settle` seconds ago.
        settle: see `trailing`.
        poll_interval: seconds between two polls.
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

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the wait ends, and report that once."""
        event = await until_breached(
            VectorShiftHook(self.vectorshift_conn_id).ashared,
            self.query,
            self.rule,
            self._judged,
            deadline=self.deadline,
            interval=self.poll_interval,
            log=self.log,
        )
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    def _judged(self) -> "Window":
        from vectorshift_orchestration.windows import Window
        from vectorshift_orchestration.windows.clock import trailing_window

        if self.window is None:
            return trailing_window(datetime.now(UTC), self.trailing or 0.0, self.settle)
        return Window.from_dict(self.window)
