"""The download of an export file: ranges, an ETag, and no more of it in memory than one block."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from vectorshift_emulator.exports.files import Extension, Written
from vectorshift_emulator.exports.ranges import requested_part

MEDIA_TYPES: dict[Extension, str] = {
    "CSV": "text/csv; charset=utf-8",
    "JSON": "application/json",
    "XLSX": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

_BLOCK = 256 * 1024


def file_reply(
    request: Request,
    path: Path,
    written: Written,
    *,
    extension: Extension,
    file_name: str,
    digest: bool,
) -> Response:
    """Return the part of a file that was requested.

    Args:
        extension: its format.
        file_name: the name under which a client should keep it.
        digest: whether the reply names the SHA-256 of the file.
    """
    etag = f'"{written.sha256}"'
    request_headers = (
        request.headers if request.method == "GET" else {}
    )  # a range is defined for GET alone
    part = requested_part(
        request_headers.get("range"), request_headers.get("if-range"), size=written.size, etag=etag
    )
    if part.status == 416:
        beyond = refusal(416, f"the file has {written.size} bytes")
        beyond.headers["content-range"] = f"bytes */{written.size}"
        return beyond
    headers = {
        "content-type": MEDIA_TYPES[extension],
        "content-length": str(part.stop - part.start),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(file_name, safe='')}",
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
    blocks = _blocks(path, part.start, part.stop)
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


def refusal(status: int, text: str) -> Response:
    """The reply to a download that is not possible."""
    return JSONResponse({"status": "failed", "error": text}, status_code=status)
