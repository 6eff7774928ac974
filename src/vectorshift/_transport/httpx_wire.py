"""The wire of httpx, blocking and awaiting: for proxies and for base URLs that need encoding.

Downloads go this way too, each with a client of its own that holds no credentials.
"""

import asyncio
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpx

from vectorshift._calls import Fetch, Fetched
from vectorshift._transport.environment import usual_trust
from vectorshift._transport.exchange import (
    CUT,
    HUNG_UP,
    LATE,
    UNASKED,
    Answer,
    Limits,
    NoAnswer,
    Request,
    broken,
    check_framing,
    check_size,
    check_version,
    decoded,
    joined,
    no_connection_within,
    not_connected,
    silent,
    unreadable,
)
from vectorshift._transport.leases import AsyncLease, Lease
from vectorshift.errors import ConfigurationError, redact


def _redacted(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact(record.getMessage()), None
    return True


# httpx logs every URL at INFO and httpcore every header at DEBUG, signatures included. An application
# may have put the maintained fork, httpx2, in httpx's place.
for _client, _wire in (("httpx", "httpcore"), ("httpx2", "httpcore2")):
    _parts = (f"{_wire}.{part}" for part in ("connection", "http11", "http2", "proxy", "socks"))
    for _name in (_client, _wire, *_parts):
        logging.getLogger(_name).addFilter(_redacted)

_NAMELESS = (httpx.InvalidURL, UnicodeError)  # the latter of a label that is too long
_FAILURES = (httpx.HTTPError, OSError, *_NAMELESS)


class HttpxWire:
    """Connections for the threads of a process, through a proxy or without one."""

    def __init__(self, limits: Limits, proxy: str | None) -> None:
        self._limits = limits
        self._options = _options(limits, proxy)
        self._lease = Lease(self._options, limits.connections)

    def exchange(self, request: Request, deadline: float, *, fresh: bool) -> Answer:
        """See `BlockingWire`."""
        try:
            with _reading_until(deadline):
                if not fresh:
                    with self._lease.client(deadline) as client:
                        return self._exchanged(client, request, deadline)
                with httpx.Client(**self._options) as client:
                    return self._exchanged(client, request, deadline)
        except _FAILURES as error:
            raise _failure(error, self._limits) from None

    def _exchanged(self, client: httpx.Client, request: Request, deadline: float) -> Answer:
        timeout = _timeout(self._limits, deadline)
        prepared = client.build_request(**_built(request), timeout=timeout, extensions=_BOUNDED)
        came = _came.get()
        response = client.send(prepared, stream=True)
        try:
            headers = _checked_headers(response, came)
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                check_size(len(body))
            return Answer(response.status_code, headers, decoded(headers, bytes(body)))
        finally:
            response.close()

    def close(self) -> None:
        """See `BlockingWire`."""
        self._lease.close()


class AsyncHttpxWire:
    """The same for one event loop."""

    def __init__(self, limits: Limits, proxy: str | None) -> None:
        self._limits = limits
        self._options = _options(limits, proxy)
        self._lease = AsyncLease(self._options, limits.connections)

    async def exchange(self, request: Request, deadline: float, *, fresh: bool) -> Answer:
        """See `AwaitingWire`."""
        try:
            if not fresh:
                async with self._lease.client() as client:
                    return await self._exchanged(client, request, deadline)
            async with httpx.AsyncClient(**self._options) as client:
                return await self._exchanged(client, request, deadline)
        except TimeoutError:
            raise
        except _FAILURES as error:
            raise _failure(error, self._limits) from None

    async def _exchanged(
        self, client: httpx.AsyncClient, request: Request, deadline: float
    ) -> Answer:
        timeout = _timeout(self._limits, deadline)
        prepared = client.build_request(**_built(request), timeout=timeout, extensions=_COUNTED)
        came = _came.get()
        response = await client.send(prepared, stream=True)
        try:
            headers = _checked_headers(response, came)
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                check_size(len(body))
            return Answer(response.status_code, headers, decoded(headers, bytes(body)))
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """See `AwaitingWire`."""
        await self._lease.aclose()


def fetch(step: Fetch, limits: Limits) -> Fetched:
    """Stream a file, blocking."""
    deadline = time.monotonic() + step.budget
    got = _Progress()
    try:
        with (
            _reading_until(deadline),
            httpx.Client(**_options(limits, step.proxy)) as bare,
            bare.stream(
                **_download(step, _BOUNDED), timeout=_timeout(limits, deadline)
            ) as response,
        ):
            if got.begin(step, response):
                for chunk in response.iter_raw():
                    got.take(step, chunk)
                    check_size(got.received, step.limit - step.offset)
        return got.ended()
    except (httpx.HTTPError, httpx.InvalidURL, NoAnswer) as error:
        return got.ended(_reason(error))


async def afetch(step: Fetch, limits: Limits) -> Fetched:
    """Stream a file, awaiting."""
    deadline = time.monotonic() + step.budget
    got = _Progress()
    try:
        async with (
            asyncio.timeout(step.budget),
            httpx.AsyncClient(**_options(limits, step.proxy)) as bare,
            bare.stream(**_download(step, {}), timeout=_timeout(limits, deadline)) as response,
        ):
            if got.begin(step, response):
                async for chunk in response.aiter_raw():
                    got.take(step, chunk)
                    check_size(got.received, step.limit - step.offset)
        return got.ended()
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, NoAnswer) as error:
        return got.ended(_reason(error))


def _options(limits: Limits, proxy: str | None) -> dict[str, Any]:
    trust = limits.trust or usual_trust()
    secure = trust if proxy is not None and proxy.startswith("https:") else None
    return {
        "verify": trust,
        "follow_redirects": False,
        "trust_env": False,
        "proxy": None if proxy is None else httpx.Proxy(proxy, ssl_context=secure),
    }


def _timeout(limits: Limits, deadline: float) -> httpx.Timeout:
    left = max(0.001, deadline - time.monotonic())
    read = min(limits.read, left)
    return httpx.Timeout(connect=min(limits.connect, left), read=read, write=read, pool=left)


def _built(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "url": request.base_url + request.target,
        "headers": request.fields,
        "content": request.content,
    }


def _download(step: Fetch, extensions: dict[str, Any]) -> dict[str, Any]:
    url = httpx.URL(step.url.text)
    headers = {
        "Host": url.netloc.decode(),
        # Compressed bodies cut short pass unnoticed; plain ones are counted.
        "Accept-Encoding": "identity",
    }
    if step.offset and step.etag:
        headers |= {"Range": f"bytes={step.offset}-", "If-Range": step.etag}
    if step.address is not None:
        # The certificate is checked against the name, although the connection goes to the address.
        extensions = extensions | {"sni_hostname": url.raw_host.decode()}
        url = url.copy_with(host=step.address)
    return {"method": "GET", "url": url, "headers": headers, "extensions": extensions}


def _checked_headers(response: httpx.Response, came: int) -> dict[str, str]:
    """The fields of an answer, of which something has to have come since `came` was counted."""
    if _came.get() == came:
        # httpx would take what came behind the answer before for the answer to this request.
        raise NoAnswer(UNASKED)
    check_version(response.http_version.removeprefix("HTTP/"))
    headers = joined(response.headers.multi_items())
    check_framing(headers)
    return headers


def _failure(error: Exception, limits: Limits) -> NoAnswer:
    """Why no answer came."""
    if isinstance(error, httpx.ProxyError):
        return _refused(error)
    if isinstance(error, httpx.ConnectTimeout):
        return no_connection_within(limits.connect)
    if isinstance(error, (httpx.ConnectError, httpx.UnsupportedProtocol, *_NAMELESS)):
        return not_connected(error)
    if isinstance(error, httpx.TimeoutException):
        return silent(limits.read)
    if isinstance(error, httpx.RemoteProtocolError):
        if "without sending a response" in str(error):
            return NoAnswer(HUNG_UP)
        is_cut = "complete message body" in str(error) or "incomplete chunked" in str(error)
        return NoAnswer(CUT) if is_cut else unreadable(str(error).partition(":")[0])
    return broken(error)


def _refused(error: httpx.ProxyError) -> NoAnswer:
    """What the proxy said. Raises `ConfigurationError` where it wants credentials, since no retry gives it some."""
    if str(error).startswith("407"):
        raise ConfigurationError(
            "the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names asks for credentials (HTTP 407): write it as "
            "http://user:password@host:port, percent-encoded."
        ) from None
    return NoAnswer(f"the proxy answered {error}", sent=False)


def _reason(error: Exception) -> str:
    """Why a download stopped."""
    if isinstance(error, TimeoutError):
        return LATE
    if isinstance(error, httpx.ProxyError):
        return redact(str(_refused(error)))
    named = str(error) if isinstance(error, NoAnswer) else f"{type(error).__name__}: {error}"
    return redact(named.removesuffix(": "))


_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)
_came: ContextVar[int] = ContextVar("came", default=0)
"""How often something was read from a connection."""


@contextmanager
def _reading_until(deadline: float) -> Iterator[None]:
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


def _bound_reads(event: str, info: dict[str, Any]) -> Any:
    """Hold every read of a new blocking connection to the deadline of the call that reads.

    A read timeout starts again with every byte, so that a trickle could go on for ever. httpx calls this hook at each
    event of a request (its `trace` extension); awaiting connections are bounded by `asyncio.timeout`.
    """
    if not event.endswith((".connect_tcp.complete", ".start_tls.complete")):
        return
    stream = info["return_value"]
    read = stream.read

    def bounded(size: int, timeout: float | None = None) -> Any:
        left = _deadline.get() - time.monotonic()
        if left <= 0:
            raise NoAnswer(LATE, timed_out=True)
        _came.set(_came.get() + 1)
        return read(size, left if timeout is None else min(timeout, left))

    stream.read = bounded


async def _count_reads(event: str, info: dict[str, Any]) -> Any:
    """Count the reads of a new awaiting connection."""
    if not event.endswith((".connect_tcp.complete", ".start_tls.complete")):
        return
    stream = info["return_value"]
    read = stream.read

    async def counted(size: int, timeout: float | None = None) -> Any:
        _came.set(_came.get() + 1)
        return await read(size, timeout)

    stream.read = counted


_BOUNDED = {"trace": _bound_reads}
_COUNTED = {"trace": _count_reads}


class _Progress:
    """What a `Fetch` has brought so far."""

    def __init__(self) -> None:
        self.status = 0
        self.received = 0
        self.headers: dict[str, str] = {}
        self.usable = False

    def begin(self, step: Fetch, response: httpx.Response) -> bool:
        """Note the head of the answer; return whether its body is the requested part of the file."""
        self.status, self.headers = response.status_code, joined(response.headers.multi_items())
        part = self.headers.get("content-range", "").startswith(f"bytes {step.offset}-")
        self.usable = part if self.status == 206 else self.status == 200 and step.offset == 0
        return self.usable

    def take(self, step: Fetch, chunk: bytes) -> None:
        """Write one chunk."""
        self.received += step.sink.write(chunk)
        if step.progress is not None:
            length = self.headers.get("content-length", "")
            total = step.offset + int(length) if length.isdigit() else None
            step.progress(step.offset + self.received, total)

    def ended(self, reason: str = "") -> Fetched:
        """The outcome."""
        return Fetched(
            self.status, self.received, self.headers, self.usable, reason, time.monotonic()
        )
