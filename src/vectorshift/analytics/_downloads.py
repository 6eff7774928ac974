"""An export's file: streamed to a temporary file, verified, then renamed into place.

A download is done with no credentials of ours; its signed URL lives in local variables only. Whatever does not arrive
whole leaves no file. Source: docs/contract.md F.
"""

import os
import random
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from vectorshift._account import Account
from vectorshift._addresses import kind_of
from vectorshift._calls import Fetch, Fetched, Flow, Pause, Resolve, Route, SignedUrl, Work
from vectorshift._completeness import (
    Arriving,
    Incomplete,
    encodings,
    has_checksum,
    verify,
    whole_file_headers,
)
from vectorshift._retry import Retry, jittered
from vectorshift.analytics import _flows as flows, _validation as check
from vectorshift.analytics._results import ExportTask
from vectorshift.errors import (
    AnalyticsDownloadFailed,
    AnalyticsExportFailed,
    AnalyticsInvalidQuery,
    AnalyticsTypeError,
)
from vectorshift.export_tasks import export_state

Progress = Callable[[int, int | None], None]
_EXPIRED = (401, 403, 404, 410)
_REDIRECTS = (301, 302, 303, 307, 308)
_PASSING = (0, 200, 206, 408, 416, 429, 500, 502, 503, 504)
_MOST_REFRESHES, _MOST_REDIRECTS = 3, 3


@dataclass(frozen=True, slots=True)
class Download:
    """A file that arrived whole: where it is, its size in bytes, its SHA-256 in hex, and the export that it came from.

    `verified` is what the file server gave to check the bytes by: `checksum`, `length`, or `none`.
    """

    path: Path
    bytes: int
    sha256: str
    task_id: str
    format: str
    verified: str = "none"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a download may do: `total` seconds, at most `most_bytes`.

    It may use plain HTTP only where the API does (`api` is its base URL), and connect to public addresses only, or to
    such as the API's own: a private installation, the emulator. Where a proxy leads to the file's host, and `proxies` lets
    it, it is the proxy that looks the host up and decides. `retry` says how often a broken transfer is resumed.
    """

    total: float
    most_bytes: int
    api: str
    proxies: bool
    retry: Retry


def download(
    account: Account,
    task: Any,
    path: Any,
    progress: Progress | None,
    timeout: float,
    max_bytes: int,
    check_content: bool,
) -> Flow[Download]:
    """The flow behind `Client.download_export`."""
    rules = Rules(
        check.seconds(timeout, "timeout", positive=True),
        check.size(max_bytes, "max_bytes"),
        account._address().base_url,
        account._proxied_downloads,
        account._retry,
    )
    target = _target(path)
    ready_task: Any = task
    if isinstance(task, str):
        ready_task = yield from flows.export_task(task)
    elif not isinstance(task, Mapping) or not (task.get("task_id") or task.get("download_url")):
        raise AnalyticsTypeError(
            f"download_export needs an ExportTask or its task id, not {type(task).__name__}."
        )
    if export_state(ready_task) == "failed":
        raise AnalyticsExportFailed(ready_task.get("task_id", ""), ready_task.get("error", ""))
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "x+b", buffering=1 << 20) as file:  # flows do not await
            sink = Arriving(file)
            headers = yield from _transfer(ready_task, sink, rules, progress)
            kind = (ready_task.get("format") or target.suffix.lstrip(".")).upper()
            yield Work(
                lambda: _verify(sink, headers, kind, ready_task.get("task_id", ""), check_content)
            )
        yield Work(lambda: _publish(part, target))
        length = "none" if _length(headers) is None else "length"
        by = "checksum" if has_checksum(headers) else length
        return Download(target, sink.size, sink.sha256, ready_task.get("task_id", ""), kind, by)
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
    task: ExportTask, sink: Arriving, rules: Rules, progress: Progress | None
) -> Flow[Mapping[str, str]]:
    """Bring the whole body into `sink`: resume what broke, follow redirects, renew an expired URL.

    Returns what the answers said of the whole file.
    """
    task_id = task.get("task_id", "")
    deadline: float = (yield Pause(0)) + rules.total
    url = SignedUrl(task.get("download_url") or "")
    offset, etag, refreshes, redirects, tries = 0, None, 0, 0, 0
    headers: Mapping[str, str] = {}
    if not url.text:
        url = yield from _fresh_url(task_id)
    while True:
        now: float = yield Pause(0)
        if now >= deadline:
            raise AnalyticsDownloadFailed(task_id, f"it was not complete within {rules.total:g} s")
        route = yield from _checked_route(url, rules, task_id, deadline - now)
        now = yield Pause(0)
        fetched = Fetched(0, 0, {}, reason="the host of its URL has no address", now=now)
        if route.addresses or route.proxy:
            address = route.addresses[tries % len(route.addresses)] if route.addresses else None
            remaining = max(0.0, deadline - now)
            fetched = yield Fetch(
                url, address, route.proxy, sink, offset, etag, rules.most_bytes, remaining, progress
            )
        offset += fetched.received
        if fetched.usable:
            headers = (
                fetched.headers
                if fetched.status == 200
                else {**headers, **whole_file_headers(fetched.headers)}
            )
        if offset > rules.most_bytes:
            raise AnalyticsDownloadFailed(
                task_id, f"it is larger than max_bytes={rules.most_bytes:,}"
            )
        tries += 1
        if fetched.status in _REDIRECTS and redirects < _MOST_REDIRECTS:
            redirects, tries = redirects + 1, tries - 1
            url = _redirected(url, fetched, task_id)
        elif fetched.status in _EXPIRED and task_id and refreshes < _MOST_REFRESHES:
            refreshes, tries = refreshes + 1, tries - 1
            url = yield from _fresh_url(task_id)
        elif fetched.usable and not fetched.reason and _is_complete(fetched, offset):
            return headers
        elif tries < rules.retry.attempts and fetched.status in _PASSING:
            wait = jittered(rules.retry, tries, random.random)
            yield Pause(min(wait, max(0.0, deadline - fetched.now)))
            etag = _strong(fetched.headers) if fetched.usable and offset else None
            if etag is None:
                offset = 0
                yield Work(sink.rewind)
        else:
            raise AnalyticsDownloadFailed(task_id, _why(fetched, offset))


def _fresh_url(task_id: str) -> Flow[SignedUrl]:
    if not task_id:
        raise AnalyticsDownloadFailed(
            "", "the task has neither a download URL nor an id to ask for one"
        )
    task = yield from flows.export_task(task_id, failed_raises=True)
    if (state := export_state(task)) != "ready":
        raise AnalyticsDownloadFailed(task_id, f"the export is {state} and has no download URL yet")
    return SignedUrl(task["download_url"])


def _checked_route(url: SignedUrl, rules: Rules, task_id: str, budget: float) -> Flow[Route]:
    """The way to the URL's host; a URL that must not be fetched is refused."""
    origin = url.origin
    host = _safe_host(origin, rules, task_id)
    route: Route = yield Resolve(origin or "", budget, rules.proxies)
    # A proxy resolves names and decides; an IP address in the URL is checked nevertheless.
    kinds = {kind_of(each) for each in route.addresses or _literal(host)} - {"public"}
    if kinds:
        # Asked only now: a public file server says nothing about where the API is.
        api = urlsplit(rules.api).hostname or ""
        api_route: Route = yield Resolve(rules.api, budget, rules.proxies)
        kinds -= {kind_of(each) for each in api_route.addresses or _literal(api)} - {"never"}
    if kinds:
        raise AnalyticsDownloadFailed(
            task_id,
            f"its URL leads to the host {host}, which is not on the public internet. Such a host is "
            "asked for a file only if the API's base URL is in a network of the same kind",
        )
    return route


def _redirected(url: SignedUrl, fetched: Fetched, task_id: str) -> SignedUrl:
    try:
        return SignedUrl(urljoin(url.text, fetched.headers.get("location", "")))
    except ValueError:
        raise AnalyticsDownloadFailed(
            task_id, "it was redirected to a URL that cannot be read"
        ) from None


def _literal(host: str) -> tuple[str, ...]:
    try:
        return (str(ip_address(host)),)
    except ValueError:
        return ()


def _safe_host(origin: str | None, rules: Rules, task_id: str) -> str:
    if origin is None:
        raise AnalyticsDownloadFailed(task_id, "its URL cannot be read")
    parts = urlsplit(origin)
    host = parts.hostname or ""
    schemes = ("https", "http") if urlsplit(rules.api).scheme == "http" else ("https",)
    if parts.scheme not in schemes or not host:
        raise AnalyticsDownloadFailed(
            task_id, f"its URL is not an https address ({parts.scheme or 'no scheme'}://{host})"
        )
    if parts.username is not None:
        raise AnalyticsDownloadFailed(task_id, f"its URL has a user name before {host}")
    return host


def _length(headers: Mapping[str, str]) -> int | None:
    """The size of the whole file, if the service says it."""
    if match := re.fullmatch(r"bytes \d+-\d+/(\d{1,18})", headers.get("content-range", "")):
        return int(match[1])
    text = headers.get("content-length", "")
    return int(text) if text.isdigit() and "content-range" not in headers else None


def _is_complete(fetched: Fetched, offset: int) -> bool:
    expected = _length(fetched.headers)
    return not encodings(fetched.headers) and (expected is None or expected == offset)


def _strong(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else None


def _why(fetched: Fetched, offset: int) -> str:
    if fetched.status not in (200, 206):
        return (
            f"the file server answered HTTP {fetched.status}" if fetched.status else fetched.reason
        )
    if encoded := encodings(fetched.headers):
        return f"the file server compressed it ({', '.join(encoded)}) although plain bytes were requested"
    expected = _length(fetched.headers)
    return (
        f"{offset:,} of {expected:,} bytes arrived"
        if expected is not None
        else fetched.reason or "it broke off"
    )


def _verify(
    sink: Arriving, headers: Mapping[str, str], kind: str, task_id: str, content: bool
) -> None:
    sink.file.flush()
    os.fsync(sink.file.fileno())
    try:
        verify(sink, headers, kind, content=content)
    except Incomplete as problem:
        raise AnalyticsDownloadFailed(task_id, str(problem)) from None


def _publish(part: Path, target: Path) -> None:
    os.replace(part, target)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
