"""An operator: a data interval of events exported, checked, and landed."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_provider_vectorshift._airflow import AirflowFailException, conf
from airflow_provider_vectorshift._context import data_interval, window_of
from airflow_provider_vectorshift._events import ExportEvent, read_export_event
from airflow_provider_vectorshift._pending import (
    PendingExport,
    PendingNote,
    read_request,
    request_as_json,
)
from airflow_provider_vectorshift.errors import SPENT, failing_fast
from airflow_provider_vectorshift.hooks import VectorShiftHook

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

    from vectorshift import Client
    from vectorshift.analytics import ExportTask, Query
    from vectorshift_orchestration.exports import ExportRequest

_TRIGGER_GRACE = 60.0
"""Seconds that the trigger has to report its own timeout before the scheduler steps in for it."""


class VectorShiftExportOperator(BaseOperator):
    """Exports the events of one data interval, checks the file, and lands it.

    The file is downloaded to a temporary place, read to its end and counted against the service;
    then it appears at `destination` in one step, and replaces the interval in `table` in one
    transaction. Running it again leaves the same file and rows. The result (XCom) is small and the
    same in every mode: `task_id`, `window`, `rows`, `bytes`, `sha256`, `uri`, `table`, `deleted`.

    With `durable` on Airflow 3.3, a retry goes on with the export that an earlier try asked for;
    clearing a task that succeeded exports again.

    Args:
        query: which events: a `Query`, what its `to_dict` gives, or None for all. Its time bounds,
            if any, apply besides the interval.
        file_format: CSV, JSON or XLSX.
        destination: path of the file, or None for no file.
        table: table to load, `name` or `schema.name`, or None. Needs `duckdb_path`.
        duckdb_path: DuckDB file that holds the table; made when it is not there.
        start: start of the interval, an aware datetime or ISO 8601 text; the data interval's by
            default.
        end: its end, which does not belong to it; the data interval's by default.
        vectorshift_conn_id: connection of type `vectorshift`.
        deferrable: wait in the triggerer, without a worker slot.
        poll_interval: seconds between looks at the export; grows to a minute while deferred.
        timeout: seconds from asking for the export to its being ready, in both modes.
        durable: remember the export over retries, where Airflow has a task state store.
        late_arrival: how long after its end an interval may still hold more rows than the service
            counts.

    Raises, as `AirflowFailException` without retries: a refused key or query, an interval that is
    missing, empty, reversed or naive, a missing connection, a table that cannot take the rows.
    Anything else (a time-out, a damaged file, a full disk) fails the try, and retries apply. In
    every case there is no new file and no changed row.
    """

    template_fields: Sequence[str] = (
        "query",
        "file_format",
        "destination",
        "table",
        "duckdb_path",
        "start",
        "end",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"query": "json"}
    ui_color = "#e6e4ff"

    def __init__(
        self,
        *,
        query: "Query | Mapping[str, Any] | None" = None,
        file_format: str = "CSV",
        destination: str | os.PathLike[str] | None = None,
        table: str | None = None,
        duckdb_path: str | os.PathLike[str] | None = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        vectorshift_conn_id: str = VectorShiftHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 2.0,
        timeout: float = 3600.0,
        durable: bool = True,
        late_arrival: timedelta = timedelta(hours=1),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.query = _as_json(query)
        self.file_format = file_format
        self.destination = _as_text(destination)
        self.table = table
        self.duckdb_path = _as_text(duckdb_path)
        self.start = start
        self.end = end
        self.vectorshift_conn_id = vectorshift_conn_id
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.durable = durable
        self.late_arrival = late_arrival
        self._check_arguments()

    def render_template_fields(
        self, context: "Context", jinja_env: "Environment | None" = None
    ) -> None:
        """Fill in the templates, once it is sure that there is an interval for them to name."""
        if self.start is None or self.end is None:
            with failing_fast():
                data_interval(context)
        super().render_template_fields(context, jinja_env)

    def execute(self, context: "Context") -> dict[str, Any]:
        """Ask for the export or find the one under way, then wait for it here or in the triggerer."""
        from vectorshift_orchestration.exports import wait

        note = PendingNote(context, durable=self.durable)
        with self._reporting(note), self._client() as client:
            request = self._request(context, client)
            task, deadline = self._found(client, request, note) or self._asked(
                client, request, note
            )
            left = round(max(deadline - time.time(), 0.0), 1)
            export_id = task.get("task_id")
            if self.deferrable and export_id and not task.get("download_url"):
                self._defer(export_id, request, deadline, left)
            task = wait(client, task, timeout=left, poll_interval=self.poll_interval)
            return self._landed(client, task, request, note)

    def execute_complete(
        self, context: "Context", event: Any, asked: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Land the export that the trigger reported; it is looked up again, for its URL.

        `asked` is the request as it was when the task deferred, because this is another instance,
        with its templates filled in anew. `dag.test()` does not hand it over.
        """
        note = PendingNote(context, durable=self.durable)
        with self._reporting(note), self._client() as client:
            told = read_export_event(event)
            self._raise_unless_ready(told)
            request = self._request(context, client) if asked is None else read_request(asked)
            return self._landed(client, told["export_id"], request, note)

    # --- what was asked for ---

    def _check_arguments(self) -> None:
        if self.destination is None and self.table is None:
            raise ValueError(
                f"{self._name}: the export has nowhere to land. Give destination=, table=, or both."
            )
        if (self.table is None) != (self.duckdb_path is None):
            raise ValueError(
                f"{self._name}: table= and duckdb_path= belong together. Give both or neither."
            )
        for name in ("timeout", "poll_interval"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{self._name}: {name}= is a number of seconds above 0.")

    @property
    def _name(self) -> str:
        return f"{type(self).__name__} {self.task_id!r}"

    def _request(self, context: Mapping[str, Any], client: "Client") -> "ExportRequest":
        from vectorshift_orchestration.exports import ExportRequest

        query = client.query().to_dict() if self.query is None else self.query
        return ExportRequest(query, window_of(context, self.start, self.end), self.file_format)

    def _client(self) -> "Client":
        return VectorShiftHook(self.vectorshift_conn_id).get_conn()

    # --- the export under way ---

    def _found(
        self, client: "Client", request: "ExportRequest", note: PendingNote
    ) -> "tuple[ExportTask, float] | None":
        """The export that an earlier try asked for, if it is for the same rows and of use yet."""
        from vectorshift.errors import AnalyticsNotFound

        pending = note.read()
        if pending is None or pending.request_key != request.key:
            return None
        try:
            task = client.export_task(pending.export_id)
        except AnalyticsNotFound:
            return None
        under_way = task.get("task_status") != "failed" and time.time() < pending.deadline
        if not under_way and not task.get("download_url"):
            return None
        self.log.info("Going on with export %s of an earlier try", pending.export_id)
        return task, pending.deadline

    def _asked(
        self, client: "Client", request: "ExportRequest", note: PendingNote
    ) -> "tuple[ExportTask, float]":
        from vectorshift_orchestration.exports import submit

        task = submit(client, request)
        export_id, deadline = task.get("task_id", ""), time.time() + self.timeout
        if export_id:  # else it is ready, and there is nothing to find again
            note.write(PendingExport(export_id, request.key, deadline))
        self.log.info("Asked for export %s of %s", export_id, request.window.label)
        return task, deadline

    def _defer(
        self, export_id: str, request: "ExportRequest", deadline: float, left: float
    ) -> None:
        from airflow_provider_vectorshift.triggers import VectorShiftExportTrigger

        self.defer(
            trigger=VectorShiftExportTrigger(
                vectorshift_conn_id=self.vectorshift_conn_id,
                export_id=export_id,
                deadline=deadline,
                poll_interval=self.poll_interval,
            ),
            method_name=self.execute_complete.__name__,
            kwargs={"asked": request_as_json(request)},
            timeout=timedelta(seconds=left + _TRIGGER_GRACE),
        )

    def _raise_unless_ready(self, told: ExportEvent) -> None:
        from vectorshift.errors import (
            AnalyticsExportFailed,
            AnalyticsExportTimeout,
            AnalyticsNotFound,
        )

        export_id, error = told["export_id"], told["error"]
        match told["status"]:
            case "failed":
                raise AnalyticsExportFailed(export_id, error)
            case "timeout":
                self.log.warning("The last look at export %s: %s", export_id, error or "pending")
                raise AnalyticsExportTimeout(export_id, self.timeout)
            case "missing":
                raise AnalyticsNotFound(error)
            case "refused":
                raise AirflowFailException(error)

    # --- landing ---

    def _landed(
        self,
        client: "Client",
        task: "ExportTask | str",
        request: "ExportRequest",
        note: PendingNote,
    ) -> dict[str, Any]:
        from vectorshift_orchestration.exports import land, stage
        from vectorshift_orchestration.storage.duckdb_file import duckdb_file

        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="vectorshift-")))
            staged = stage(client, task, request, folder, horizon=self.late_arrival)
            landed = land(
                staged,
                request,
                destination=self.destination,
                table=self.table,
                connection=stack.enter_context(duckdb_file(self.duckdb_path))
                if self.duckdb_path
                else None,
            )
        note.remove()
        self.log.info("Landed %s rows of %s", landed.rows, request.window.label)
        return landed.to_json()

    @contextmanager
    def _reporting(self, note: PendingNote) -> Iterator[None]:
        """Errors as Airflow should see them; a spent export is forgotten, so that a retry asks anew."""
        with failing_fast():
            try:
                yield
            except SPENT:
                note.remove()
                raise


def _as_json(query: Any) -> Any:
    """A `Query` as its JSON form, which templates and serialization can carry."""
    to_dict = getattr(query, "to_dict", None)
    return query if to_dict is None else to_dict()


def _as_text(path: Any) -> Any:
    """A path as text, which templates can fill in."""
    return str(path) if isinstance(path, os.PathLike) else path
