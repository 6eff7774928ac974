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

With `chunks` the service writes several files at once, each of a part of the window. Each has its own state in the
one record, and is requested again by itself; all of their rows land together, as those of one window.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vectorshift_orchestration.errors import ExportStateError, StaleWriterError
from vectorshift_orchestration.exports.fetch import Fetch, Fetching, Progress, ProgressKind
from vectorshift_orchestration.exports.request import ExportOptions, ExportRequest
from vectorshift_orchestration.exports.state import ExportState, State, together
from vectorshift_orchestration.landed import in_one
from vectorshift_orchestration.landing import MOST_OVERTAKEN, Landed, Landing

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift_orchestration.storage.files import Published


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
        options: the time that it may take, how often to poll, and in how many chunks; the format is the
            request's.
        progress: called with what is counted and how much of it is done, over all chunks.

    Raises `StorageError` when there is nowhere to land, `SpecError` for chunks that would have to be one file
    in the service's own format, and `WindowError` for more chunks than the window has seconds.
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
        options.check_destination(landing.destination, parquet=landing.parquet)
        self._client = client
        self._request = request
        self._parts = request.parts(options.chunks)
        self._landing = landing
        self._record = record
        self._directory = directory
        self._options = options
        self._progress = progress
        self._state: ExportState | None = None
        self._fetches: list[Fetch] = []
        self._done: dict[ProgressKind, list[int]] = {}
        self._deadline = 0.0

    # --- the three steps ---

    def ask(self) -> ExportState:
        """Request the export, unless it was requested before; the record of it.

        Raises the SDK's errors, and `ExportStateError` for the record of another request.
        """
        with self._recording():
            self._begin()
            for fetch in self._fetches:
                fetch.ask()
        return self._current_state

    def wait(self, seconds: float) -> bool:
        """Wait for the service at most `seconds`, then download the file and check it.

        True once the file is here and checked, False while the service is still at it; of several
        chunks, none is downloaded before all are ready, since a caller that leaves may lose them. An export
        that turns out to be unusable is requested again, at most twice. There is always one poll.

        Raises `AnalyticsExportTimeout` when the job's time is up, what `stage` raises, and what
        `ask` raises.
        """
        until = time.monotonic() + max(seconds, 0.0)
        with self._recording():
            self._begin()
            ready = all(fetch.wait(until, only_ready=True) for fetch in self._fetches)
            return ready and self._wait(until)

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
                if self._current_state.state == "committed":
                    break
                while not self._wait(self._deadline):
                    pass
                try:
                    self._land()
                except StaleWriterError:
                    if overtaken == MOST_OVERTAKEN:
                        raise
                    self._begin_again()
            return self._landed()

    def _wait(self, until: float) -> bool:
        for fetch in self._fetches:
            fetch.ask()
        return all(fetch.wait(until) for fetch in self._fetches)

    # --- the record ---

    @property
    def _current_state(self) -> ExportState:
        assert self._state is not None
        return self._state

    def _note(self, state: State, **changes: Any) -> None:
        self._state = noted = replace(self._current_state, state=state, **changes)
        self._record.write(noted)

    def _note_fetches(self) -> None:
        states = [fetch.state for fetch in self._fetches]
        self._state = together(self._current_state, states) if len(states) > 1 else states[0]
        self._record.write(self._state)

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Discard what no later try may continue: the record, or the chunk that was given up."""
        from vectorshift.errors import AnalyticsExportTimeout, RetryAdvice, VectorshiftError

        try:
            yield
        except VectorshiftError as problem:
            spent = [fetch for fetch in self._fetches if fetch.is_spent]
            if spent and len(self._fetches) > 1:
                for fetch in spent:
                    fetch.start_over()
            elif problem.retry_advice is not RetryAdvice.MAY_PASS or isinstance(
                problem, AnalyticsExportTimeout
            ):
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
        if stored is None or stored.is_overdue(time.time()) or not self._has_my_chunks(stored):
            stored = ExportState(self._request.key)
        self._take_up(stored)
        if self._is_committed():
            return
        self._fence()
        self._fetch_from(self._current_state)

    def _has_my_chunks(self, stored: ExportState) -> bool:
        """Whether it was recorded in the same chunks: their number may have been changed since."""
        keys = [part.key for part in self._parts] if len(self._parts) > 1 else []
        return [chunk.key for chunk in stored.chunks] == keys

    def _take_up(self, state: ExportState) -> None:
        """Continue from a state; the wall clock is read once, because it may be set meanwhile."""
        now = time.time()
        deadline = now + self._options.timeout if state.deadline is None else state.deadline
        self._state = replace(state, deadline=deadline)
        self._deadline = time.monotonic() + deadline - now

    def _fetch_from(self, state: ExportState) -> None:
        how = Fetching(
            client=self._client,
            directory=self._directory,
            options=self._options,
            deadline=self._deadline,
            keep_rows=self._landing.reads_rows,
            replace_characters=self._landing.replace_characters,
        )
        states: Sequence[ExportState] = [state]
        if len(self._parts) > 1:
            states = state.chunks or [ExportState(part.key) for part in self._parts]
        self._done.clear()
        self._fetches = [
            Fetch(
                how,
                part,
                each,
                on_state=self._note_fetches,
                progress=partial(self._report, part=at),
            )
            for at, (part, each) in enumerate(zip(self._parts, states, strict=True))
        ]

    def _begin_again(self) -> None:
        """Forget the files and the place in the ledger's order, and ask for newer rows."""
        for fetch in self._fetches:
            fetch.discard()
        self._take_up(ExportState(self._request.key))
        self._fence()
        self._fetch_from(self._current_state)
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

    # --- where the rows land ---

    def _land(self) -> None:
        staged = [fetch.staged for fetch in self._fetches if fetch.staged is not None]
        done = self._landing.write_export(
            in_one(staged),
            self._request.window,
            key=self._request.key,
            query_key=self._request.query_key,
            attempt=self._current_state.attempt,
            on_published=self._note_published,
            progress=lambda done: self._report("loaded", done),
            copied=lambda done: self._report("copied", done),
        )
        self._note("committed", uri=done.uri, deleted=done.deleted, replaced=done.replaced)
        for fetch in self._fetches:
            fetch.discard()

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

    def _report(self, kind: ProgressKind, done: int, part: int = 0) -> None:
        if self._progress is not None:
            counts = self._done.setdefault(kind, [0] * len(self._parts))
            counts[part] = done
            self._progress(kind, sum(counts))


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
