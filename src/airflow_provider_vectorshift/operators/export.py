"""An operator: a data interval of events exported, checked, and landed."""

import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_vectorshift._airflow import AirflowFailException, TaskDeferralTimeout, conf
from airflow_provider_vectorshift._arguments import (
    check_flags,
    checking,
    execution_left,
    inherited,
    is_literal,
)
from airflow_provider_vectorshift.errors import VectorShiftTriggererTimeout, failing_fast
from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.links import VectorShiftExportLink, show
from airflow_provider_vectorshift.operators._writing import WritingOperator
from vectorshift.errors import AnalyticsExportTimeout
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.exports.request import ExportOptions
from vectorshift_orchestration.values import seconds

if TYPE_CHECKING:
    from airflow.sdk import Context, ObjectStoragePath

    from vectorshift import Client
    from vectorshift.analytics import Query
    from vectorshift_orchestration.exports.notes import PendingExport, PendingNote
    from vectorshift_orchestration.exports.request import ExportRequest

_PARQUET = "parquet"


class VectorShiftExportOperator(WritingOperator):
    """Exports the events of one data interval, checks the file, and lands it.

    The file is downloaded to a temporary place, read to its end and its rows compared with the
    service's count; then it appears at `destination` in one step, and replaces the interval in `table` in one
    transaction. Running it again leaves the same file and rows. The result (XCom) is small and the
    same in every mode: `task_id`, `window`, `rows`, `bytes`, `sha256`, `uri`, `table`, `verified`,
    `recreated`. The assets among `outlets` get the same as the extra of their events.

    With `durable` on Airflow 3.3, a retry goes on where the try before it stopped, with the same
    export; clearing a task that succeeded exports again.

    Args:
        query: which events: a `Query`, what its `to_dict` gives, or None for all. Its time bounds,
            if any, apply besides the interval.
        file_format: CSV, JSON or XLSX: what the service writes.
        parquet: publish the file as Parquet.
        destination: path or URI of the file, `s3://conn_id@bucket/key` or an `ObjectStoragePath`
            for one with a connection, or None for no file.
        table: table to load, `name` or `schema.name`, created when it does not exist, or None.
        sql_conn_id: connection to the table's database, see docs/databases.md.
        duckdb_path: DuckDB file that holds the table instead; created when it does not exist.
        lake: lake that holds the table instead: `delta:FOLDER`, a path or URI, or `iceberg:CATALOG`, a
            catalog in pyiceberg's configuration.
        source: a name for the table's rows in column `source_name`. Tasks with different sources may
            share a table: only rows of the same source are replaced.
        replace_other: replace an interval of the table that holds the rows of another query or
            account, which is refused otherwise.
        replace_characters: write U+FFFD for each NUL, lone surrogate and byte that is not UTF-8 in a
            table or a Parquet file, and report how many (`replaced`), instead of refusing the rows.
        start: start of the interval, an aware datetime or ISO 8601 text; the data interval's by
            default, or its partition's.
        end: its end, exclusive; by default like `start`.
        lookback: how many earlier intervals to export and overwrite with it, because events
            arrive late. Needs a table and no destination: a file is named by one interval.
        vectorshift_conn_id: connection of type `vectorshift`.
        deferrable: wait in the triggerer, without a worker slot.
        poll_interval: time between polls of the export; grows to a minute while deferred. Like
            `timeout` and `late_arrival` a timedelta or seconds.
        timeout: time from requesting the export until it is ready, in both modes.
        durable: remember the export over retries, where Airflow has a task state store.
        late_arrival: how long after its end an interval may still hold more rows than the service
            counts.
        chunks: in how many parts the interval is exported, all at once and each retried by itself; they
            become visible as one. Needs `table` alone, or `parquet` for a file.

    Raises, as `AirflowFailException` without retries: a refused key or query, an interval that is
    missing, empty, reversed or naive, a missing connection, a table that cannot take the rows.
    Anything else (a time-out, a damaged file, a full disk) fails the try, and retries apply. In
    every case no file and no row has changed.
    """

    template_fields: Sequence[str] = (
        *WritingOperator.template_fields,
        "file_format",
    )
    operator_extra_links = (VectorShiftExportLink(),)

    export_url = ""
    """The address of the export in the API, once it was requested; `VectorShiftExportLink` shows it."""

    def __init__(
        self,
        *,
        query: "Query | Mapping[str, Any] | None" = None,
        file_format: str = ExportOptions.format,
        parquet: bool = False,
        destination: "str | os.PathLike[str] | ObjectStoragePath | None" = None,
        table: str | None = None,
        sql_conn_id: str | None = None,
        duckdb_path: str | os.PathLike[str] | None = None,
        lake: str | None = None,
        source: str | None = None,
        replace_other: bool = False,
        replace_characters: bool = False,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        lookback: int | str = 0,
        vectorshift_conn_id: str = VectorShiftHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: timedelta | float = ExportOptions.poll_interval,
        timeout: timedelta | float = ExportOptions.timeout,
        durable: bool = True,
        late_arrival: timedelta | float = ExportOptions.late_arrival,
        chunks: int = ExportOptions.chunks,
        **kwargs: Any,
    ) -> None:
        super().__init__(**inherited(locals()), **kwargs)
        self.file_format = file_format
        self.parquet = parquet
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.durable = durable
        self.late_arrival = late_arrival
        self.chunks = chunks
        check_flags(self, "deferrable", "durable", "parquet")
        self._check()

    # --- what Airflow calls ---

    def execute(self, context: "Context") -> dict[str, Any]:
        """Request the export or find the pending one, then wait for it here or in the triggerer."""
        request = self._request(context)
        note = self._note(context, request)
        return self._run_export(context, request, note, leaving=self.deferrable)

    def execute_complete(
        self,
        context: "Context",
        event: Any,
        asked: Mapping[str, Any] | None = None,
        pending: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Land the export that the trigger reported; it is looked up again, for its URL.

        `asked` is the request as it was when the task deferred, because this is another instance,
        with its templates rendered again; `pending` is its progress. `dag.test()` passes
        neither.
        """
        from airflow_provider_vectorshift._events import read_export_event
        from vectorshift_orchestration.exports.request import ExportRequest

        request = self._request(context) if asked is None else ExportRequest.from_dict(asked)
        note, report = self._note(context, request), read_export_event(event)
        note.take_up(pending, report["export_id"])
        if report["status"] == "timeout":
            self.log.warning("The last poll of the export: %s", report["error"] or "pending")
            note.discard_overdue()
            raise self._timed_out(report["export_id"])
        if report["status"] == "refused":
            note.discard()
            raise AirflowFailException(report["error"])
        # Without a record of the chunks they are requested again, and to leave again might never end.
        recorded = self.chunks == 1 or (note.pending is not None and note.pending.state.chunks)
        return self._run_export(context, request, note, leaving=self.deferrable and bool(recorded))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: "Context"
    ) -> Any:
        """As Airflow does it, but without a report in time an overdue export is given up."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout as error:
            note = self._note(context, self._request(context))
            pending = note.stored()
            note.discard_overdue()
            export = "that this task waits for" if pending is None else pending.state.task_id
            raise VectorShiftTriggererTimeout(
                f"No triggerer reported on export {export} in time: none is running, or they are too "
                "busy. Check the triggerer, then run the task again."
            ) from error

    def on_kill(self) -> None:
        """An export cannot be cancelled; a retry resumes it."""
        self.log.info("The export goes on at the service, which cannot cancel it.")

    # --- the request ---

    def _bound_query(self, client: "Client | None" = None) -> "Query":
        """The query, bound to the account's client. Raises `SpecError` and `AnalyticsInvalidQuery`."""
        from vectorshift.analytics import Query

        if "group_by" in self._query_document:
            raise SpecError("A grouped query has figures, not events; leave group_by out.")
        return Query.from_dict(self._query_document, client)

    def _request(self, context: Mapping[str, Any]) -> "ExportRequest":
        from vectorshift_orchestration.exports.request import ExportRequest

        with failing_fast(self._name):
            self._check()
            self._require_own_target(context)
            with self._checking("query="):
                query = self._bound_query().to_dict()
            return ExportRequest(
                query, self._window(context), self.file_format.upper(), self.account
            )

    @property
    def options(self) -> ExportOptions:
        """How the export is requested and polled. Raises ValueError for a value that cannot be used."""
        late_arrival = seconds("late_arrival", self.late_arrival, above_0=False)
        return ExportOptions(
            format=self.file_format if is_literal(self.file_format) else ExportOptions.format,
            timeout=seconds("timeout", self.timeout),
            poll_interval=seconds("poll_interval", self.poll_interval),
            late_arrival=timedelta(seconds=late_arrival),
            chunks=self.chunks,
        )

    def _check(self) -> None:
        """Raise `SpecError`, a sentence that names the task and the argument.

        Templates and values of other tasks pass: they are checked when they are known.
        """
        self.place.check(self._name)
        with checking(self._name):
            try:
                self.options.check_destination(self.destination, parquet=self.parquet)
            except SpecError as problem:  # which has the core's name for `file_format`
                raise SpecError(str(problem).replace("format=", "file_format=", 1)) from problem
            self._check_file()

    def _check_file(self) -> None:
        if self.parquet and self.destination is None:
            raise ValueError("parquet= needs a file. Give destination= too.")
        if self.destination is not None and is_literal(self.lookback) and self.intervals_before:
            raise ValueError(
                "lookback= overwrites earlier intervals, and destination= names the file of one. "
                "Land in table= alone, give start= for one wider file, or map the task over the "
                "intervals."
            )
        arguments = self.destination, self.file_format
        if not all(isinstance(each, str) and is_literal(each) for each in arguments):
            return
        suffix = PurePosixPath(str(self.destination)).suffix.lower().removeprefix(".")
        content = _PARQUET if self.parquet else self.file_format.lower()
        if suffix != content and suffix in ("csv", "json", "xlsx", _PARQUET):
            raise ValueError(
                f"destination= is named .{suffix} and would hold {content.upper()}; rename it, or "
                "change file_format= or parquet=."
            )

    # --- one try ---

    def _note(self, context: Mapping[str, Any], request: "ExportRequest") -> "PendingNote":
        """The record of the export between tries."""
        from vectorshift_orchestration.exports.notes import PendingNote

        def on_export(export_id: str) -> None:
            self.log.info("The export is %s", export_id)
            show(self, context, self._hook.base_url, export_id)

        place = self.place
        target = place.destination, place.table, place.sql_conn_id, place.duckdb_path, place.source
        where = (
            [*target, self.parquet] if place.lake is None else [*target, self.parquet, place.lake]
        )
        return PendingNote(
            context.get("task_state_store") if self.durable else None,
            account=self.vectorshift_conn_id,
            target=where,
            key=request.key,
            on_export=on_export,
        )

    def _run_export(
        self,
        context: Mapping[str, Any],
        request: "ExportRequest",
        note: "PendingNote",
        *,
        leaving: bool,
    ) -> dict[str, Any]:
        """The result, the same on every path, or the deferral; the note is discarded last."""
        from vectorshift_orchestration.exports.notes import PendingExport
        from vectorshift_orchestration.exports.tries import run_export

        with failing_fast(self._name):
            landing = self.place.landing(parquet=self.parquet)
            with self._client() as client:
                landed = run_export(
                    client,
                    request,
                    landing,
                    note,
                    self.options,
                    leaving=leaving,
                    say=self.log.info,
                )
        if isinstance(landed, PendingExport):
            self._defer(context, request, landed)
        result = landed.to_json()
        # How many rows were replaced is unknown if an earlier try had committed, so it is not reported.
        replaced = result.pop("deleted")
        self.log.info(
            "Landed %s rows of %s, in place of %s", landed.rows, landed.window.label, replaced
        )
        self._report(context, result)
        note.discard()  # from here on, a clear exports again
        return result

    def _defer(
        self, context: Mapping[str, Any], request: "ExportRequest", pending: "PendingExport"
    ) -> NoReturn:
        from airflow_provider_vectorshift.triggers._waiting import GRACE
        from airflow_provider_vectorshift.triggers.export import VectorShiftExportTrigger

        export_id, now = pending.state.task_id, time.time()
        deadline = min(pending.state.deadline or now, now + execution_left(self, context))
        if deadline <= now:
            raise self._timed_out(export_id)
        self.defer(
            trigger=VectorShiftExportTrigger(
                vectorshift_conn_id=self.vectorshift_conn_id,
                export_id=export_id,
                deadline=deadline,
                poll_interval=self.options.poll_interval,
            ),
            method_name=self.execute_complete.__name__,
            kwargs={"asked": request.to_dict(), "pending": pending.to_json()},
            timeout=timedelta(seconds=deadline - now) + GRACE,
        )

    def _timed_out(self, export_id: str) -> AnalyticsExportTimeout:
        """The error of an export that was not ready in time."""
        limit = self.execution_timeout or timedelta.max
        return AnalyticsExportTimeout(export_id, min(self.options.timeout, limit.total_seconds()))
