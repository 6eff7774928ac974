"""What the assets of one export do: ask, wait, land, and keep a record of how far they got."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast

import dagster as dg

from dagster_vectorshift.checks._evaluations import scoped
from dagster_vectorshift.exports._options import ExportOptions
from dagster_vectorshift.exports._records import observation, saved
from dagster_vectorshift.failures import as_dagster_failures
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.translator import ExportProps
from vectorshift.errors import AnalyticsDownloadFailed, AnalyticsExportFailed, AnalyticsNotFound
from vectorshift_orchestration.errors import (
    ExportFileError,
    ExportIncomplete,
    ExportStateError,
    StaleWriterError,
)
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from dagster_vectorshift.storage._protocol import ExportStorage
    from vectorshift import Client
    from vectorshift.analytics import ExportTask
    from vectorshift_orchestration.exports import ExportRequest, Landed
    from vectorshift_orchestration.exports.state import ExportState

_SPENT = (
    AnalyticsDownloadFailed,
    AnalyticsExportFailed,
    AnalyticsNotFound,
    ExportFileError,
    ExportIncomplete,
    ExportStateError,
    StaleWriterError,
)
"""After these the record is of no more use: every re-create that it allows has been made."""

_HORIZON = timedelta(hours=1)

Save: TypeAlias = "Callable[[ExportState], None]"


@dataclass(frozen=True)
class Export:
    """What the assets of one export share."""

    spec: dg.AssetSpec
    options: ExportOptions

    @classmethod
    def of(cls, options: ExportOptions) -> Self:
        """The export that the options describe."""
        props = ExportProps(options.name, options.query, options.format, options.description)
        return cls(options.spec(props), options)

    @property
    def table(self) -> str:
        """The table, or the folder of files, in the storage."""
        return self.options.table or self.options.name

    def arguments(self) -> dict[str, Any]:
        """How an asset of this export is run, as arguments of `dg.multi_asset`."""
        return {
            "partitions_def": self.options.partitions_def,
            "backfill_policy": self.options.backfill_policy or dg.BackfillPolicy.multi_run(1),
            "retry_policy": self.options.retry_policy,
            "pool": self.options.pool,
            "required_resource_keys": {self.options.resource_key, self.options.storage_key},
        }

    def request(self, client: "Client", window: Window) -> "ExportRequest":
        """What is asked for a window."""
        from vectorshift_orchestration.exports import ExportRequest

        query = scoped(client, self.options.query)
        return ExportRequest(query.to_dict(), window, self.options.format)

    def requested(
        self, context: dg.AssetExecutionContext, partition: str, window: Window
    ) -> "ExportState":
        """The record of an export that the service has accepted."""
        with as_dagster_failures():
            client = self._account(context).get_client()
            request = self.request(client, window)
            state = saved(context.instance, self.spec.key, partition, request.key)
            return _asked(client, request, state, self._saver(context, partition))[0]

    def landed(
        self, context: dg.AssetExecutionContext, partition: str, window: Window
    ) -> dict[str, Any]:
        """Bring the export of a partition to its end; metadata of it."""
        from vectorshift_orchestration.exports import wait
        from vectorshift_orchestration.exports.job import resume

        save = self._saver(context, partition)
        timeout, poll_interval = self.options.timeout, self.options.poll_interval
        with as_dagster_failures():
            client = self._account(context).get_client()
            request = self.request(client, window)
            state = saved(context.instance, self.spec.key, partition, request.key)
            task: ExportTask | None = None
            # A database is connected to when there is something to land, not while the service works.
            with suppress(AnalyticsExportFailed, AnalyticsNotFound):
                state = self._fenced(context, state, request, save)
                state, answer = _asked(client, request, state, save)
                if answer is not None:
                    task = wait(client, answer, timeout=timeout, poll_interval=poll_interval)
            try:
                with self._storage(context).landing(
                    self.table, window, self.options.format
                ) as place:
                    done = resume(
                        client,
                        state,
                        request,
                        self._work_dir(),
                        save=save,
                        task=task,
                        timeout=timeout,
                        poll_interval=poll_interval,
                        **place,
                    )
            except _SPENT:
                context.log_event(observation(self.spec.key, partition, None))
                raise
            return self._told(context, window, done)

    def about(self, context: dg.AssetExecutionContext) -> dict[str, Any]:
        """Metadata of the table: its name, place and columns."""
        from vectorshift_orchestration.tables import EVENT_SCHEMA

        storage, ui_url = self._storage(context), self._account(context).ui_url
        columns = [dg.TableColumn(field.name, str(field.type)) for field in EVENT_SCHEMA]
        return {
            "dagster/table_name": self.table,
            "dagster/uri": storage.locate(self.table),
            "dagster/storage_kind": storage.kind,
            "dagster/column_schema": dg.TableSchema(columns),
            **({} if ui_url is None else {"vectorshift/ui": dg.MetadataValue.url(ui_url)}),
        }

    def _fenced(
        self,
        context: dg.AssetExecutionContext,
        state: "ExportState | None",
        request: "ExportRequest",
        save: Save,
    ) -> "ExportState":
        """The record with the token that keeps a slower writer from undoing a faster one's work."""
        from vectorshift_orchestration.exports.state import ExportState
        from vectorshift_orchestration.storage.sql import begin_attempt

        state = state or ExportState(request.key)
        if state.attempt is not None:
            return state
        with self._storage(context).landing(self.table, request.window, request.format) as place:
            if "table" not in place:
                return state
            attempt = begin_attempt(place["connection"], self.table, request.window)
        state = replace(state, attempt=str(attempt))
        save(state)
        return state

    def _told(
        self, context: dg.AssetExecutionContext, window: Window, done: "Landed"
    ) -> dict[str, Any]:
        told = {
            "dagster/partition_row_count": done.rows,
            "dagster/uri": done.uri or self._storage(context).locate(self.table, window),
            "vectorshift/rows_replaced": done.deleted,
            "vectorshift/bytes": done.bytes,
            "vectorshift/sha256": done.sha256,
            "vectorshift/verified_by": done.verified,
            "vectorshift/task_id": done.task_id,
            "vectorshift/recreated": done.recreated,
            "vectorshift/window_start": dg.MetadataValue.timestamp(window.start),
            "vectorshift/window_end": dg.MetadataValue.timestamp(window.end),
        }
        return {name: value for name, value in told.items() if value is not None}

    def _saver(self, context: dg.AssetExecutionContext, partition: str) -> Save:
        return lambda state: context.log_event(observation(self.spec.key, partition, state))

    def _account(self, context: dg.AssetExecutionContext) -> VectorShiftResource:
        account: VectorShiftResource = getattr(context.resources, self.options.resource_key)
        return account

    def _storage(self, context: dg.AssetExecutionContext) -> "ExportStorage":
        return cast("ExportStorage", getattr(context.resources, self.options.storage_key))

    def _work_dir(self) -> Path:
        given = self.options.work_dir
        folder = Path(given or Path(gettempdir()) / f"vectorshift-exports-{os.getuid()}")
        folder.expanduser().mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder.expanduser()


def _asked(
    client: "Client", request: "ExportRequest", state: "ExportState | None", save: Save
) -> "tuple[ExportState, ExportTask | None]":
    """The record of an export that was asked for, now or before, and its task while one is awaited.

    The task may hold a signed URL, which the record must not. What went wrong before is `resume`'s.
    """
    from vectorshift_orchestration.exports import submit
    from vectorshift_orchestration.exports.state import ExportState

    state = state or ExportState(request.key)
    if state.task_id or state.asked:
        awaited = state.task_id and state.state in ("created", "ready")
        return state, {"task_id": state.task_id} if awaited else None
    recent = request.window.end > datetime.now(UTC) - _HORIZON
    before = request.bound(client).count()["count"] if recent else None
    state = replace(state, asked=1, counted_before=before)
    save(state)
    try:
        task = submit(client, request)
    except AnalyticsExportFailed:
        return state, None
    state = replace(state, state="created", task_id=task.get("task_id", ""))
    save(state)
    return state, task
