"""The only package that speaks HTTP: it sends a `Call` and streams a `Fetch`, blocking or awaiting (asyncio).

It decides nothing: a failure becomes a `Reply` with status 0. Source: docs/contract.md A1.
"""

import asyncio
import logging
import math
import os
import ssl
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from vectorshift._calls import Call, Fetch, Fetched, Reply
from vectorshift._transport.environment import proxy_for, usual_trust
from vectorshift._transport.leases import KEPT, Lease
from vectorshift.errors import ConfigurationError, redact

_REPLY_LIMIT = 512 * 1024 * 1024
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


def _redacted(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact(record.getMessage()), None
    return True


# httpx logs every URL at INFO and httpcore every header at DEBUG, signatures included. An application
# may have put the maintained fork, httpx2, in httpx's place.
for _client, _wire in (("httpx", "httpcore"), ("httpx2", "httpcore2")):
    _parts = (f"{_wire}.{part}" for part in ("connection", "http11", "http2", "proxy", "socks"))
    for _name in (_client, _wire, *_parts):
        logging.getLogger(_name).addFilter(_redacted)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a call goes and with which key. Never printed: `key` stays out of repr."""

    base_url: str
    key: str

    def __repr__(self) -> str:
        return f"Address({self.base_url!r}, '***')"


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect and to wait for the next bytes, how many requests may be under way at once, and whom to
    trust (None: the usual authorities)."""

    connect: float
    read: float
    connections: int
    trust: ssl.SSLContext | None


class _Late(Exception):
    """The total time of a call is over."""


class Transport:
    """Connections of one client: a blocking pool per process, an awaiting pool per event loop."""

    def __init__(self, address: Callable[[], Address], limits: Limits) -> None:
        self._address = address
        self._limits = limits
        self._lock = threading.Lock()
        self._blocking: tuple[tuple[int, str | None], httpx.Client] | None = None
        self._leases: dict[tuple[asyncio.AbstractEventLoop, str | None], Lease] = {}

    def prepare(self) -> None:
        """Load what the first call would load."""
        httpx.Client(**self._options(None)).close()

    # --- blocking ------------------------------------------------------------

    def _pool(self, proxy: str | None) -> httpx.Client:
        with self._lock:
            # A forked worker must not share its parent's sockets.
            fitting = os.getpid(), proxy
            if self._blocking is None or self._blocking[0] != fitting:
                self._blocking = fitting, httpx.Client(**self._options(proxy))
            return self._blocking[1]

    def _options(self, proxy: str | None) -> dict[str, Any]:
        trust = self._limits.trust or usual_trust()
        secure = trust if proxy is not None and proxy.startswith("https:") else None
        return {
            "verify": trust,
            "limits": httpx.Limits(max_connections=self._limits.connections, keepalive_expiry=KEPT),
            "follow_redirects": False,
            "trust_env": False,
            "proxy": None if proxy is None else httpx.Proxy(proxy, ssl_context=secure),
        }

    def send(self, call: Call) -> Reply:
        """Send one call and wait for the whole answer."""
        address = self._address()
        proxy = proxy_for(address.base_url)
        deadline = time.monotonic() + self._budget(call)
        try:
            with _reading_until(deadline):
                if call.repeatable:
                    return self._exchange(self._pool(proxy), call, address, deadline)
                # A kept connection may have died unseen; a create must know whether it was sent.
                with httpx.Client(**self._options(proxy)) as fresh:
                    return self._exchange(fresh, call, address, deadline)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, _Late) as error:
            return _no_reply(error, address, late=time.monotonic() >= deadline)

    def _exchange(self, pool: httpx.Client, call: Call, address: Address, deadline: float) -> Reply:
        request = pool.build_request(
            **_request(call, address), timeout=self._timeout(deadline), extensions=_BOUNDED
        )
        response = pool.send(request, stream=True)
        try:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                _check_size(len(body), _REPLY_LIMIT)
            return _reply(response, bytes(body), address)
        finally:
            response.close()

    def _budget(self, call: Call) -> float:
        return self._limits.read if call.budget is None else call.budget

    def _timeout(self, deadline: float) -> httpx.Timeout:
        left = max(0.001, deadline - time.monotonic())
        read = min(self._limits.read, left)
        return httpx.Timeout(
            connect=min(self._limits.connect, left), read=read, write=read, pool=left
        )

    def fetch(self, step: Fetch) -> Fetched:
        """Stream a file with a client of its own, which holds no credentials."""
        deadline = time.monotonic() + step.budget
        got = _Progress()
        try:
            with (
                _reading_until(deadline),
                httpx.Client(**self._options(step.proxy)) as bare,
                bare.stream(
                    **_download(step, _BOUNDED), timeout=self._timeout(deadline)
                ) as response,
            ):
                if got.begin(step, response):
                    for chunk in response.iter_raw():
                        got.take(step, chunk)
                        _check_size(got.received, step.limit - step.offset)
            return got.ended()
        except (httpx.HTTPError, httpx.InvalidURL, _Late) as error:
            return got.ended(_reason(error))

    # --- awaiting ------------------------------------------------------------

    async def asend(self, call: Call) -> Reply:
        """The same, awaiting."""
        address = self._address()
        proxy = proxy_for(address.base_url)
        budget = self._budget(call)
        deadline = time.monotonic() + budget
        try:
            async with asyncio.timeout(budget):
                if call.repeatable:
                    lease = await self._lease(proxy)
                    async with lease.client() as client:
                        return await self._aexchange(client, call, address, deadline)
                async with httpx.AsyncClient(**self._options(proxy)) as fresh:
                    return await self._aexchange(fresh, call, address, deadline)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, _Late) as error:
            return _no_reply(error, address, late=time.monotonic() >= deadline)

    async def _aexchange(
        self, pool: httpx.AsyncClient, call: Call, address: Address, deadline: float
    ) -> Reply:
        request = pool.build_request(**_request(call, address), timeout=self._timeout(deadline))
        response = await pool.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                _check_size(len(body), _REPLY_LIMIT)
            return _reply(response, bytes(body), address)
        finally:
            await response.aclose()

    async def afetch(self, step: Fetch) -> Fetched:
        """The same, awaiting."""
        deadline = time.monotonic() + step.budget
        got = _Progress()
        try:
            async with (
                asyncio.timeout(step.budget),
                httpx.AsyncClient(**self._options(step.proxy)) as bare,
                bare.stream(**_download(step, {}), timeout=self._timeout(deadline)) as response,
            ):
                if got.begin(step, response):
                    async for chunk in response.aiter_raw():
                        got.take(step, chunk)
                        _check_size(got.received, step.limit - step.offset)
            return got.ended()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, _Late) as error:
            return got.ended(_reason(error))

    async def _lease(self, proxy: str | None) -> "Lease":
        key = asyncio.get_running_loop(), proxy
        lease = self._leases.get(key)
        if lease is None:
            lease = self._leases[key] = Lease(self._options(proxy), self._limits.connections)
            lease.life = self._live(key, lease)
            await anext(lease.life)
        return lease

    async def _live(
        self, key: tuple[asyncio.AbstractEventLoop, str | None], lease: "Lease"
    ) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._leases.pop(key, None)
            await lease.aclose()

    # --- end -----------------------------------------------------------------

    def close(self) -> None:
        """Close the blocking connections."""
        with self._lock:
            held, self._blocking = self._blocking, None
        if held is not None and held[0][0] == os.getpid():
            held[1].close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the blocking ones."""
        loop = asyncio.get_running_loop()
        for lease in [lease for key, lease in self._leases.items() if key[0] is loop]:
            await lease.life.aclose()
        self.close()


def _request(call: Call, address: Address) -> dict[str, Any]:
    headers = {
        "Authorization": f"Bearer {address.key}",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    return {
        "method": call.method,
        "url": address.base_url + call.path,
        "params": list(call.query) or None,
        "headers": headers,
        "content": None if call.body is None else msgspec.json.encode(call.body),
    }


def _download(step: Fetch, extensions: dict[str, Any]) -> dict[str, Any]:
    url = httpx.URL(step.url)
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


def _lower(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _reply(response: httpx.Response, body: bytes, address: Address) -> Reply:
    return Reply(
        response.status_code,
        body,
        _lower(response),
        now=time.monotonic(),
        wall=time.time(),
        key=address.key,
    )


def _no_reply(error: Exception, address: Address, *, late: bool) -> Reply:
    return Reply(
        0,
        reason=redact(_reason(error), address.key),
        sent=not isinstance(error, _NOT_SENT),
        timed_out=late or isinstance(error, (httpx.TimeoutException, TimeoutError, _Late)),
        now=time.monotonic(),
        wall=time.time(),
        key=address.key,
    )


def _reason(error: Exception) -> str:
    """Why there is no answer. Raises `ConfigurationError` where the proxy wants credentials, since no retry gives it some."""
    if isinstance(error, httpx.ProxyError):
        if str(error).startswith("407"):
            raise ConfigurationError(
                "the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names asks for credentials (HTTP 407): write it as "
                "http://user:password@host:port, percent-encoded."
            ) from None
        return redact(f"the proxy answered {error}")
    if isinstance(error, (_Late, TimeoutError)) and not str(error):
        return "the total time of the call is over"
    return redact(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _check_size(received: int, limit: int) -> None:
    if received > limit:
        raise httpx.DecodingError(f"the answer is larger than {limit:,} bytes")


_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


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
            raise _Late
        return read(size, left if timeout is None else min(timeout, left))

    stream.read = bounded


_BOUNDED = {"trace": _bound_reads}


class _Progress:
    """What a `Fetch` has brought so far."""

    def __init__(self) -> None:
        self.status = 0
        self.received = 0
        self.headers: dict[str, str] = {}
        self.usable = False

    def begin(self, step: Fetch, response: httpx.Response) -> bool:
        """Note the head of the answer; tell whether its body is the part of the file that was asked for."""
        self.status, self.headers = response.status_code, _lower(response)
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
