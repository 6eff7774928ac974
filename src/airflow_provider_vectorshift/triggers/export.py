"""Waiting in the triggerer.

A trigger only polls: it creates, downloads and publishes nothing, because Airflow may run the same
trigger twice at once. For the same reason it has no `on_kill`: a killed task
leaves its export behind, which the service cannot cancel and a retry goes on with.
"""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.triggers.base import (
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)

from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.triggers._waiting import WaitingTrigger
from vectorshift.export_tasks import poll_intervals
from vectorshift_orchestration.exports.events import ExportEvent, result_of, until_ready
from vectorshift_orchestration.values import seconds

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance


class VectorShiftExportTrigger(WaitingTrigger):
    """Waits until an export is ready, failed or unknown, or a deadline has passed.

    It fires one event (`ExportEvent`), or ends the task itself. Errors that may pass are retried
    until the deadline; the last one is in the timeout's text. The polls of many triggers are
    spread at random, and go through one client per connection.

    Args:
        vectorshift_conn_id: the connection to poll with.
        export_id: the service's task id of the export.
        deadline: when to give up, in POSIX seconds; it holds wherever the trigger moves. Give
            either this or `timeout`.
        timeout: time (a timedelta or seconds, like the intervals) from the trigger's first start to giving up, for a task that starts here
            and whose deadline is unknown. A triggerer that takes over counts from zero.
        poll_interval: time before the first poll; it grows by half each time.
        longest_interval: what it grows to.
        complete_in_triggerer: end the task here, without a worker.
        soft_fail: end it as skipped instead of failed; with `complete_in_triggerer`.
        do_xcom_push: whether a success has a result; with `complete_in_triggerer`.

    Raises TypeError for both or neither of `deadline` and `timeout`.
    """

    def __init__(
        self,
        *,
        vectorshift_conn_id: str,
        export_id: str,
        deadline: float | None = None,
        timeout: timedelta | float | None = None,
        poll_interval: timedelta | float = 2.0,
        longest_interval: timedelta | float = 60.0,
        complete_in_triggerer: bool = False,
        soft_fail: bool = False,
        do_xcom_push: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if (deadline is None) == (timeout is None):
            raise TypeError("VectorShiftExportTrigger takes either deadline= or timeout=.")
        self.vectorshift_conn_id = vectorshift_conn_id
        self.export_id = export_id  # not task_id, which Airflow sets to the id of its own task
        self.deadline = deadline
        self.timeout = None if timeout is None else seconds("timeout", timeout, above_0=False)
        self.poll_interval = seconds("poll_interval", poll_interval, above_0=False)
        self.longest_interval = seconds("longest_interval", longest_interval, above_0=False)
        self.complete_in_triggerer = complete_in_triggerer
        self.soft_fail = soft_fail
        self.do_xcom_push = do_xcom_push

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the wait ends, and report that once."""
        began = time.time()
        deadline = began + (self.timeout or 0.0) if self.deadline is None else self.deadline
        event = await until_ready(
            VectorShiftHook(self.vectorshift_conn_id).ashared,
            self.export_id,
            deadline=deadline,
            intervals=poll_intervals(self.poll_interval, self.longest_interval),
            log=self.log,
        )
        if event["status"] != "ready":
            self.log.warning("Export %s: %s. %s", self.export_id, event["status"], event["error"])
        yield await self._ending(event)

    async def _ending(self, event: ExportEvent) -> TriggerEvent:
        """The event that ends the task, or resumes it, as in `dag.test()`."""
        task = self.task_instance if self.complete_in_triggerer else None
        if task is not None:
            if event["status"] != "ready":
                return TaskSkippedEvent() if self.soft_fail else TaskFailedEvent()
            if not self.do_xcom_push or await self._pushed(task, event):
                return TaskSuccessEvent()
        return TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def _pushed(self, task: "TaskInstance", event: ExportEvent) -> bool:
        """Whether the result was stored; otherwise a worker has to return it.

        The event could carry the result, but Airflow 3.3 stores that as a text of JSON, which
        is another value than the one that a worker returns.
        """
        from airflow.sdk.execution_time.xcom import XCom

        try:
            await XCom.aset(
                "return_value",
                result_of(event),
                dag_id=task.dag_id,
                task_id=task.task_id,
                run_id=task.run_id,
                map_index=task.map_index,
            )
        except Exception:
            self.log.warning(
                "The result could not be stored; a worker ends the task", exc_info=True
            )
            return False
        return True
