"""The steps of an export: ask for a window's events as a file, check the file, and let it land.

    submit -> (wait) -> stage -> land
    created   ready     staged    published, committed

What is asked has an identity (`ExportRequest.key`) that does not depend on the attempt, so that a
file, a ledger row and a second try can be told to belong together. Between processes go ids,
states and counts only: a signed URL lives in one function call (DESIGN.md, Decisions 5 and 6).
`job.py` drives these steps and goes on where a process died.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import ExportIncomplete, PublishError, StorageError
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift import Client, Download
    from vectorshift.analytics import ExportTask, Query
    from vectorshift_orchestration.storage.destinations import Destination
    from vectorshift_orchestration.storage.files import Published
    from vectorshift_orchestration.storage.ledger import Attempt
    from vectorshift_orchestration.storage.sql import Written

_IDENTITY_VERSION = "v1"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The events of one query in one window, as one file.

    `query` is what `Query.to_dict` gives, `format` is CSV, JSON or XLSX.
    """

    query: Mapping[str, Any]
    window: Window
    format: str = "CSV"

    @property
    def key(self) -> str:
        """The identity of what is asked, in hex: equal for equal requests in any process."""
        asked = {
            "query": self.query,
            "window": self.window.to_dict(),
            "format": self.format.upper(),
        }
        canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(f"{_IDENTITY_VERSION}|{canonical}".encode()).hexdigest()

    @property
    def file_name(self) -> str:
        """`vs-<key>.<format>`: by it a second export of the same request can be recognised."""
        return f"vs-{self.key[:16]}.{self.format.lower()}"

    def to_dict(self) -> dict[str, Any]:
        """The request as JSON values."""
        return {
            "query": dict(self.query),
            "window": self.window.to_dict(),
            "format": self.format,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave. Raises `WindowError` for what is no window."""
        return cls(document["query"], Window.from_dict(document["window"]), document["format"])

    def bound(self, client: Client) -> Query:
        """The query of this client, limited to the window."""
        from vectorshift.analytics import Query

        return self.window.bound(Query.from_dict(self.query, client))


@dataclass(frozen=True, slots=True)
class Staged:
    """A complete, checked file: its rows are the rows of the window.

    `counted` is what the service counted; more `rows` than that are let pass only for a window
    that is younger than the horizon. `verified` tells what the file server gave to check the bytes
    by: `checksum`, `length`, or `none`, where only the content was checked. Without a checksum, a
    byte that changed inside a text stays unnoticed.
    """

    path: Path
    bytes: int
    sha256: str
    rows: int
    counted: int
    task_id: str
    verified: str = "none"


@dataclass(frozen=True, slots=True)
class Landed:
    """Where an export came to rest, small enough to pass between tasks.

    `sha256` and `bytes` are those of the export's own file, also where it was published as Parquet.
    `verified` is as in `Staged`. `recreated` is how often the export was asked for again, because
    an answer was lost or the service's file could not be used.
    """

    task_id: str
    window: Window
    rows: int
    bytes: int
    sha256: str
    uri: str | None = None
    table: str | None = None
    deleted: int | None = None
    verified: str = "none"
    recreated: int = 0

    def to_json(self) -> dict[str, Any]:
        """What came to rest where, as JSON values; what did not apply is None."""
        return {
            "task_id": self.task_id,
            "window": self.window.to_dict(),
            "rows": self.rows,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "uri": self.uri,
            "table": self.table,
            "deleted": self.deleted,
            "verified": self.verified,
            "recreated": self.recreated,
        }


def submit(client: Client, request: ExportRequest) -> ExportTask:
    """Ask the service for the export. The task's id is to be stored before anything else is done.

    The returned task may hold a signed `download_url`: keep it in a local variable, at most give
    it to `stage`. Raises the SDK's errors, `AnalyticsExportFailed` for a task that failed at once.
    """
    from vectorshift.errors import AnalyticsExportFailed

    failpoint("export.asking")
    task = request.bound(client).export(request.format, request.file_name)
    failpoint("export.asked")
    if task.get("task_status") == "failed":
        raise AnalyticsExportFailed(task.get("task_id", ""), task.get("error", ""))
    return task


def wait(
    client: Client,
    task: ExportTask,
    *,
    timeout: float,
    poll_interval: float = 1.0,
    progress: Callable[[int], None] | None = None,
) -> ExportTask:
    """Look at a task until it is ready, at most `timeout` seconds, every `poll_interval` seconds.

    Ready is a task with a download URL that has not failed; it is returned without a look. Every
    other state means to look again: pending, a state that nobody knows, ready without a URL, and
    pending after ready. Only `failed` and a task that is not found end it early. `progress` is
    called with the number of looks.

    Raises `AnalyticsExportFailed`, `AnalyticsNotFound`, and `AnalyticsExportTimeout` when time is
    up.
    """
    from vectorshift.errors import AnalyticsExportFailed, AnalyticsExportTimeout

    deadline = time.monotonic() + timeout
    task_id = task.get("task_id", "")
    looks = 0
    while True:
        if task.get("task_status") == "failed":
            raise AnalyticsExportFailed(task_id, task.get("error", ""))
        if task.get("download_url"):
            return task
        if not task_id:
            raise AnalyticsExportFailed("", "the service gave neither a task id nor a download URL")
        left = deadline - time.monotonic()
        if left <= 0:
            raise AnalyticsExportTimeout(task_id, timeout)
        if looks:
            time.sleep(min(poll_interval, left))
        task = client.export_task(task_id, timeout=max(0.1, deadline - time.monotonic()))
        looks += 1
        if progress is not None:
            progress(looks)


def stage(
    client: Client,
    task: ExportTask | str,
    request: ExportRequest,
    directory: Path,
    *,
    horizon: timedelta = timedelta(hours=1),
    counted_before: int | None = None,
    progress: Callable[[int], None] | None = None,
    downloaded: Callable[[int], None] | None = None,
) -> Staged:
    """Download a ready export into `directory` and read all of it, so that it can be trusted.

    Give the task id, or the task itself where the service answers no polls. The file must read to
    its end, hold only rows of the window and none twice, and as many as the service counts for the
    same query. A window that ended less than `horizon` ago may still get events: there, more rows
    than counted are let pass, and fewer as long as they are not fewer than `counted_before`, what
    the service counted before the export was asked for. `progress` is called with the number of
    rows read, `downloaded` with the number of bytes that have arrived.

    Raises `ExportFileError`, `ExportIncomplete`, `PublishError` when the disk is full or refuses,
    and the SDK's errors. Then no file is left.
    """
    from vectorshift_orchestration.exports.completeness import checked_rows

    done = _download(client, task, directory / request.file_name, downloaded)
    try:
        rows = checked_rows(done.path, request.format, request.window, progress)
        counted = request.bound(client).count()["count"]
        _check_count(request, rows, counted, counted_before, horizon)
    except BaseException:
        done.path.unlink(missing_ok=True)
        raise
    return Staged(done.path, done.bytes, done.sha256, rows, counted, done.task_id, done.verified)


def land(
    staged: Staged,
    request: ExportRequest,
    *,
    destination: Destination | None = None,
    table: str | None = None,
    connection: Any = None,
    parquet: bool = False,
    attempt: Attempt | str | None = None,
    reconnect: Callable[[], Any] | None = None,
    on_published: Callable[[Published], None] | None = None,
    progress: Callable[[int], None] | None = None,
    copied: Callable[[int], None] | None = None,
) -> Landed:
    """Publish a staged file at `destination`, or replace its window in `table`, or both.

    With both, the file appears after all rows are in and just before they are committed, so an
    error leaves neither; only a failing COMMIT can leave the new file beside the old rows, and
    running again mends that. `parquet` publishes the rows as Parquet instead of the file's own
    format. `table` needs an open `connection` of a kind that `overwrite_window` takes; `attempt`
    and `reconnect` are as there. `on_published` is called once the file is at its destination.
    `progress` is called with the number of rows loaded, `copied` with the bytes published (the
    rows, for Parquet).

    Raises `PublishError`, `StorageError`, and `StorageError` when there is nowhere to land.
    """
    check_landing(destination, table, connection)
    published: list[Published] = []

    def publish_file() -> None:
        if destination is not None:
            published.append(_publish(staged, request, destination, parquet, copied))
            if on_published is not None:
                on_published(published[0])

    written: Written | None = None
    if table is None:
        publish_file()
    else:
        from vectorshift_orchestration.readers import read_export
        from vectorshift_orchestration.storage.sql import overwrite_window
        from vectorshift_orchestration.tables import EVENT_TIME

        schema, batches = read_export(staged.path, request.format)
        written = overwrite_window(
            connection,
            table,
            request.window,
            batches,
            schema=schema,
            time_column=EVENT_TIME,
            key=request.key,
            sha256=staged.sha256,
            attempt=attempt,
            reconnect=reconnect,
            before_commit=publish_file,
            progress=progress,
        )
    return Landed(
        task_id=staged.task_id,
        window=request.window,
        rows=staged.rows,
        bytes=staged.bytes,
        sha256=staged.sha256,
        uri=published[0].uri if published else None,
        table=table,
        deleted=written.deleted if written else None,
        verified=staged.verified,
    )


def check_landing(destination: Destination | None, table: str | None, connection: Any) -> None:
    """Raises `StorageError` when there is nowhere to land, or a table without a connection."""
    if destination is None and table is None:
        raise StorageError("The export has nowhere to land. Give a destination, a table, or both.")
    if table is not None and connection is None:
        raise StorageError(f"Table {table!r} needs a connection to land in. Give connection=.")


def _download(
    client: Client,
    task: ExportTask | str,
    path: Path,
    progress: Callable[[int], None] | None,
) -> Download:
    from vectorshift.errors import VectorshiftError

    def arrived(received: int, _: int | None) -> None:
        if progress is not None:
            progress(received)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return client.download_export(task, path, progress=arrived)
    except VectorshiftError:  # some are OSErrors too
        raise
    except OSError as problem:
        raise PublishError(
            f"The export could not be stored in {path.parent}: {problem.strerror or problem}. "
            "No file was left; make room or give the right to write there, then run again."
        ) from problem


def _check_count(
    request: ExportRequest,
    rows: int,
    counted: int,
    counted_before: int | None,
    horizon: timedelta,
) -> None:
    recent = request.window.end > datetime.now(UTC) - horizon
    least = min(counted, counted_before) if recent and counted_before is not None else counted
    if rows < least or (rows > counted and not recent):
        raise ExportIncomplete(
            f"The export of window {request.window.label} holds {rows:,} rows, and the service "
            f"counts {counted:,}. Nothing was landed; export again, later if events of this "
            "window are still arriving.",
            rows=rows,
            counted=counted,
        )


def _publish(
    staged: Staged,
    request: ExportRequest,
    destination: Destination,
    parquet: bool,
    progress: Callable[[int], None] | None,
) -> Published:
    if parquet:
        from vectorshift_orchestration.readers import read_export
        from vectorshift_orchestration.storage.parquet import write_parquet

        schema, batches = read_export(staged.path, request.format)
        return write_parquet(schema, batches, destination, progress=progress)
    from vectorshift_orchestration.storage.files import publish

    return publish(staged.path, destination, sha256=staged.sha256, progress=progress)
