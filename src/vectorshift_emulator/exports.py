"""Exports: tasks, their files, and the route that downloads them."""

from __future__ import annotations

import secrets
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import quote, unquote

import anyio.to_thread
from duckdb import Error as DatabaseError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from vectorshift_emulator.files import ExportError, Written, write
from vectorshift_emulator.ranges import requested_part
from vectorshift_emulator.urls import UrlSigner, Verdict

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Extension = Literal["CSV", "JSON", "XLSX"]
Mode = Literal["async", "sync", "no-poll"]

MEDIA_TYPES: dict[str, str] = {
    "CSV": "text/csv; charset=utf-8",
    "JSON": "application/json",
    "XLSX": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

_BLOCK = 256 * 1024
_WRITERS = 2
_INTERRUPT_AGAIN = 0.02


class Store(Protocol):
    """What exports need of the database."""

    def cursor(self) -> DuckDBPyConnection:
        """Return the calling thread's cursor."""


@dataclass
class Task:
    """One export. ``written`` or ``error`` is set when its work has ended."""

    task_id: str
    extension: Extension
    file_name: str
    path: Path
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
        """Return the state that the service tells at the aware moment ``now``."""
        if not self.ended.is_set() or now < self.ready_at:
            return "pending"
        return "ready" if self.written else "failed"

    def reply(self, now: datetime) -> dict[str, Any]:
        """Return the body's fields for the aware moment ``now`` (CONTRACT.md A5), snake_case.

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
        secret: Key that signs download URLs.
        public_url: Returns the server's origin, like ``http://127.0.0.1:8006`` (no ``/v1``).
        mode: ``async``: a task is pending first; ``sync`` and ``no-poll``: the create reply is
            ready.
        delay: Seconds that a task stays pending at least (async only).
        url_ttl: Seconds that a download URL lives.

    ``mode``, ``delay``, ``url_ttl`` and ``digest`` (whether a download names the SHA-256 of its
    file) may be changed at any time and count from the next task or
    reply.
    """

    def __init__(
        self,
        store: Store,
        directory: Path,
        *,
        secret: bytes,
        public_url: Callable[[], str],
        mode: Mode,
        delay: float,
        url_ttl: float,
    ) -> None:
        self.mode: Mode = mode
        self.delay = delay
        self.url_ttl = url_ttl
        self.digest = True
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
        waits = self.mode == "async"
        task_id = f"ex_{secrets.token_hex(8)}"
        task = Task(
            task_id=task_id,
            extension=extension,
            file_name=file_name,
            path=self._directory / f"{task_id}.{extension.lower()}",
            ready_at=datetime.now(UTC) + timedelta(seconds=self.delay if waits else 0),
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
        """Return a task, or None when there is none of this id."""
        return self._tasks.get(task_id)

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
            return _refusal(403, "the signature of the download URL does not match")
        if verdict is Verdict.EXPIRED:
            return _refusal(403, "the download URL has expired: ask for the export task again")
        task = self._tasks.get(task_id)
        if task is None or task.written is None or not task.path.exists():
            return _refusal(404, "the export file does not exist")
        return _file_reply(request, task, task.written, digest=self.digest)

    def _link(self, task: Task, now: datetime) -> str:
        expires = now + timedelta(seconds=self.url_ttl)
        return self._signer.url(self._public_url(), task.task_id, task.file_name, expires)

    def _write(
        self, task: Task, cursor: DuckDBPyConnection, select_sql: str, params: Sequence[Any]
    ) -> None:
        try:
            task.written = write(
                cursor, select_sql, params, extension=task.extension, path=task.path
            )
        except (ExportError, DatabaseError, OSError) as error:
            task.error = str(error).replace(str(self._directory), "exports")
        finally:
            task.ended.set()


def _file_reply(request: Request, task: Task, written: Written, *, digest: bool) -> Response:
    """Return the part of a task's file that the request asks for."""
    etag = f'"{written.sha256}"'
    asked = request.headers if request.method == "GET" else {}  # a range is defined for GET alone
    part = requested_part(asked.get("range"), asked.get("if-range"), size=written.size, etag=etag)
    if part.status == 416:
        refusal = _refusal(416, f"the file has {written.size} bytes")
        refusal.headers["content-range"] = f"bytes */{written.size}"
        return refusal
    headers = {
        "content-type": MEDIA_TYPES[task.extension],
        "content-length": str(part.stop - part.start),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(task.file_name, safe='')}",
        "etag": etag,
        "accept-ranges": "bytes",
        "cache-control": "private, no-store",
    }
    if digest:
        headers["repr-digest"] = f"sha-256=:{b64encode(bytes.fromhex(written.sha256)).decode()}:"
    if part.status == 206:
        headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{written.size}"
    if request.method == "HEAD":
        return Response(status_code=part.status, headers=headers)
    blocks = _blocks(task.path, part.start, part.stop)
    return StreamingResponse(blocks, status_code=part.status, headers=headers)


async def _blocks(path: Path, start: int, stop: int) -> AsyncIterator[bytes]:
    """Yield bytes ``start`` to ``stop`` of a file, read outside the event loop.

    No file stays open between two blocks: a client that leaves would leave it open, too.
    """
    while start < stop:
        block = await anyio.to_thread.run_sync(_block, path, start, min(_BLOCK, stop - start))
        if not block:
            raise OSError(f"{path.name} became shorter")
        start += len(block)
        yield block


def _block(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(size)


def _refusal(status: int, text: str) -> Response:
    return JSONResponse({"status": "failed", "error": text}, status_code=status)
