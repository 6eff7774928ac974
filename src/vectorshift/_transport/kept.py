"""The blocking wire: kept connections of sockets."""

import select
import socket
import ssl
import threading
import time
from typing import cast

from vectorshift._transport.environment import usual_trust
from vectorshift._transport.exchange import (
    KEPT,
    LATE,
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

_PIECE = 1 << 16


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
        if connection.is_reusable and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.close()
        if self._is_closed:
            self.close()

    def _opened(self, origin: Origin, deadline: float) -> "_Connection":
        trust = (self._limits.trust or usual_trust()) if origin.secure else None
        timeout = max(0.001, min(self._limits.connect, deadline - time.monotonic()))
        try:
            raw = socket.create_connection((origin.host, origin.port), timeout=timeout)
            try:
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if trust is not None:
                    raw = trust.wrap_socket(raw, server_hostname=origin.host)
            except BaseException:
                raw.close()
                raise
        except TimeoutError:
            raise no_connection_within(timeout) from None
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


class _Connection:
    """A socket, and what is known of it."""

    def __init__(self, raw: socket.socket, origin: Origin, timeout: float) -> None:
        self.origin = origin
        self.is_reusable = False
        self._socket = raw
        self._timeout = timeout
        self._used = 0.0
        self._poll = select.poll()
        self._poll.register(raw, select.POLLIN)

    def is_fit(self) -> bool:
        """Whether the next request may go over it: it was used lately, and nothing has come since, not even its end."""
        if time.monotonic() - self._used >= KEPT or self._poll.poll(0):
            return False
        return not isinstance(self._socket, ssl.SSLSocket) or not self._socket.pending()

    def exchange(self, request: Request, deadline: float) -> Answer:
        """Send a request and read its answer; where none comes, the connection is closed."""
        try:
            answer = self._exchanged(request.written(self.origin), deadline)
        except BaseException as error:
            self.close()
            if (failure := _failure(error, self._timeout, deadline)) is None:
                raise
            raise failure from None
        self._used = time.monotonic()
        return answer

    def _exchanged(self, data: bytes, deadline: float) -> Answer:
        refused = self._send(data, deadline)
        incoming = Incoming()
        try:
            while not incoming.feed(self._received(deadline)):
                pass
        except (OSError, NoAnswer) as error:
            raise refused or error from None
        self.is_reusable = incoming.is_reusable and refused is None
        return incoming.answer()

    def _received(self, deadline: float) -> bytes:
        self._socket.settimeout(self._left(deadline))
        return self._socket.recv(_PIECE)

    def _left(self, deadline: float) -> float:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return min(self._timeout, remaining)

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
        self._socket.close()


def _failure(error: BaseException, timeout: float, deadline: float) -> NoAnswer | None:
    """Why no answer came; None for other errors, and for one that says it already."""
    if isinstance(error, TimeoutError):
        is_late = time.monotonic() >= deadline
        return NoAnswer(LATE, timed_out=True) if is_late else silent(timeout)
    return broken(error) if isinstance(error, OSError) else None
