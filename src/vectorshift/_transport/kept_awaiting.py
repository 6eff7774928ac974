"""The awaiting wire: kept connections of one event loop."""

import asyncio
import socket
import time
from typing import cast

from aiohappyeyeballs import start_connection

from vectorshift._transport.environment import usual_trust
from vectorshift._transport.exchange import (
    HUNG_UP,
    KEPT,
    Answer,
    Limits,
    NoAnswer,
    Origin,
    Request,
    broken,
    no_connection_within,
    not_connected,
    plain_origin,
    silent,
)
from vectorshift._transport.incoming import Incoming

_NEXT_ADDRESS = 0.25
"""Seconds after which the next address of a host is tried beside the first."""


class AsyncKeptWire:
    """Connections that wait for the next request of one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(limits.connections)
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._is_closed = False

    async def exchange(self, request: Request, deadline: float, *, fresh: bool) -> Answer:
        """See `AwaitingWire`."""
        origin = cast(Origin, plain_origin(request.base_url))  # or another wire was chosen
        if fresh:
            connection = await self._opened(origin)
            try:
                return await connection.exchange(request)
            finally:
                connection.abort()
        async with self._places:
            connection = self._taken(origin) or await self._opened(origin)
            try:
                answer = await connection.exchange(request)
            except BaseException:
                connection.abort()
                raise
            if connection.is_reusable and not self._is_closed:
                self._idle.append(connection)
            else:
                connection.abort()
            return answer

    def _taken(self, origin: Origin) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fit(origin):
                return connection
            connection.abort()
        return None

    async def _opened(self, origin: Origin) -> "_Connection":
        loop = asyncio.get_running_loop()
        trust = (self._limits.trust or usual_trust()) if origin.secure else None
        timeout = self._limits.connect
        try:
            async with asyncio.timeout(timeout):
                infos = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
                raw = await start_connection(infos, happy_eyeballs_delay=_NEXT_ADDRESS, loop=loop)
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop, origin, self._limits.read),
                    sock=raw,
                    ssl=trust,
                    server_hostname=origin.host if origin.secure else None,
                )
        except TimeoutError:
            raise no_connection_within(timeout) from None
        except (OSError, ValueError) as error:  # ValueError: a name that is none
            raise not_connected(error) from None
        self._open.add(connection)
        connection.gone.add_done_callback(lambda _: self._open.discard(connection))
        return connection

    async def aclose(self) -> None:
        """See `AwaitingWire`."""
        self._is_closed = True
        leaving = list(self._open)
        self._idle.clear()
        for each in leaving:
            each.abort()
        if leaving:
            await asyncio.wait([each.gone for each in leaving])


class _Connection(asyncio.Protocol):
    """One connection, and the answer that comes over it. It ends by `abort`, since TLS's `close` waits for the other side."""

    def __init__(self, loop: asyncio.AbstractEventLoop, origin: Origin, timeout: float) -> None:
        self.origin = origin
        self.is_reusable = False
        self.gone: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._timeout = timeout
        self._transport: asyncio.Transport | None = None
        self._incoming: Incoming | None = None
        self._whole: asyncio.Future[Answer] | None = None
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def is_fit(self, origin: Origin) -> bool:
        """Whether the next request may go over it: it was used lately, and nothing has come since, not even its end."""
        return self.is_reusable and self.origin == origin and time.monotonic() - self._heard < KEPT

    async def exchange(self, request: Request) -> Answer:
        """Send a request and read its answer."""
        if self._transport is None or self._transport.is_closing():
            raise NoAnswer(HUNG_UP)
        self.is_reusable = False
        self._incoming = Incoming()
        self._whole = self._loop.create_future()
        self._heard = time.monotonic()
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout, self._check_silence)
        self._transport.write(request.written(self.origin))
        try:
            return await self._whole
        finally:
            self._incoming = self._whole = None

    def _check_silence(self) -> None:
        """End a wait in which nothing came for too long; one timer serves many requests, since most end before it."""
        self._watch = None
        if self._whole is None:
            return
        remaining = self._heard + self._timeout - time.monotonic()
        if remaining > 0:
            self._watch = self._loop.call_later(remaining, self._check_silence)
        else:
            self._fail(silent(self._timeout))

    def _fail(self, problem: NoAnswer) -> None:
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(problem)

    def abort(self) -> None:
        """End the connection at once, and with it the wait for an answer."""
        self.is_reusable = False
        self._fail(NoAnswer("the client was closed"))
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._transport is not None:
            self._transport.abort()

    # --- what the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open, TLS included."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Some bytes of an answer, or of none that anybody waits for."""
        if self._incoming is None or self._whole is None or self._whole.done():
            self.abort()
            return
        self._heard = time.monotonic()
        try:
            if self._incoming.feed(data):
                self.is_reusable = self._incoming.is_reusable
                self._whole.set_result(self._incoming.answer())
        except NoAnswer as problem:
            self._fail(problem)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, which may be how an answer ends."""
        if exc is None and self._incoming is not None:
            self.data_received(b"")
        elif exc is not None:
            self._fail(broken(exc))
        self.is_reusable = False
        if not self.gone.done():
            self.gone.set_result(None)
