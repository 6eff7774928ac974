"""One file from the service: requested, awaited, downloaded and checked, from any recorded state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.exports.request import ExportOptions, ExportRequest
from vectorshift_orchestration.exports.staging import Staged, stage
from vectorshift_orchestration.exports.state import ExportState, State
from vectorshift_orchestration.exports.worksheets import too_much

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.analytics import ExportTask

MOST_RECREATES = 2

_LAST_POLL = 10.0
"""Seconds for a poll of an export whose time ran out between two processes."""

ProgressKind: TypeAlias = Literal["looks", "bytes", "checked", "copied", "loaded"]
"""What a progress figure counts: polls of the task, bytes downloaded, rows read, bytes (Parquet:
rows) published, rows loaded."""

Progress: TypeAlias = Callable[[ProgressKind, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """How files are fetched: the account, the folder for them, and what is done with their rows.

    `deadline` is by the monotonic clock. `keep_rows` and `replace_characters` are as in `stage`.
    """

    client: Client
    directory: Path
    options: ExportOptions
    deadline: float
    keep_rows: bool
    replace_characters: bool


class Fetch:
    """The file of one request.

    Args:
        how: what it shares with other files of the same job.
        request: the query, window and format.
        state: how far it has got.
        on_state: called with each new state, before the step that it tells of can be repeated.
        progress: called with what is counted and how much of it is done.
    """

    def __init__(
        self,
        how: Fetching,
        request: ExportRequest,
        state: ExportState,
        *,
        on_state: Callable[[], None],
        progress: Progress,
    ) -> None:
        self._how = how
        self._request = request
        self.state = state
        self._on_state = on_state
        self._progress = progress
        self._answer: ExportTask | None = None
        self._ready: ExportTask | None = None
        self._intervals: Iterator[float] | None = None
        self._polls = 0
        self.is_spent = False
        """Whether it was given up: another request has to begin from nothing."""
        self.staged = self._staged_earlier()

    def ask(self) -> None:
        """Ask for the export, again where the answer was lost, until a task is awaited or staged."""
        from vectorshift.errors import VectorshiftError

        while not self._is_requested:
            try:
                self._create()
            except VectorshiftError as problem:
                self._request_again(problem)

    def wait(self, until: float, *, only_ready: bool = False) -> bool:
        """Whether the file is here and checked (or, with `only_ready`, the service is done with it).

        Waits for the service until then, by the monotonic clock; there is always one poll. Raises
        `AnalyticsExportTimeout` after the deadline, what `stage` raises, and the SDK's errors.
        """
        from vectorshift.errors import AnalyticsExportTimeout, VectorshiftError

        while True:
            self.ask()
            if self.staged is not None:
                return True
            try:
                if self._ready is None:
                    self._ready = self._poll(until)
                if self._ready is not None:
                    if not only_ready:
                        self.staged = self._stage(self._ready)
                    return True
            except VectorshiftError as problem:
                self._request_again(problem)
                continue
            if time.monotonic() >= self._how.deadline:
                raise AnalyticsExportTimeout(self.state.task_id, self._how.options.timeout)
            return False

    def start_over(self) -> None:
        """Forget the export and its file."""
        self.discard()
        self.is_spent = False
        self.staged = self._answer = self._ready = self._intervals = None
        self.state = ExportState(self._request.key)
        self._on_state()

    def discard(self) -> None:
        """Remove the file, and what was kept of its rows."""
        if self.staged is not None:
            self.staged.discard()

    def _note(self, state: State, **changes: Any) -> None:
        self.state = replace(self.state, state=state, **changes)
        self._on_state()

    def _staged_earlier(self) -> Staged | None:
        """The staged file, if it is still here, unchanged."""
        state = self.state
        path = self._how.directory / self._request.file_name
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

    @property
    def _is_requested(self) -> bool:
        has_task = bool(self.state.task_id) or self._answer is not None or self._ready is not None
        return self.staged is not None or has_task

    def _create(self) -> None:
        from vectorshift.errors import (
            AnalyticsExportFailed,
            ApiConnectionError,
            InternalServerError,
            InvalidResponseError,
            VectorshiftError,
        )

        requests = self.state.asked
        if requests > MOST_RECREATES:
            raise AnalyticsExportFailed(
                "", f"it was requested {requests} times and no response was recorded"
            )
        before = self.state.counted_before
        if before is None and self._is_young:
            before = self._request.bound(self._how.client).count()["count"]
        self._note("intent", asked=requests + 1, counted_before=before)
        try:
            answer = submit(self._how.client, self._request)
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
        return self._request.window.end > datetime.now(UTC) - self._how.options.late_arrival

    def _request_again(self, problem: Exception) -> None:
        """Give up on this export; raises the problem when a new request would not help."""
        from vectorshift.errors import AnalyticsExportFailed, RetryAdvice

        if isinstance(problem, AnalyticsExportFailed) and (
            refusal := too_much(problem, self._request, self._how.client)
        ):
            raise refusal from problem
        remaining = self._how.deadline - time.monotonic()
        useless = getattr(problem, "retry_advice", None) is RetryAdvice.ASK_ANEW
        if not useless or self.state.asked > MOST_RECREATES or remaining <= 0:
            self.is_spent = useless
            raise problem
        self._answer = self._ready = None
        self._note("intent", task_id="")
        time.sleep(min(self._how.options.poll_interval, remaining))

    # --- waiting ---

    def _poll(self, until: float) -> ExportTask | None:
        """The task once it is ready; None when it is not by `until`, or by the deadline."""
        from vectorshift.errors import AnalyticsExportFailed, ApiTimeoutError
        from vectorshift.export_tasks import export_state, poll_intervals

        has_looked = False
        deadline = self._how.deadline
        while True:
            answer, self._answer = self._answer, None
            if answer is None:
                remaining = min(until, deadline) - time.monotonic()
                if remaining <= 0 and has_looked:
                    return None
                if self._intervals is None:
                    self._intervals = poll_intervals(self._how.options.poll_interval)
                else:
                    time.sleep(max(0.0, min(next(self._intervals), remaining)))
                has_looked = True
                timeout = max(deadline - time.monotonic(), _LAST_POLL)
                try:
                    answer = self._how.client.export_task(self.state.task_id, timeout=timeout)
                except ApiTimeoutError:
                    if time.monotonic() < deadline:
                        raise
                    return None
                self._polls += 1
                self._progress("looks", self._polls)
            task_id = self.state.task_id
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

    def _stage(self, answer: ExportTask) -> Staged:
        staged = stage(
            self._how.client,
            answer,
            self._request,
            self._how.directory,
            late_arrival=self._how.options.late_arrival,
            counted_before=self.state.counted_before,
            replace_characters=self._how.replace_characters,
            keep_rows=self._how.keep_rows,
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

    def _counting(self, kind: ProgressKind) -> Callable[[int], None]:
        return lambda done: self._progress(kind, done)


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
