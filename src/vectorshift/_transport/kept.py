"""The blocking wire: kept connections, whose answers the standard library's http.client reads.

Of http.client only the reader of answers is used. `HTTPConnection` would hold a read timeout for each read, so that a
trickle could go on for ever, and send a head and a body apart.
"""

import io
import select
import socket
import ssl
import threading
import time
from http.client import HTTPException, HTTPResponse, IncompleteRead, RemoteDisconnected
from typing import Any, cast

from vectorshift._transport.environment import usual_trust
from vectorshift._transport.exchange import (
    CUT,
    HUNG_UP,
    KEPT,
    LATE,
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

_PIECE = 1 << 20


class KeptWire:
    """Connections that wait for the next request of any thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places = threading.Semaphore(limits.connections)
        self._idle: list[_Connection] = []
        self._is_closed = False

    def exchange(self, request: Request, deadline: float, *, fresh: bool) -> Answer:
        """See `BlockingWire`."""
        origin = cast(Origin, plain_origin(request.base_url))  # or another wire was chosen
        if fresh:
            connection = self._opened(origin, deadline)
            try:
                return connection.exchange(request, deadline)
            finally:
                connection.close()
        if not self._places.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise NoAnswer("no connection was free in time", sent=False, timed_out=True)
        try:
            connection = self._taken(origin) or self._opened(origin, deadline)
            answer = connection.exchange(request, deadline)
            self._give_back(connection)
            return answer
        finally:
            self._places.release()

    def _taken(self, origin: Origin) -> "_Connection | None":
        while self._idle:
            try:
                connection = self._idle.pop()  # of one that others may take from as well
            except IndexError:
                break
            if connection.origin == origin and connection.is_fit():
                return connection
            connection.close()
        return None

    def _give_back(self, connection: "_Connection") -> None:
        if connection.is_kept and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.close()
        if self._is_closed:
            self.close()

    def _opened(self, origin: Origin, deadline: float) -> "_Connection":
        trust = (self._limits.trust or usual_trust()) if origin.secure else None
        patience = max(0.001, min(self._limits.connect, deadline - time.monotonic()))
        try:
            raw = socket.create_connection((origin.host, origin.port), timeout=patience)
            try:
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if trust is not None:
                    raw = trust.wrap_socket(raw, server_hostname=origin.host)
            except BaseException:
                raw.close()
                raise
        except TimeoutError:
            raise no_connection_within(patience) from None
        except (OSError, ValueError) as error:  # ValueError: a name that is none
            raise not_connected(error) from None
        return _Connection(raw, origin, self._limits.read)

    def close(self) -> None:
        """See `BlockingWire`."""
        self._is_closed = True
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:
                break


class _Response(HTTPResponse):
    """An answer, whatever interim ones come before it."""

    def begin(self) -> None:
        super().begin()  # which passes over 100 by itself
        while 100 < self.status < 200 and self.status != 101:
            self.headers = cast(Any, None)
            super().begin()


class _Reader(io.BufferedReader):
    """What has come over a connection; `HTTPResponse` closes it after each answer."""

    def close(self) -> None:
        """Nothing: the next answer comes the same way."""


class _Connection(io.RawIOBase):
    """A socket, and the raw stream of its own reader: each read ends with the time of the request under way."""

    def __init__(self, raw: socket.socket, origin: Origin, patience: float) -> None:
        self.origin = origin
        self.is_kept = False
        self._socket = raw
        self._patience = patience
        self._deadline: float | None = None
        self._used = 0.0
        self._has_ended = False
        self._poll = select.poll()
        self._poll.register(raw, select.POLLIN)
        self._reader = _Reader(self, 1 << 16)

    # --- what `HTTPResponse` and its reader ask of a socket ---

    def makefile(self, _: str) -> _Reader:
        """The reader of all answers, so that what comes after one is noticed."""
        return self._reader

    def readable(self) -> bool:
        """It is read."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has come, or wait for it; between two requests there is nothing to wait for."""
        if self._deadline is None:
            return None
        self._socket.settimeout(self._left(self._deadline))
        count = self._socket.recv_into(buffer)
        self._has_ended = not count
        return count

    def _left(self, deadline: float) -> float:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(self._patience, left)

    # --- requests ---

    def is_fit(self) -> bool:
        """Whether the next request may go over it: it was used lately, and nothing has come since, not even its end."""
        is_unread = bool(self._reader.peek(1) or self._poll.poll(0))
        if isinstance(self._socket, ssl.SSLSocket):
            is_unread = is_unread or self._socket.pending() > 0
        return not is_unread and time.monotonic() - self._used < KEPT

    def exchange(self, request: Request, deadline: float) -> Answer:
        """Send a request and read its answer; where none comes, the connection is closed."""
        self._deadline = deadline
        try:
            answer = self._exchanged(request.written(self.origin), request.method, deadline)
        except BaseException as error:
            self.close()
            if (told := _failure(error, self._patience, deadline)) is None:
                raise
            raise told from None
        self._deadline, self._used = None, time.monotonic()
        return answer

    def _exchanged(self, data: bytes, method: str, deadline: float) -> Answer:
        refused = self._send(data, deadline)
        response = _Response(cast(socket.socket, self), method=method)
        try:
            response.begin()
        except OSError as error:
            raise refused or error from None
        if self._has_ended:  # http.client takes it for the end of the head
            raise NoAnswer(CUT)
        if response.headers.defects or response.status == 101:
            raise unreadable("its head cannot be read")
        headers = joined(response.headers.items())
        check_framing(headers)
        body = _body(response)
        self.is_kept = not response.will_close and refused is None
        return Answer(response.status, headers, decoded(headers, body))

    def _send(self, data: bytes, deadline: float) -> OSError | None:
        self._socket.settimeout(self._left(deadline))
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise
        except OSError as error:  # it may have answered before it hung up
            return error
        return None

    def close(self) -> None:
        """Close the socket."""
        super().close()
        self._socket.close()


def _body(response: HTTPResponse) -> bytes:
    if response.length is not None:
        check_size(response.length)
        return response.read()
    body = bytearray()
    while piece := response.read(_PIECE):
        body += piece
        check_size(len(body))
    return bytes(body)


def _failure(error: BaseException, patience: float, deadline: float) -> NoAnswer | None:
    """Why there is no answer; None for what has nothing to do with it."""
    if isinstance(error, TimeoutError):
        is_late = time.monotonic() >= deadline
        return NoAnswer(LATE, timed_out=True) if is_late else silent(patience)
    if isinstance(error, RemoteDisconnected):
        return NoAnswer(HUNG_UP)
    if isinstance(error, IncompleteRead):
        return NoAnswer(CUT)
    if isinstance(error, OSError):
        return broken(error)
    return unreadable(error) if isinstance(error, (HTTPException, ValueError)) else None
