"""The export job: from any recorded state to rows that have landed, in any process.

    job = ExportJob(client, request, landing, record, directory=folder)
    job.ask()
    while not job.wait(60):     # or leave, and go on from the record in another process
        ...
    landed = job.finish()

Before each step that cannot be taken back, the record is written; after a crash, a job with the same
record goes on from there. Whatever is repeated replaces, and never adds:

| recorded state | what going on does |
|---|---|
| intent | requests it; an earlier request without a recorded response counts as a re-create |
| created, ready | polls the task, for its state and a fresh URL, and downloads |
| staged | uses the file if it is still here and unchanged, else downloads it again |
| published | asks the ledger whether the rows were committed; if not, as staged |
| committed | nothing |

A task that failed or is not found, a download that fails for good (the URL always expired, the
file cut), and a file that is not complete are requested again, at most twice; what a worksheet cannot
hold is not (`worksheets`). A record whose time is
up is not continued, and one that is of no more use is discarded (`RetryAdvice`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import ExportStateError, StaleWriterError
from vectorshift_orchestration.exports.request import ExportOptions, ExportRequest
from vectorshift_orchestration.exports.staging import Staged, stage
from vectorshift_orchestration.exports.state import ExportState, State
from vectorshift_orchestration.exports.worksheets import too_much
from vectorshift_orchestration.landing import MOST_OVERTAKEN, Landed, Landing

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.analytics import ExportTask
    from vectorshift_orchestration.storage.files import Published

MOST_RECREATES = 2

_LAST_POLL = 10.0
"""Seconds for a poll of an export whose time ran out between two processes."""

ProgressKind: TypeAlias = Literal["looks", "bytes", "checked", "copied", "loaded"]
"""What a progress figure counts: polls of the task, bytes downloaded, rows read, bytes (Parquet:
rows) published, rows loaded."""

Progress: TypeAlias = Callable[[ProgressKind, int], None]


class Record(Protocol):
    """Where an export's state is kept, for a later try in any process."""

    def read(self) -> ExportState | None:
        """The state that was written last; None if it is missing or not of this job."""

    def write(self, state: ExportState) -> None:
        """Replace the state, durably, before this returns."""

    def discard(self) -> None:
        """Delete it: the next try starts over."""


@dataclass(frozen=True, slots=True)
class ExportLanded(Landed):
    """Where an export came to rest, small enough to pass between tasks.

    `task_id` is the service's id of it. `verified` is as in `Staged`. `recreated` is how often the
    export was requested again, because a response was lost or the service's file could not be used.
    """

    task_id: str = ""
    verified: str = "none"
    recreated: int = 0


class ExportJob:
    """The export of one request into one landing.

    Args:
        client: the account.
        request: the query, window and format; the same each time for one record.
        landing: where it lands; likewise.
        record: how far it has got. What is raised leaves a record to go on from, unless the error's
            `retry_advice` says that this export is no longer usable, or that people have to change
            something first: then the record is discarded.
        directory: a working folder for the file; the same one in another process saves a download.
        options: the time that it may take, and how often to poll; the format is the request's.
        progress: called with what is counted and how much of it is done.

    Raises `StorageError` when there is nowhere to land.
    """

    def __init__(
        self,
        client: Client,
        request: ExportRequest,
        landing: Landing,
        record: Record,
        *,
        directory: Path,
        options: ExportOptions = ExportOptions(),
        progress: Progress | None = None,
    ) -> None:
        landing.check()
        self._client = client
        self._request = request
        self._landing = landing
        self._record = record
        self._directory = directory
        self._options = options
        self._progress = progress
        self._state: ExportState | None = None
        self._answer: ExportTask | None = None
        self._intervals: Iterator[float] | None = None
        self._polls = 0
        self._staged: Staged | None = None
        self._deadline = 0.0

    # --- the three steps ---

    def ask(self) -> ExportState:
        """Request the export, unless it was requested before; the record of it.

        Raises the SDK's errors, and `ExportStateError` for the record of another request.
        """
        with self._recording():
            self._begin()
            self._ask()
        return self._current_state

    def wait(self, seconds: float) -> bool:
        """Wait for the service at most `seconds`, then download the file and check it.

        True once the file is here and checked, False while the service is still at it. An export
        that turns out to be unusable is requested again, at most twice. There is always one poll.

        Raises `AnalyticsExportTimeout` when the job's time is up, what `stage` raises, and what
        `ask` raises.
        """
        until = time.monotonic() + max(seconds, 0.0)
        with self._recording():
            self._begin()
            return self._wait(until)

    def finish(self) -> ExportLanded:
        """Land the file, after asking and waiting for it if need be.

        When another writer has committed an overlapping window meanwhile, the window is exported
        once more, so that what lands is not older than what is there.

        Raises as `wait` and `Landing.write_export`; `StaleWriterError` only when the job was overtaken
        again and again.
        """
        with self._recording():
            self._begin()
            for overtaken in range(MOST_OVERTAKEN + 1):
                while not self._wait(self._deadline):
                    pass
                if self._current_state.state == "committed":
                    break
                try:
                    self._land()
                except StaleWriterError:
                    if overtaken == MOST_OVERTAKEN:
                        raise
                    self._begin_again()
            return self._landed()

    # --- the record ---

    @property
    def _current_state(self) -> ExportState:
        assert self._state is not None
        return self._state

    def _note(self, state: State, **changes: Any) -> None:
        self._state = noted = replace(self._current_state, state=state, **changes)
        self._record.write(noted)

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Discard the record of an export that no later try may continue."""
        from vectorshift.errors import RetryAdvice, VectorshiftError

        try:
            yield
        except VectorshiftError as problem:
            if problem.retry_advice is not RetryAdvice.MAY_PASS:
                self._record.discard()
            raise

    def _begin(self) -> None:
        """Take up the record once, as far as it can be continued."""
        if self._state is not None:
            return
        stored = self._record.read()
        if stored is not None and stored.key != self._request.key:
            raise ExportStateError(
                f"The record belongs to export {stored.key[:16]}, and {self._request.key[:16]} is "
                "requested. Give each request its own record."
            )
        if stored is None or stored.is_overdue(time.time()):
            stored = ExportState(self._request.key)
        self._take_up(stored)
        if self._is_committed():
            return
        self._fence()
        self._staged = self._staged_earlier()

    def _take_up(self, state: ExportState) -> None:
        """Continue from a state; the wall clock is read once, because it may be set meanwhile."""
        now = time.time()
        deadline = now + self._options.timeout if state.deadline is None else state.deadline
        self._state = replace(state, deadline=deadline)
        self._deadline = time.monotonic() + deadline - now

    def _begin_again(self) -> None:
        """Forget the file and the place in the ledger's order, and ask for newer rows."""
        if self._staged is not None:
            self._staged.discard()
        self._staged, self._answer, self._intervals = None, None, None
        self._take_up(ExportState(self._request.key))
        self._fence()
        self._record.write(self._current_state)

    def _fence(self) -> None:
        """Take the token that keeps a slower writer from undoing a faster one's work."""
        if self._current_state.attempt is None:
            request = self._request
            attempt = self._landing.begin_attempt(request.window, request.query_key)
            self._state = replace(
                self._current_state, attempt=None if attempt is None else str(attempt)
            )

    def _is_committed(self) -> bool:
        """Whether nothing is left to do; a COMMIT without a response is found in the ledger."""
        state = self._current_state
        if state.state == "committed":
            return True
        if state.state == "published" and self._landing.table is None:
            self._note("committed")
            return True
        if state.state not in ("staged", "published") or state.attempt is None:
            return False
        commit = self._landing.committed(self._request.window)
        if commit is None or commit.attempt_token != state.attempt:
            return False
        self._note("committed")
        return True

    def _staged_earlier(self) -> Staged | None:
        """The staged file, if it is still here, unchanged."""
        state = self._current_state
        path = self._directory / self._request.file_name
        if state.state not in ("staged", "published") or not path.is_file():
            return None
        from vectorshift_orchestration.storage.files import digest_of

        size, sha256 = digest_of(path)
        if (size, sha256) != (state.bytes, state.sha256):
            return None
        return Staged(
            path,
            self._request.format,
            size,
            sha256,
            state.rows or 0,
            state.counted or 0,
            state.task_id,
            state.verified,
        )

    # --- asking ---

    def _ask(self) -> None:
        """Ask for the export, again where the answer was lost, until a task is awaited or staged."""
        from vectorshift.errors import VectorshiftError

        while not self._is_requested:
            try:
                self._create()
            except VectorshiftError as problem:
                self._request_again(problem)

    @property
    def _is_requested(self) -> bool:
        state = self._current_state
        has_task = bool(state.task_id) or self._answer is not None
        return state.state == "committed" or self._staged is not None or has_task

    def _create(self) -> None:
        from vectorshift.errors import (
            AnalyticsExportFailed,
            ApiConnectionError,
            InternalServerError,
            InvalidResponseError,
            VectorshiftError,
        )

        requests = self._current_state.asked
        if requests > MOST_RECREATES:
            raise AnalyticsExportFailed(
                "", f"it was requested {requests} times and no response was recorded"
            )
        before = self._current_state.counted_before
        if before is None and self._is_young:
            before = self._request.bound(self._client).count()["count"]
        self._note("intent", asked=requests + 1, counted_before=before)
        try:
            answer = submit(self._client, self._request)
        except AnalyticsExportFailed:
            raise
        except VectorshiftError as problem:
            lost = isinstance(problem, InternalServerError | InvalidResponseError)
            if lost or (isinstance(problem, ApiConnectionError) and problem.sent):
                raise AnalyticsExportFailed("", f"the answer was lost: {problem}") from problem
            self._note("intent", asked=requests)  # it was refused, or never arrived
            raise
        self._answer, self._intervals = answer, None
        self._note("created", task_id=answer.get("task_id", ""))

    @property
    def _is_young(self) -> bool:
        """Whether events of the window may still be arriving."""
        return self._request.window.end > datetime.now(UTC) - self._options.late_arrival

    def _request_again(self, problem: Exception) -> None:
        """Give up on this export; raises the problem when a new request would not help."""
        from vectorshift.errors import AnalyticsExportFailed, RetryAdvice

        if isinstance(problem, AnalyticsExportFailed) and (
            refusal := too_much(problem, self._request, self._client)
        ):
            raise refusal from problem
        remaining = self._deadline - time.monotonic()
        is_spent = getattr(problem, "retry_advice", None) is RetryAdvice.ASK_ANEW
        if not is_spent or self._current_state.asked > MOST_RECREATES or remaining <= 0:
            raise problem
        self._answer = None
        self._note("intent", task_id="")
        time.sleep(min(self._options.poll_interval, remaining))

    # --- waiting ---

    def _wait(self, until: float) -> bool:
        from vectorshift.errors import AnalyticsExportTimeout, VectorshiftError

        while True:
            self._ask()
            if self._staged is not None or self._current_state.state == "committed":
                return True
            try:
                answer = self._poll(until)
                if answer is not None:
                    self._staged = self._stage(answer)
                    return True
            except VectorshiftError as problem:
                self._request_again(problem)
                continue
            if time.monotonic() >= self._deadline:
                self._record.discard()
                raise AnalyticsExportTimeout(self._current_state.task_id, self._options.timeout)
            return False

    def _poll(self, until: float) -> ExportTask | None:
        """The task once it is ready; None when it is not by `until`, or by the job's deadline."""
        from vectorshift.errors import AnalyticsExportFailed, ApiTimeoutError
        from vectorshift.export_tasks import export_state, poll_intervals

        has_looked = False
        while True:
            answer, self._answer = self._answer, None
            if answer is None:
                remaining = min(until, self._deadline) - time.monotonic()
                if remaining <= 0 and has_looked:
                    return None
                if self._intervals is None:
                    self._intervals = poll_intervals(self._options.poll_interval)
                else:
                    time.sleep(max(0.0, min(next(self._intervals), remaining)))
                has_looked = True
                timeout = max(self._deadline - time.monotonic(), _LAST_POLL)
                try:
                    answer = self._client.export_task(self._current_state.task_id, timeout=timeout)
                except ApiTimeoutError:
                    if time.monotonic() < self._deadline:
                        raise
                    return None
                self._polls += 1
                self._report("looks", self._polls)
            task_id = self._current_state.task_id
            match export_state(answer):
                case "failed":
                    raise AnalyticsExportFailed(task_id, answer.get("error", ""))
                case "ready":
                    self._note("ready")
                    return answer
                case "pending" if not task_id:
                    raise AnalyticsExportFailed(
                        "", "the service gave neither a task id nor a download URL"
                    )

    # --- the file, and where it lands ---

    def _stage(self, answer: ExportTask) -> Staged:
        staged = stage(
            self._client,
            answer,
            self._request,
            self._directory,
            late_arrival=self._options.late_arrival,
            counted_before=self._current_state.counted_before,
            replace_characters=self._landing.replace_characters,
            keep_rows=self._landing.reads_rows,
            progress=self._counting("checked"),
            downloaded=self._counting("bytes"),
        )
        self._note(
            "staged",
            rows=staged.rows,
            counted=staged.counted,
            bytes=staged.bytes,
            sha256=staged.sha256,
            verified=staged.verified,
        )
        return staged

    def _land(self) -> None:
        staged = self._staged
        assert staged is not None
        done = self._landing.write_export(
            staged,
            self._request.window,
            key=self._request.key,
            query_key=self._request.query_key,
            attempt=self._current_state.attempt,
            on_published=self._note_published,
            progress=self._counting("loaded"),
            copied=self._counting("copied"),
        )
        self._note("committed", uri=done.uri, deleted=done.deleted, replaced=done.replaced)
        staged.discard()

    def _note_published(self, published: Published) -> None:
        self._note("published", uri=published.uri)

    def _landed(self) -> ExportLanded:
        state = self._current_state
        return ExportLanded(
            self._request.window,
            state.rows or 0,
            uri=state.uri,
            table=self._landing.table,
            deleted=state.deleted,
            replaced=state.replaced,
            bytes=state.bytes,
            sha256=state.sha256,
            task_id=state.task_id,
            verified=state.verified,
            recreated=state.recreated,
        )

    def _counting(self, kind: ProgressKind) -> Callable[[int], None]:
        return lambda done: self._report(kind, done)

    def _report(self, kind: ProgressKind, done: int) -> None:
        if self._progress is not None:
            self._progress(kind, done)


def submit(client: Client, request: ExportRequest) -> ExportTask:
    """Ask the service for the export. The task's id is to be stored before anything else is done.

    The returned task may hold a signed `download_url`: keep it in a local variable. Raises the SDK's
    errors, `AnalyticsExportFailed` for a task that failed at once.
    """
    from vectorshift.errors import AnalyticsExportFailed
    from vectorshift.export_tasks import export_state

    failpoint("export.asking")
    task = request.bound(client).export(request.format, request.file_name)
    failpoint("export.asked")
    if export_state(task) == "failed":
        raise AnalyticsExportFailed(task.get("task_id", ""), task.get("error", ""))
    return task


def resume(
    client: Client,
    request: ExportRequest,
    landing: Landing,
    record: Record,
    *,
    directory: Path,
    options: ExportOptions = ExportOptions(),
    progress: Progress | None = None,
) -> ExportLanded:
    """All three steps of an `ExportJob`, from its record or, without one, from the beginning."""
    job = ExportJob(
        client, request, landing, record, directory=directory, options=options, progress=progress
    )
    return job.finish()
