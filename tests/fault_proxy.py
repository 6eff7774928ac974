"""A TCP proxy before a real server that spoils chosen exchanges, and counts what it spoiled.

An exchange is what a client sends and what the server sends back until the client sends again. Each fault of the plan hits one
exchange, in order. What was planned and never happened fails the test that planned it.
"""

from __future__ import annotations

import hashlib
import re
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal, Self, TypeAlias, get_args
from urllib.parse import urlsplit

Kind: TypeAlias = Literal[
    "refused",  # the connection is reset as soon as it is made
    "lost request",  # what the client sends does not arrive, and the connection is reset
    "lost reply",  # the server answers, none of it arrives, and the connection is reset
    "unanswered",  # the server gets the request, and the connection is reset at once
    "reset",  # at `at` of the reply the connection is reset
    "cut",  # at `at` of the reply the connection ends as if all were said
    "corrupt",  # the byte at `at` of the reply is another one
    "late",  # the reply comes `seconds` later
    "slow",  # the reply comes in pieces of a sixteenth, `seconds` apart
    "drip",  # from `at` on, a byte of the reply comes every `seconds`
    "hang",  # at `at` of the reply nothing comes any more
    "stale",  # after the reply the connection is dead: the next request over it is answered by a reset
    "twice",  # the reply comes two times
    "answered",  # `reply` comes in place of the server's, which is not asked
]
KINDS = get_args(Kind)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What happens to the first exchange whose request holds `on`, after `skip` others that do.

    `at` is a place in the reply: a number of bytes, or a share of an HTTP reply, 0.0 to 1.0.
    """

    kind: Kind
    on: bytes = b""
    skip: int = 0
    at: int | float = 0
    seconds: float = 0.01
    reply: bytes = b""


class FaultProxy:
    """Forwards connections from a free port of this machine; `plan` says what goes wrong.

    The server's address in its replies becomes the proxy's, so that URLs in them lead through it as well. `injected` counts
    what happened, by kind; leaving the block without an error asserts that all of the plan did.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = host, port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self._listener.getsockname()[1]
        self.injected: Counter[str] = Counter()
        self._plan: list[tuple[Fault, list[int]]] = []
        self._lock = threading.Lock()
        self._opened: set[socket.socket] = set()
        self._renamed = f"{host}:{port}".encode(), f"127.0.0.1:{self.port}".encode()

    @classmethod
    def before(cls, base_url: str) -> Self:
        """A proxy before the service at an address."""
        port = urlsplit(base_url).port
        assert port is not None
        return cls(port)

    @property
    def origin(self) -> str:
        """Where HTTP clients go."""
        return f"http://127.0.0.1:{self.port}"

    def plan(self, *faults: Fault) -> None:
        """Spoil these exchanges, beside what is still planned."""
        with self._lock:
            self._plan += [(fault, [fault.skip]) for fault in faults]

    def everywhere(self, faults: Iterable[Fault], fewest: int = 1) -> Iterator[tuple[Fault, int]]:
        """Plan each fault at the first exchange, at the second and so on, as long as there are so many.

        The caller does the same work each time, of `fewest` exchanges or more; the last time it does not come to the place.
        """
        for fault in faults:
            for place in count():
                self.plan(replace(fault, skip=fault.skip + place))
                yield fault, place
                if self.forgotten():
                    break
            assert place >= fewest, f"the work had {place} exchanges"

    def forgotten(self) -> list[Fault]:
        """What has not happened, which is not planned any more."""
        with self._lock:
            left, self._plan = self._plan, []
        return [fault for fault, _ in left]

    @property
    def pending(self) -> list[Fault]:
        """What was planned and has not happened."""
        with self._lock:
            return [fault for fault, _ in self._plan]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, problem: object, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._opened:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        if problem is None:
            assert not self.pending, f"planned, and never happened: {self.pending}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._taken(b"", refused=True):
                    _reset(client)
                    continue
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _taken(self, request: bytes, *, refused: bool = False, more: bool = False) -> Fault | None:
        """The fault of an exchange that begins so, out of the plan; or goes on so, if a fault waits for a text of it."""
        with self._lock:
            for place, (fault, left) in enumerate(self._plan):
                if (fault.kind == "refused") is not refused or fault.on not in request:
                    continue
                if more and not fault.on:
                    continue
                if left[0] > 0:
                    left[0] -= 1
                    continue
                del self._plan[place]
                if fault.kind != "stale":  # that one has happened when a request came too late
                    self.injected[fault.kind] += 1
                return fault
        return None

    def _carry(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self._target) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._opened |= {client, server}
            try:
                _Connection(self, client, server).carry()
            finally:
                with self._lock:
                    self._opened -= {client, server}

    def renamed(self, data: bytes) -> bytes:
        """What the server sent, with the proxy's address in place of the server's."""
        theirs, ours = self._renamed
        return data.replace(theirs, ours) if len(theirs) == len(ours) else data


class _Connection:
    """One client's connection, and the fault of the exchange that is under way."""

    def __init__(self, proxy: FaultProxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.fault: Fault | None = None
        self.is_answered = True
        self.is_stale = False

    def carry(self) -> None:
        """Forward until either side ends, or a fault ends the connection."""
        while True:
            for source in select.select([self.client, self.server], [], [])[0]:
                data = source.recv(1 << 16)
                if not data:
                    return
                goes_on = self._asked(data) if source is self.client else self._replied(data)
                if not goes_on:
                    return

    def _asked(self, data: bytes) -> bool:
        if self.is_answered:
            self.is_answered = False
            if self.is_stale:
                self.proxy.injected["stale"] += 1
                return _reset(self.client)
            self.fault = self.proxy._taken(data)
        elif self.fault is None:
            self.fault = self.proxy._taken(data, more=True)
        kind = self.fault.kind if self.fault else None
        if kind == "lost request":
            return _reset(self.client)
        if kind == "answered":
            assert self.fault is not None
            self.client.sendall(self.fault.reply)
            return False
        self.server.sendall(data)
        return _reset(self.client) if kind == "unanswered" else True

    def _replied(self, data: bytes) -> bool:
        self.is_answered = True
        data, fault = self.proxy.renamed(data), self.fault
        if fault is None:
            self.client.sendall(data)
            return True
        self.fault = None
        if fault.kind == "lost reply":
            return _reset(self.client)
        if fault.kind == "late":
            time.sleep(fault.seconds)
        whole, pieces = self._all(data, fault)
        at = round(fault.at * whole) if isinstance(fault.at, float) else fault.at
        at = min(at, whole - 1)
        return self._spoil(fault, at, whole, pieces)

    def _all(self, data: bytes, fault: Fault) -> tuple[int, Iterator[bytes]]:
        """How long the reply is, as far as its head tells, and the reply in pieces."""
        while data.startswith(b"HTTP/") and b"\r\n\r\n" not in data:
            data += self.proxy.renamed(self.server.recv(1 << 16))
        head, end, _ = data.partition(b"\r\n\r\n")
        told = _LENGTH.search(head + b"\r\n") if end else None
        whole = len(head) + 4 + int(told[1]) if told else len(data)

        def pieces() -> Iterator[bytes]:
            yield data
            left = whole - len(data)
            while left > 0:
                more = self.proxy.renamed(self.server.recv(min(left, 1 << 16)))
                if not more:
                    return
                left -= len(more)
                yield more

        return max(whole, len(data)), pieces()

    def _spoil(self, fault: Fault, at: int, whole: int, pieces: Iterator[bytes]) -> bool:
        sent = 0
        kept = bytearray()
        for piece in pieces:
            before = max(0, at - sent)
            if fault.kind in ("reset", "cut", "hang") and len(piece) > before:
                self.client.sendall(piece[:before])
                if fault.kind == "reset":
                    return _reset(self.client)
                if fault.kind == "hang":
                    self.client.recv(1)  # until the client gives up
                return False
            if fault.kind == "corrupt" and 0 <= at - sent < len(piece):
                piece = bytes((*piece[:before], piece[before] ^ 0xFF, *piece[before + 1 :]))
            if fault.kind in ("slow", "drip"):
                step = max(1, whole // 16) if fault.kind == "slow" else 1
                quick = before if fault.kind == "drip" else 0
                self.client.sendall(piece[:quick])
                for place in range(quick, len(piece), step):
                    time.sleep(fault.seconds)
                    self.client.sendall(piece[place : place + step])
            elif fault.kind == "twice":
                kept += piece
            else:
                self.client.sendall(piece)
            sent += len(piece)
        self.client.sendall(
            kept * 2
        )  # in one piece, so that the second is there when the first is read
        self.is_stale = fault.kind == "stale"
        return True


def _reset(connection: socket.socket) -> bool:
    """End a connection as one ends that nobody knows of; False, for no more of it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()
    return False


class Seen:
    """What a test injected, and what became of the rows."""

    def __init__(self) -> None:
        self.injected: Counter[str] = Counter()
        self.lost = self.duplicated = self.wrong = 0

    def compare(self, truth: Iterable[Any], found: Iterable[Any]) -> None:
        """Count what a sink lacks, has too often, and has without its being true; all three have to be none."""
        missing = Counter(truth)
        wanted = set(missing)
        missing.subtract(found)
        self.lost += sum(count for count in missing.values() if count > 0)
        extra = {value: -count for value, count in missing.items() if count < 0}
        self.duplicated += sum(count for value, count in extra.items() if value in wanted)
        self.wrong += sum(count for value, count in extra.items() if value not in wanted)
        assert not +missing, f"lost: {list(+missing)[:3]}"
        assert not extra, f"too many: {list(extra)[:3]}"


def hashed(connection: Any, table: str = "events", key: str = "span_id") -> list[tuple[Any, str]]:
    """Each row of a table as its key and the hash of everything in it."""
    return [
        (row[0], hashlib.sha256(repr(row).encode()).hexdigest())
        for row in connection.execute(f"SELECT {key}, * FROM {table}").fetchall()
    ]
