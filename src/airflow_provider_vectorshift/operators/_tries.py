"""One try of an export task on the worker: the core's job, with Airflow's note as its record."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift._events import read_export_event
from airflow_provider_vectorshift._landing import Place
from airflow_provider_vectorshift.errors import VectorShiftTriggererTimeout, failing_fast
from airflow_provider_vectorshift.hooks import VectorShiftHook
from vectorshift.errors import AnalyticsExportTimeout
from vectorshift_orchestration.exports.job import ExportJob
from vectorshift_orchestration.exports.notes import PendingExport, PendingNote
from vectorshift_orchestration.exports.progress import ProgressLog
from vectorshift_orchestration.exports.request import ExportOptions, ExportRequest

if TYPE_CHECKING:
    from vectorshift_orchestration.exports.job import ExportLanded

_SHORT_WAIT = 1.0
"""Seconds that are waited at once: an export that is ready by then is not worth leaving for."""

_LAST_LOOK = 10.0
"""Seconds for going on with an export whose time is up when the trigger's word of it arrives."""


@dataclass(frozen=True, kw_only=True)
class ExportArguments:
    """What a try needs of a task's arguments, templates filled in.

    `name` is how the task is named in a refusal, `conn_id` the connection of the account. The rest
    is as in `VectorShiftExportOperator` and `BaseOperator`.
    """

    name: str
    conn_id: str
    place: Place
    options: ExportOptions
    parquet: bool
    deferrable: bool
    durable: bool
    execution_timeout: timedelta | None

    @property
    def target(self) -> list[Any]:
        """What a retry needs to be the same, to go on where the last try stopped."""
        place = self.place
        return [
            *(place.destination, place.table, place.sql_conn_id, place.duckdb_path, place.source),
            self.parquet,
        ]


class ExportTry:
    """One try of a task's export.

    Args:
        arguments: what the task was told.
        request: what is asked for.
        context: the task's context.
        log: the task's logger.
        on_export: called with the id of each export that the service has accepted.

    What `begin` and `go_on` give is where the rows came to rest, or, for a deferrable task, the
    export that is not ready yet. They raise what `VectorShiftExportOperator` promises.
    """

    def __init__(
        self,
        arguments: ExportArguments,
        request: ExportRequest,
        context: Mapping[str, Any],
        log: Any,
        on_export: Callable[[str], None],
    ) -> None:
        self._arguments = arguments
        self._request = request
        self._log = log
        self._note = PendingNote(
            context.get("task_state_store") if arguments.durable else None,
            account=arguments.conn_id,
            target=arguments.target,
            key=request.key,
            on_export=on_export,
        )

    def begin(self) -> "ExportLanded | PendingExport":
        """From nothing, or from what an earlier try left, to rows."""
        with failing_fast(self._arguments.name):
            return self._brought_home()

    def go_on(
        self, event: Any, pending: Mapping[str, Any] | None
    ) -> "ExportLanded | PendingExport":
        """From what the trigger told to rows."""
        with failing_fast(self._arguments.name):
            told = read_export_event(event)
            found = self._note.stored() if pending is None else PendingExport.from_json(pending)
            self._note.take_up(found, told["export_id"], time.time() + _LAST_LOOK)
            if told["status"] == "timeout":
                self._log.warning("The last look at the export: %s", told["error"] or "pending")
                self._note.discard_overdue()
                raise self.timed_out(told["export_id"])
            if told["status"] == "refused":
                self._note.discard()
                raise AirflowFailException(told["error"])
            return self._brought_home()

    def timed_out(self, export_id: str) -> AnalyticsExportTimeout:
        """The error of an export that was not ready in time."""
        limits = [self._arguments.options.timeout]
        if self._arguments.execution_timeout is not None:
            limits.append(self._arguments.execution_timeout.total_seconds())
        return AnalyticsExportTimeout(export_id, min(limits))

    def unreported(self) -> VectorShiftTriggererTimeout:
        """The error of a wait that no triggerer ended; an overdue export is let go."""
        found = self._note.stored()
        named = "that this task waits for" if found is None else found.state.task_id
        self._note.discard_overdue()
        return VectorShiftTriggererTimeout(
            f"No triggerer reported on export {named} in time: none is running, or they are too "
            "busy. Look at the triggerer, then run the task again."
        )

    def forget(self) -> None:
        """The very last step: from here on, a clear exports again."""
        self._note.discard()

    def _brought_home(self) -> "ExportLanded | PendingExport":
        arguments = self._arguments
        landing = arguments.place.landing(parquet=arguments.parquet)
        with (
            VectorShiftHook(arguments.conn_id).get_conn() as client,
            TemporaryDirectory(prefix="vectorshift-") as folder,
        ):
            job = ExportJob(
                client,
                self._request,
                landing,
                self._note,
                directory=Path(folder),
                options=arguments.options,
                progress=ProgressLog(self._log.info),
            )
            job.ask()
            if arguments.deferrable and not job.wait(
                min(_SHORT_WAIT, arguments.options.poll_interval)
            ):
                assert self._note.pending is not None  # it was asked for, so it is noted
                return self._note.pending
            return job.finish()
