"""Exports: tasks, their files, and the route that downloads them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from duckdb import Error as DatabaseError
from starlette.requests import Request
from starlette.responses import Response

from vectorshift_emulator._settings import Settings
from vectorshift_emulator.data.store import Store
from vectorshift_emulator.exports.downloads import file_reply, refusal
from vectorshift_emulator.exports.files import Extension, Written, write
from vectorshift_emulator.exports.urls import UrlSigner, Verdict
from vectorshift_emulator.exports.workbooks import ExportError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


_WRITERS = 2
_INTERRUPT_AGAIN = 0.02


@dataclass
class Task:
    """One export. ``written`` or ``error`` is set when its work has ended."""

    task_id: str
    extension: Extension
    file_name: str
    path: Path
    created_at: datetime
    ready_at: datetime
    link: Callable[[Task, datetime], str] = field(repr=False)
    written: Written | None = None
    error: str | None = None
    ended: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def rows(self) -> int | None:
        """Number of events in the file, None until it is written."""
        return self.written.rows if self.written else None

    def status(self, now: datetime) -> Literal["pending", "ready", "failed"]:
        """Return the state that the service reports at the aware moment ``now``."""
        if not self.ended.is_set() or now < self.ready_at:
            return "pending"
        return "ready" if self.written else "failed"

    def reply(self, now: datetime) -> dict[str, Any]:
        """Return the body's fields for the aware moment ``now`` (docs/contract.md A5), snake_case.

        A ready task gets a freshly signed ``download_url``, a failed one its ``error``.
        """
        status = self.status(now)
        reply = {"task_id": self.task_id, "task_status": status}
        if status == "ready":
            reply["download_url"] = self.link(self, now)
        if status == "failed" and self.error:
            reply["error"] = self.error
        return reply | {"format": self.extension, "file_name": self.file_name}


class Exports:
    """The export tasks of one emulator.

    Args:
        store: The database.
        directory: Existing directory for the files.
        settings: The switches, which may change at any time.
        secret: Key that signs download URLs.
        public_url: Returns the server's origin, like ``http://127.0.0.1:8006`` (no ``/v1``).
    """

    def __init__(
        self,
        store: Store,
        directory: Path,
        settings: Settings,
        *,
        secret: bytes,
        public_url: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._store = store
        self._directory = directory
        self._public_url = public_url
        self._signer = UrlSigner(secret)
        self._tasks: dict[str, Task] = {}
        self._jobs: dict[Future[None], DuckDBPyConnection] = {}
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="emulator-export")

    def create(
        self, select_sql: str, params: Sequence[Any], *, extension: Extension, file_name: str
    ) -> Task:
        """Start an export of the rows that the query yields at this moment.

        Blocks until the file is written in modes ``sync`` and ``no-poll``; in mode ``async`` only
        the snapshot is taken here. A file that cannot be written makes the task ``failed``.

        Args:
            select_sql: Query over ``events`` that yields the file's columns in order.
            params: Values of the query's parameters.
            extension: File format.
            file_name: Name that the reply and the download show; any non-empty text.
        """
        waits = self._settings.export_mode == "async"
        delay = timedelta(seconds=self._settings.export_delay) or timedelta.resolution
        task_id, now = f"ex_{secrets.token_hex(8)}", datetime.now(UTC)
        task = Task(
            task_id=task_id,
            extension=extension,
            file_name=file_name,
            path=self._directory / f"{task_id}.{extension.lower()}",
            created_at=now,
            ready_at=now + delay if waits else now,
            link=self._link,
        )
        cursor = self._store.cursor().cursor()
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 FROM events LIMIT 0")  # a snapshot begins with the first read
        self._tasks[task_id] = task
        job = self._writers.submit(self._write, task, cursor, select_sql, params)
        self._jobs[job] = cursor
        job.add_done_callback(self._jobs.pop)
        if not waits:
            job.result()
        return task

    def task(self, task_id: str) -> Task | None:
        """Return a task, or None if its id is unknown."""
        return self._tasks.get(task_id)

    def latest(self, most: int) -> list[Task]:
        """The newest tasks, the newest first."""
        return list(self._tasks.values())[: -most - 1 : -1]

    def expire_urls(self) -> None:
        """End every download URL handed out so far; the next reply of a task has a good one."""
        self._signer.expire_all()

    def close(self) -> None:
        """Stop all exports: those that run fail, those that wait stay pending."""
        self._writers.shutdown(wait=False, cancel_futures=True)
        while jobs := dict(self._jobs):
            for cursor in jobs.values():
                cursor.interrupt()  # lost when it falls between two statements, hence the loop
            wait(jobs, timeout=_INTERRUPT_AGAIN)

    def download(self, request: Request) -> Response:
        """Answer ``GET`` or ``HEAD /downloads/{task_id}/{file_name}``.

        The URL's signature is all it needs. Replies have a strong ETag and honour ``Range`` and
        ``If-Range``; a bad or expired URL gets 403, an unknown file 404, both with a JSON body.
        """
        path: str = request.scope["raw_path"].decode("ascii").removeprefix("/downloads/")
        task_id, _, file_name = (unquote(piece) for piece in path.partition("/"))
        expires = request.query_params.get("expires", "")
        signature = request.query_params.get("signature", "")
        verdict = self._signer.verdict(task_id, file_name, expires, signature, datetime.now(UTC))
        if verdict is Verdict.TAMPERED:
            return refusal(403, "the signature of the download URL does not match")
        if verdict is Verdict.EXPIRED:
            return refusal(403, "the download URL has expired: ask for the export task again")
        task = self._tasks.get(task_id)
        if task is None or task.written is None or not task.path.exists():
            return refusal(404, "the export file does not exist")
        return file_reply(
            request,
            task.path,
            task.written,
            extension=task.extension,
            file_name=task.file_name,
            digest=self._settings.digest,
        )

    def _link(self, task: Task, now: datetime) -> str:
        expires = now + timedelta(seconds=self._settings.url_ttl)
        return self._signer.url(self._public_url(), task.task_id, task.file_name, expires)

    def _write(
        self, task: Task, cursor: DuckDBPyConnection, select_sql: str, params: Sequence[Any]
    ) -> None:
        try:
            task.written = write(
                cursor, select_sql, params, self._settings, extension=task.extension, path=task.path
            )
        except (ExportError, DatabaseError, OSError) as error:
            task.error = str(error).replace(str(self._directory), "exports")
        finally:
            task.ended.set()
