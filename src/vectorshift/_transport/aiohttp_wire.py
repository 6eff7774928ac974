"""The awaiting wire: kept connections of aiohttp's own protocol, whose answers its parser in C reads.

aiohttp's session is not used: it takes half of the time of a call, and sends a GET again by itself when a kept connection
has died, which neither the rate limit nor the retries of a client would know of.
"""

import asyncio
import socket
import time
from typing import cast

import aiohttp
from aiohappyeyeballs import start_connection
from aiohttp import ClientConnectionError, ClientPayloadError, ServerDisconnectedError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError

from vectorshift._transport.environment import usual_trust
from vectorshift._transport.exchange import (
    CUT,
    HUNG_UP,
    KEPT,
    Answer,
    Limits,
    NoAnswer,
    Origin,
    Request,
    broken,
    check_framing,
    check_size,
    decoded,
    joined,
    no_connection_within,
    not_connected,
    plain_origin,
    silent,
    unreadable,
)

if not aiohttp.__version__.startswith("3."):
    raise ImportError(f"aiohttp {aiohttp.__version__} is not one of those that are known here")

_LONGEST_LINE = 1 << 16
_NEXT_ADDRESS = 0.25
"""Seconds after which the next address of a host is tried beside the first."""


class AiohttpWire:
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
            return await self._exchange(await self._opened(origin), request, kept=False)
        async with self._places:
            connection = self._taken(origin)
            if connection is None:  # one without unread answers is false
                connection = await self._opened(origin)
            return await self._exchange(connection, request, kept=True)

    async def _exchange(self, connection: "_Connection", request: Request, *, kept: bool) -> Answer:
        try:
            answer = await connection.exchange(request, self._limits.read)
        except BaseException as error:
            connection.abort()
            if (told := _failure(error, self._limits.read)) is None:
                raise
            raise told from None
        if kept and not connection.should_close and not self._is_closed:
            connection.used = time.monotonic()
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
        patience = self._limits.connect
        try:
            async with asyncio.timeout(patience):
                found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
                raw = await start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS, loop=loop)
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop, origin),
                    sock=raw,
                    ssl=trust,
                    server_hostname=origin.host if origin.secure else None,
                )
        except TimeoutError:
            raise no_connection_within(patience) from None
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


class _Connection(ResponseHandler):
    """aiohttp's side of one connection. It ends by `abort`, since TLS's `close` waits for the other side."""

    def __init__(self, loop: asyncio.AbstractEventLoop, origin: Origin) -> None:
        super().__init__(loop)
        self.origin = origin
        self.used = 0.0
        self.gone: asyncio.Future[None] = loop.create_future()

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has ended."""
        super().connection_lost(exc)
        if not self.gone.done():
            self.gone.set_result(None)

    def is_fit(self, origin: Origin) -> bool:
        """Whether the next request may go over it: it was used lately, and nothing has come since, not even its end."""
        usable = self.is_connected() and not self.should_close
        return usable and self.origin == origin and time.monotonic() - self.used < KEPT

    async def exchange(self, request: Request, patience: float) -> Answer:
        """Send a request and read its answer."""
        self.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=patience,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        assert self.transport is not None
        self.transport.write(request.written(self.origin))
        message = None
        while message is None or 100 <= message.code < 200:
            self.start_timeout()
            message, payload = await self.read()
            if message.code == 101:
                raise unreadable("its head cannot be read")
        fields = message.raw_headers
        headers = joined((n.decode("latin-1"), v.decode("latin-1")) for n, v in fields)
        check_framing(headers)
        body = await payload.readany()
        check_size(len(body))
        if not payload.at_eof():
            pieces = bytearray(body)
            async for piece in payload.iter_any():
                pieces += piece
                check_size(len(pieces))
            body = bytes(pieces)
        return Answer(message.code, headers, decoded(headers, body))


def _failure(error: BaseException, patience: float) -> NoAnswer | None:
    """Why there is no answer; None for what has nothing to do with it."""
    if isinstance(error, TimeoutError):
        return silent(patience)
    if isinstance(error, ServerDisconnectedError):
        return NoAnswer(HUNG_UP)
    if isinstance(error, ClientPayloadError):
        return NoAnswer(CUT)
    if isinstance(error, (OSError, ClientConnectionError)):
        return broken(error)
    if isinstance(error, HttpProcessingError):
        cause = error.__cause__
        return unreadable(cause if isinstance(cause, Exception) else error)
    return None
