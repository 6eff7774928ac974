"""One try of an export task on the worker: the core's job, with Airflow's note as its record.

The database is open while its ledger is asked and while rows are landed, and not while the service
works, nor while the file is downloaded and checked.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift._arguments import name_of
from airflow_provider_vectorshift._exports.events import ExportEvent, read_export_event
from airflow_provider_vectorshift._exports.pending import PendingExport, PendingNote
from airflow_provider_vectorshift._exports.progress import ProgressLog
from airflow_provider_vectorshift.errors import SPENT, VectorShiftTriggererTimeout, failing_fast
from airflow_provider_vectorshift.hooks import VectorShiftHook
from vectorshift.errors import AnalyticsExportFailed, AnalyticsExportTimeout, AnalyticsNotFound
from vectorshift_orchestration.exports import ExportRequest, wait
from vectorshift_orchestration.exports.job import resume

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_vectorshift.operators.export import VectorShiftExportOperator
    from vectorshift import Client
    from vectorshift.analytics import ExportTask
    from vectorshift_orchestration.exports import Landed
    from vectorshift_orchestration.exports.state import ExportState

_SHORT_WAIT = 1.0
"""Seconds that are waited at once: an export that is ready by then is not worth leaving for."""

_LAST_LOOK = 10.0
"""Seconds for a look at an export whose deadline has passed while nobody looked."""


class _StillPending(Exception):
    """The export takes its time, so the database is let go and the wait goes on elsewhere."""


class ExportTry:
    """One try of `task` in `context`. Its methods raise what `VectorShiftExportOperator` promises."""

    def __init__(self, task: "VectorShiftExportOperator", context: "Context") -> None:
        self._task = task
        self._context = context
        self._note = PendingNote(context, durable=task.durable)
        self._progress = ProgressLog(task.log.info)
        # What a retry needs to be the same, to go on where the last try stopped.
        self._target = [
            *(task.destination, task.table, task.sql_conn_id, task.duckdb_path, task.parquet)
        ]

    def begin(self, request: ExportRequest) -> "Landed":
        """From nothing, or from what an earlier try left, to rows."""
        with self._reporting():
            return self._brought_home(request, self._pending(self._note.read(), request))

    def go_on(
        self, request: ExportRequest, event: Any, pending: Mapping[str, Any] | None
    ) -> "Landed":
        """From what the trigger told to rows."""
        with self._reporting():
            told = read_export_event(event)
            found = self._note.read() if pending is None else PendingExport.from_json(pending)
            known = self._pending(found, request, told["export_id"])
            self._note.pending = known
            self._raise_unless_found(told)
            return self._brought_home(request, known)

    def forget(self) -> None:
        """The very last step: from here on, a clear exports again."""
        self._note.remove()

    def unreported(self) -> VectorShiftTriggererTimeout:
        """The error of a wait that no triggerer ended; an overdue export is let go."""
        self._note.pending = self._note.read()
        pending = self._note.pending
        named = "that this task waits for" if pending is None else pending.state.task_id
        self._note.remove_overdue()
        return VectorShiftTriggererTimeout(
            f"No triggerer reported on export {named} in time: none is running, or they are too "
            "busy. Look at the triggerer, then run the task again."
        )

    # --- what stands ---

    def _pending(
        self, found: PendingExport | None, request: ExportRequest, export_id: str = ""
    ) -> PendingExport:
        """What was found, as far as it serves this request, or a new export."""
        account = self._task.vectorshift_conn_id
        known = found and found.going_on(account, self._target, request.key)
        if known is not None and export_id in ("", known.state.task_id):
            return known
        deadline = time.time() + self._task.timeout
        return PendingExport.new(account, self._target, deadline, request.key, export_id)

    @property
    def _known(self) -> PendingExport:
        assert self._note.pending is not None
        return self._note.pending

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Errors as Airflow should see them; a spent export is forgotten, so that a retry asks anew."""
        with failing_fast(name_of(self._task)):
            try:
                yield
            except SPENT:
                self._note.remove()
                raise
            except AnalyticsExportTimeout:
                self._note.remove_overdue()
                raise

    # --- from asking to rows ---

    def _brought_home(self, request: ExportRequest, pending: PendingExport) -> "Landed":
        self._note.pending = pending
        answer: ExportTask | None = None
        with VectorShiftHook(self._task.vectorshift_conn_id).get_conn() as client:
            if pending.state.task_id:
                self._task.show_export(self._context, pending.state.task_id)
            while True:
                with suppress(_StillPending):
                    return self._landed(client, request, answer)
                if self._task.deferrable:
                    self._defer(request)
                answer = self._waited(client)

    def _landed(
        self, client: "Client", request: ExportRequest, answer: "ExportTask | None"
    ) -> "Landed":
        """Raises `_StillPending` when the service is not ready soon; `answer` is what it said last."""
        landing = self._task.landing
        left = self._known.deadline - time.time()
        target = landing.target()
        with TemporaryDirectory(prefix="vectorshift-") as folder:
            return resume(
                client,
                self._known.state,
                request,
                Path(folder),
                save=self._save,
                task=answer,
                destination=target.destination,
                table=landing.table,
                connection=target.connect,
                parquet=self._task.parquet,
                reconnect=target.reconnect,
                timeout=max(left, _LAST_LOOK),
                poll_interval=min(self._task.poll_interval, _SHORT_WAIT),
                horizon=self._task.late_arrival,
                progress=self._leave_or_go_on,
            )

    def _save(self, state: "ExportState") -> None:
        is_new = state.task_id and state.task_id != self._known.state.task_id
        self._note.write(replace(self._known, state=state))
        if is_new:
            self._task.show_export(self._context, state.task_id)

    def _leave_or_go_on(self, what: str, done: int) -> None:
        if what == "looks" and done > 1:
            raise _StillPending
        self._progress(what, done)

    # --- waiting ---

    def _waited(self, client: "Client") -> "ExportTask | None":
        """The ready export; None for one that is of no use, for the job to ask again or give up."""
        export_id = self._known.state.task_id
        try:
            with suppress(AnalyticsExportFailed, AnalyticsNotFound):
                return wait(
                    client,
                    {"task_id": export_id},
                    timeout=max(self._known.deadline - time.time(), 0.0),
                    poll_interval=self._task.poll_interval,
                    progress=lambda looks: self._progress("looks", looks),
                )
        except AnalyticsExportTimeout:
            raise AnalyticsExportTimeout(export_id, self._task.timeout) from None
        return None

    def _defer(self, request: ExportRequest) -> None:
        from airflow_provider_vectorshift.triggers._waiting import GRACE
        from airflow_provider_vectorshift.triggers.export import VectorShiftExportTrigger

        deadline = min(self._known.deadline, time.time() + self._execution_left())
        if (left := deadline - time.time()) <= 0:
            self._raise_timeout()
        self._task.defer(
            trigger=VectorShiftExportTrigger(
                vectorshift_conn_id=self._task.vectorshift_conn_id,
                export_id=self._known.state.task_id,
                deadline=deadline,
                poll_interval=self._task.poll_interval,
            ),
            method_name=self._task.execute_complete.__name__,
            kwargs={"asked": request.to_dict(), "pending": self._known.to_json()},
            timeout=timedelta(seconds=left) + GRACE,
        )

    def _execution_left(self) -> float:
        """Seconds of `execution_timeout`, which Airflow does not look at while a task is deferred."""
        most = self._task.execution_timeout
        if most is None:
            return float("inf")
        began = getattr(self._context.get("ti"), "start_date", None) or datetime.now(UTC)
        return (most - (datetime.now(UTC) - began)).total_seconds()

    def _raise_unless_found(self, told: ExportEvent) -> None:
        """What the trigger could not wait out; a failed or missing export is for the job to judge."""
        if told["status"] == "timeout":
            self._task.log.warning("The last look at the export: %s", told["error"] or "pending")
            self._raise_timeout()
        if told["status"] == "refused":
            raise AirflowFailException(told["error"])

    def _raise_timeout(self) -> NoReturn:
        patience = self._task.timeout
        if self._task.execution_timeout is not None:
            patience = min(patience, self._task.execution_timeout.total_seconds())
        raise AnalyticsExportTimeout(self._known.state.task_id, patience)
