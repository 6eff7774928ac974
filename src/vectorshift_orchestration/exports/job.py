"""The export job: from any recorded state to rows that have landed, in any process.

Before each step that cannot be taken back, the record is saved; after a crash, `resume` with the
last saved record goes on from there. Whatever is repeated replaces, and never adds:

| saved state | what resuming does |
|---|---|
| intent | asks; if it was asked before and nothing is known of the answer, that counts as a re-create |
| created, ready | looks at the task, for its state and a fresh URL, and downloads |
| staged | uses the file if it is still here and unchanged, else downloads it again |
| published | asks the ledger whether the rows were committed; if not, as staged |
| committed | nothing |

A task that failed or is not found, a download that fails for good (the URL always expired, the
file cut), and a file that is not complete are asked for again, at most twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from vectorshift_orchestration.errors import ExportFileError, ExportIncomplete, ExportStateError
from vectorshift_orchestration.exports import (
    ExportRequest,
    Landed,
    Staged,
    check_landing,
    land,
    stage,
    submit,
    wait,
)
from vectorshift_orchestration.exports.state import ExportState, State

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.analytics import ExportTask
    from vectorshift_orchestration.storage.destinations import Destination
    from vectorshift_orchestration.storage.files import Published

MOST_RECREATES = 2

What: TypeAlias = Literal["looks", "bytes", "checked", "copied", "loaded"]
"""What a progress figure counts: looks at the task, bytes downloaded, rows read, bytes (Parquet:
rows) published, rows loaded."""


class Save(Protocol):
    """Stores the record, durably, before it returns."""

    def __call__(self, state: ExportState, /) -> object:
        """Replace the record that is stored under the state's key."""


def resume(
    client: Client,
    state: ExportState | None,
    request: ExportRequest,
    directory: Path,
    *,
    save: Save,
    task: ExportTask | None = None,
    destination: Destination | None = None,
    table: str | None = None,
    connection: Any = None,
    parquet: bool = False,
    reconnect: Callable[[], Any] | None = None,
    timeout: float = 3600.0,
    poll_interval: float = 2.0,
    horizon: timedelta = timedelta(hours=1),
    progress: Callable[[What, int], None] | None = None,
) -> Landed:
    """Bring an export to its end, from its record or, with None, from the beginning.

    `directory` is a working folder for the file; the same one in another process saves a download.
    `connection` is open, or a function that gives a context manager of one, such as
    `lambda: duckdb_file(path)`: then it is open while the ledger is asked and while the window is
    written, and not while the service is waited for, the file is downloaded and checked.
    What is wanted (`request`, `destination`, `table`, `parquet`) has to be the same each time.
    `task` is the answer that the caller has just had for the task of `state`, so that a service
    that answers no polls is not asked again; it may hold a signed URL, which is not kept.
    `timeout` is seconds from now until the service has the file ready, over all re-creates.
    `horizon` is as in `stage`, the rest as in `land`. The file in `directory` is removed in the
    end; after an error it stays, if it is complete, and serves the next try.

    Raises `ExportStateError` when the record belongs to another request, what `wait`, `stage` and
    `land` raise once there is no re-create left, and whatever `save` raises. What it raises leaves
    a record to go on from, except `StaleWriterError`: there somebody else wrote the window since,
    and only a new job may write it.
    """
    check_landing(destination, table, connection)
    if state is not None and state.key != request.key:
        raise ExportStateError(
            f"The record belongs to export {state.key[:16]}, and {request.key[:16]} is asked for. "
            "Give each request a record of its own."
        )
    job = _Job(client, request, save, directory, state or ExportState(request.key))
    job.progress, job.horizon, job.poll_interval, job.task = progress, horizon, poll_interval, task
    job.deadline = time.monotonic() + timeout
    if job.state.state == "committed":
        return job.landed(table)
    with _opened(connection) as database:
        if job.is_committed(table, database):
            return job.landed(table)
        if table is not None and job.state.attempt is None:
            from vectorshift_orchestration.storage.sql import begin_attempt

            attempt = begin_attempt(database, table, request.window)
            job.state = replace(job.state, attempt=str(attempt))
    staged = job.found() or job.staged()
    with _opened(connection) as database:
        done = land(
            staged,
            request,
            destination=destination,
            table=table,
            connection=database,
            parquet=parquet,
            attempt=job.state.attempt,
            reconnect=reconnect,
            on_published=job.note_published,
            progress=job.counting("loaded"),
            copied=job.counting("copied"),
        )
    job.note("committed", uri=done.uri, deleted=done.deleted)
    staged.path.unlink(missing_ok=True)
    return replace(done, recreated=job.state.recreated)


def _opened(connection: Any) -> AbstractContextManager[Any]:
    """The connection; one that is yet to be opened is closed again behind the block."""
    if callable(connection) and not hasattr(connection, "cursor"):  # sqlite3's own can be called
        opened: AbstractContextManager[Any] = connection()
        return opened
    return nullcontext(connection)


class _Job:
    """One run of the driver: the record as it changes, and the steps that change it."""

    progress: Callable[[What, int], None] | None
    horizon: timedelta
    poll_interval: float
    deadline: float
    task: ExportTask | None

    def __init__(
        self,
        client: Client,
        request: ExportRequest,
        save: Save,
        directory: Path,
        state: ExportState,
    ) -> None:
        self.state = state
        self._client = client
        self._request = request
        self._save = save
        self._directory = directory

    def note(self, state: State, **changes: Any) -> None:
        """Change the record and save it."""
        self.state = replace(self.state, state=state, **changes)
        self._save(self.state)

    def note_published(self, published: Published) -> None:
        """The file is at its destination."""
        self.note("published", uri=published.uri)

    def counting(self, what: What) -> Callable[[int], None] | None:
        """The caller's progress, for one kind of figure."""
        progress = self.progress
        return None if progress is None else lambda done: progress(what, done)

    # --- where it stands ---

    def is_committed(self, table: str | None, connection: Any) -> bool:
        """Whether a COMMIT that nobody heard of was done after all; if so, that is noted.

        The ledger has the attempt's token then. Without a table, a published file is all there is.
        """
        if self.state.state == "published" and table is None:
            self.note("committed")
            return True
        if self.state.state not in ("staged", "published") or self.state.attempt is None:
            return False
        from vectorshift_orchestration.storage.ledger import committed

        commit = None if table is None else committed(connection, table, self._request.window)
        if commit is None or commit.attempt_token != self.state.attempt:
            return False
        self.note("committed")
        return True

    def landed(self, table: str | None) -> Landed:
        """What the record of a committed export tells."""
        known = self.state
        return Landed(
            task_id=known.task_id,
            window=self._request.window,
            rows=known.rows or 0,
            bytes=known.bytes or 0,
            sha256=known.sha256 or "",
            uri=known.uri,
            table=table,
            deleted=known.deleted,
            verified=known.verified,
            recreated=known.recreated,
        )

    def found(self) -> Staged | None:
        """The file of an earlier try, if it is still here, unchanged."""
        known = self.state
        path = self._directory / self._request.file_name
        if known.state not in ("staged", "published") or not path.is_file():
            return None
        from vectorshift_orchestration.storage.files import digest_of

        if digest_of(path) != (known.bytes, known.sha256):
            return None
        rows, counted = known.rows or 0, known.counted or 0
        return Staged(
            path, known.bytes or 0, known.sha256 or "", rows, counted, known.task_id, known.verified
        )

    # --- from asking to a checked file ---

    def staged(self) -> Staged:
        """Ask, wait and download, again where the export turns out to be of no use."""
        from vectorshift.errors import (
            AnalyticsDownloadFailed,
            AnalyticsExportFailed,
            AnalyticsNotFound,
        )

        while True:
            try:
                return self._stage(self._ready(self._created()))
            except (
                AnalyticsExportFailed,
                AnalyticsNotFound,
                AnalyticsDownloadFailed,
                ExportFileError,
                ExportIncomplete,
            ) as problem:
                self._ask_again(problem)

    def _ask_again(self, problem: Exception) -> None:
        """Give up on the export at hand; raises the problem when there is no re-create left."""
        left = self.deadline - time.monotonic()
        if self.state.asked > MOST_RECREATES or left <= 0:
            raise problem
        self.note("intent", task_id="")
        time.sleep(min(self.poll_interval, left))

    def _created(self) -> ExportTask:
        from vectorshift.errors import (
            AnalyticsExportFailed,
            ApiConnectionError,
            InternalServerError,
            InvalidResponseError,
            VectorshiftError,
        )

        if self.task is not None:
            task, self.task = self.task, None
            return task
        if self.state.task_id:
            return {"task_id": self.state.task_id}
        if self.state.asked > MOST_RECREATES:
            raise AnalyticsExportFailed(
                "", f"it was asked for {self.state.asked} times and no answer was kept"
            )
        before = self.state.counted_before
        if before is None and self._request.window.end > datetime.now(UTC) - self.horizon:
            before = self._request.bound(self._client).count()["count"]
        self.note("intent", asked=self.state.asked + 1, counted_before=before)
        try:
            task = submit(self._client, self._request)
        except AnalyticsExportFailed:
            raise
        except VectorshiftError as problem:
            lost = isinstance(problem, InternalServerError | InvalidResponseError)
            if lost or (isinstance(problem, ApiConnectionError) and problem.sent):
                raise AnalyticsExportFailed("", f"the answer was lost: {problem}") from problem
            self.note("intent", asked=self.state.asked - 1)  # it was refused, or never arrived
            raise
        self.note("created", task_id=task.get("task_id", ""))
        return task

    def _ready(self, task: ExportTask) -> ExportTask:
        task = wait(
            self._client,
            task,
            timeout=max(0.0, round(self.deadline - time.monotonic(), 3)),
            poll_interval=self.poll_interval,
            progress=self.counting("looks"),
        )
        self.note("ready")
        return task

    def _stage(self, task: ExportTask) -> Staged:
        staged = stage(
            self._client,
            task,
            self._request,
            self._directory,
            horizon=self.horizon,
            counted_before=self.state.counted_before,
            progress=self.counting("checked"),
            downloaded=self.counting("bytes"),
        )
        self.note(
            "staged",
            rows=staged.rows,
            counted=staged.counted,
            bytes=staged.bytes,
            sha256=staged.sha256,
            verified=staged.verified,
        )
        return staged
