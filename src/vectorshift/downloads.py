"""An export's file: streamed to a temporary file, verified, then renamed into place.

A download is done with no credentials of ours; its signed URL lives in local variables only. Whatever does not arrive
whole leaves no file. Source: RELIABILITY.md 2 D, E; CONTRACT.md F.
"""

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from vectorshift.analytics import _flows as flows
from vectorshift.analytics._calls import Fetch, Fetched, Flow, Pause, Work
from vectorshift.analytics._results import ExportTask
from vectorshift.errors import (
    AnalyticsDownloadFailed,
    AnalyticsInvalidQuery,
    AnalyticsTypeError,
)

Progress = Callable[[int, int | None], None]
_EXPIRED = (401, 403, 404, 410)
_REDIRECTS = (301, 302, 303, 307, 308)
_PASSING = (0, 200, 206, 408, 416, 429, 500, 502, 503, 504)
_MOST_REFRESHES, _MOST_REDIRECTS, _MOST_STALLS = 3, 3, 5


@dataclass(frozen=True, slots=True)
class Download:
    """A file that arrived whole: where it is, its size in bytes, its SHA-256 in hex, and the export that it came from."""

    path: Path
    bytes: int
    sha256: str
    task_id: str
    format: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What a download may do: `total` seconds, at most `most_bytes`, and `plain` HTTP only where the API itself is plain."""

    total: float
    most_bytes: int
    plain: bool


def download(
    task: ExportTask | str, path: Any, rules: Rules, progress: Progress | None
) -> Flow[Download]:
    """The flow behind `Client.download_export`."""
    target = _target(path)
    if isinstance(task, str):
        known: ExportTask = yield from flows.export_task(task)
    elif isinstance(task, Mapping) and (task.get("task_id") or task.get("download_url")):
        known = task
    else:
        raise AnalyticsTypeError(
            f"download_export needs an ExportTask or its task id, not {type(task).__name__}."
        )
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "x+b", buffering=1 << 20) as sink:  # flows do not await
            headers = yield from _transfer(known, sink, rules, progress)
            kind = (known.get("format") or target.suffix.lstrip(".")).upper()
            size, digest = yield Work(
                lambda: _verified(sink, headers, kind, known.get("task_id", ""))
            )
        yield Work(lambda: _publish(part, target))
        return Download(target, size, digest, known.get("task_id", ""), kind)
    finally:
        part.unlink(missing_ok=True)


def _target(path: Any) -> Path:
    target = Path(os.fspath(path)).absolute()
    if target.is_dir():
        raise AnalyticsInvalidQuery(f"{target} is a directory: name the file to write.")
    if not target.parent.is_dir():
        raise AnalyticsInvalidQuery(
            f"the directory {target.parent} does not exist: create it first."
        )
    return target


def _transfer(
    task: ExportTask, sink: BinaryIO, rules: Rules, progress: Progress | None
) -> Flow[Mapping[str, str]]:
    """Bring the whole body into `sink`: resume what broke, follow redirects, renew an expired URL."""
    task_id = task.get("task_id", "")
    deadline: float = (yield Pause(0)) + rules.total
    url = task.get("download_url") or ""
    offset, etag, refreshes, redirects, stalls = 0, None, 0, 0, 0
    if not url:
        url = yield from _fresh_url(task_id)
    while True:
        now: float = yield Pause(0)
        if now >= deadline:
            raise AnalyticsDownloadFailed(task_id, f"it was not complete within {rules.total:g} s")
        _refuse_unsafe(url, rules, task_id)
        got: Fetched = yield Fetch(
            url, sink, offset, etag, rules.most_bytes, deadline - now, progress
        )
        offset += got.received
        if got.status in _REDIRECTS and redirects < _MOST_REDIRECTS:
            redirects += 1
            url = urljoin(url, got.headers.get("location", ""))
        elif got.status in _EXPIRED and task_id and refreshes < _MOST_REFRESHES:
            refreshes += 1
            url = yield from _fresh_url(task_id)
        elif got.usable and not got.reason and _is_whole(got, offset):
            return got.headers
        elif stalls < _MOST_STALLS and got.status in _PASSING:
            stalls += 1
            yield Pause(min(0.2 * 2**stalls, max(0.0, deadline - got.now)))
            etag = _strong(got.headers) if got.usable and offset else None
            if etag is None:
                offset = 0
                yield Work(lambda: _rewind(sink))
        else:
            raise AnalyticsDownloadFailed(task_id, _why(got, offset))


def _fresh_url(task_id: str) -> Flow[str]:
    if not task_id:
        raise AnalyticsDownloadFailed(
            "", "the task has neither a download URL nor an id to ask for one"
        )
    found = yield from flows.export_task(task_id)
    url = found.get("download_url")
    if not url:
        state = found.get("task_status") or "unknown"
        raise AnalyticsDownloadFailed(task_id, f"the export is {state} and has no download URL yet")
    return url


def _refuse_unsafe(url: str, rules: Rules, task_id: str) -> None:
    parts = urlsplit(url)
    if (
        parts.scheme not in ("https", "http")
        or not parts.hostname
        or (parts.scheme == "http" and not rules.plain)
    ):
        raise AnalyticsDownloadFailed(
            task_id,
            f"its URL is no https address ({parts.scheme or 'no scheme'}://{parts.hostname or ''})",
        )


def _length(headers: Mapping[str, str]) -> int | None:
    """The size of the whole file, as far as the service tells it."""
    if found := re.fullmatch(r"bytes \d+-\d+/(\d+)", headers.get("content-range", "")):
        return int(found[1])
    text = headers.get("content-length", "")
    return int(text) if text.isdigit() and "content-range" not in headers else None


def _is_whole(got: Fetched, offset: int) -> bool:
    expected = _length(got.headers)
    return "content-encoding" not in got.headers and (expected is None or expected == offset)


def _strong(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else None


def _rewind(sink: BinaryIO) -> None:
    sink.seek(0)
    sink.truncate()


def _why(got: Fetched, offset: int) -> str:
    if got.status not in (200, 206):
        return f"the file server answered HTTP {got.status}" if got.status else got.reason
    if got.headers.get("content-encoding"):
        return f"the file server compressed it ({got.headers['content-encoding']}) although plain bytes were asked for"
    expected = _length(got.headers)
    return (
        f"{offset:,} of {expected:,} bytes arrived"
        if expected is not None
        else got.reason or "it broke off"
    )


def _verified(
    sink: BinaryIO, headers: Mapping[str, str], kind: str, task_id: str
) -> tuple[int, str]:
    """Check checksums that the service sent and the end of the format; return (bytes, sha256)."""
    sink.flush()
    os.fsync(sink.fileno())
    sink.seek(0)
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    while chunk := sink.read(1 << 20):
        sha256.update(chunk)
        md5.update(chunk)
        size += len(chunk)
    for name, wanted, found in _checksums(headers, sha256.digest(), md5.digest()):
        if wanted != found:
            raise AnalyticsDownloadFailed(task_id, f"its bytes do not match the checksum in {name}")
    if problem := _bad_ending(sink, size, kind):
        raise AnalyticsDownloadFailed(task_id, problem)
    return size, sha256.hexdigest()


def _checksums(headers: Mapping[str, str], sha256: bytes, md5: bytes) -> list[tuple[str, str, str]]:
    b64_sha, b64_md5 = (base64.b64encode(raw).decode() for raw in (sha256, md5))
    found = [("Content-MD5", headers.get("content-md5"), b64_md5)]
    found.append(("x-amz-checksum-sha256", headers.get("x-amz-checksum-sha256"), b64_sha))
    for name in ("repr-digest", "digest"):
        if match := re.search(
            r"sha-256=:?([A-Za-z0-9+/=]+?):?(,|$)", headers.get(name, ""), re.IGNORECASE
        ):
            found.append((name, match[1], b64_sha))
    if match := re.search(r"md5=([A-Za-z0-9+/=]+)", headers.get("x-goog-hash", "")):
        found.append(("x-goog-hash", match[1], b64_md5))
    return [(name, wanted, mine) for name, wanted, mine in found if wanted]


def _bad_ending(sink: BinaryIO, size: int, kind: str) -> str | None:
    """What is wrong with the file's beginning or end, as far as its format shows it."""
    if not size:
        return "it is empty"
    sink.seek(0)
    head = sink.read(64).lstrip()
    sink.seek(max(0, size - 64))
    tail = sink.read(64)
    if head[:9].lower() in (b"<!doctype", b"<html>") or head.lower().startswith(b"<html"):
        return "it is a web page, not an export"
    if kind == "CSV" and not tail.endswith(b"\n"):
        return "the CSV ends in the middle of a line"
    if kind == "JSON" and (head[:1] + tail.rstrip()[-1:]) not in (b"[]", b"{}"):
        return "the JSON is not closed"
    return _bad_workbook(sink) if kind == "XLSX" else None


def _bad_workbook(sink: BinaryIO) -> str | None:
    import zipfile
    import zlib

    sink.seek(0)
    try:
        with zipfile.ZipFile(sink) as workbook:
            broken = workbook.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        return f"the workbook is broken ({error})"
    return f"the workbook's part {broken} is broken" if broken else None


def _publish(part: Path, target: Path) -> None:
    os.replace(part, target)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
