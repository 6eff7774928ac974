"""Waiting in the triggerer.

A trigger only looks: it creates, downloads and publishes nothing, because Airflow may run the same
trigger twice at once (RELIABILITY.md 0.4).
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_vectorshift._events import ExportEvent, export_event
from airflow_provider_vectorshift.errors import PERMANENT, VectorShiftConnectionError
from airflow_provider_vectorshift.hooks import VectorShiftHook

if TYPE_CHECKING:
    from vectorshift import Client

_GROWTH = 1.5
_LONGEST_INTERVAL = 60.0
_LAST_LOOK = 2.0
"""Seconds that a look may take beyond the deadline."""


class VectorShiftExportTrigger(BaseTrigger):
    """Waits until an export is ready, then fires one event (`ExportEvent`).

    Errors that may pass are waited out until the deadline; the last one is in the timeout's text.

    Args:
        vectorshift_conn_id: the connection to look with.
        export_id: the service's task id of the export.
        deadline: when to give up, in POSIX seconds; it holds wherever the trigger moves.
        poll_interval: seconds before the first look; it grows by half each time, to a minute.
    """

    def __init__(
        self,
        *,
        vectorshift_conn_id: str,
        export_id: str,
        deadline: float,
        poll_interval: float = 2.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.vectorshift_conn_id = vectorshift_conn_id
        self.export_id = export_id  # not task_id, which Airflow sets to the id of its own task
        self.deadline = deadline
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, as Airflow stores them."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "vectorshift_conn_id": self.vectorshift_conn_id,
                "export_id": self.export_id,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something to tell, and tell it once."""
        try:
            async with await VectorShiftHook(self.vectorshift_conn_id).aget_conn() as client:
                event = await self._outcome(client)
        except (*PERMANENT, VectorShiftConnectionError) as error:
            event = export_event("refused", self.export_id, f"{type(error).__name__}: {error}")
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def _outcome(self, client: "Client") -> ExportEvent:
        interval, problem = self.poll_interval, ""
        while (left := self.deadline - time.time()) > 0:
            await asyncio.sleep(min(interval * random.uniform(1.0, 1.5), left))
            interval = min(interval * _GROWTH, max(_LONGEST_INTERVAL, self.poll_interval))
            found = await self._look(client)
            if not isinstance(found, str):
                return found
            problem = found
        return export_event("timeout", self.export_id, problem)

    async def _look(self, client: "Client") -> ExportEvent | str:
        """What there is to tell, or else why the wait goes on ("" when nothing is wrong)."""
        from vectorshift.errors import AnalyticsNotFound, VectorshiftError

        try:
            patience = max(self.deadline - time.time(), 0.0) + _LAST_LOOK
            task = await client.aexport_task(self.export_id, timeout=patience)
        except PERMANENT:
            raise
        except AnalyticsNotFound as error:
            return export_event("missing", self.export_id, str(error))
        except VectorshiftError as error:
            self.log.warning("Export %s could not be looked at: %s", self.export_id, error)
            return str(error)
        if task.get("task_status") == "failed":
            return export_event("failed", self.export_id, task.get("error", ""))
        return export_event("ready", self.export_id) if task.get("download_url") else ""
