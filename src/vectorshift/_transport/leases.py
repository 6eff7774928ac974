"""Connections of httpx, lent to one request at a time.

Each is a client of its own: httpx's pool looks at all of its connections and at all who wait, at every step of every
request, and of several threads one may take the answer that another waits for as the end of an idle connection. The one
that was given back last is taken first, so that few are opened where few are needed.
"""

import asyncio
import queue
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx

from vectorshift._transport.exchange import KEPT, NoAnswer


def _of_one(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a client that has one connection."""
    return options | {"limits": httpx.Limits(max_connections=1, keepalive_expiry=KEPT)}


class Lease:
    """Connections for the threads of a process."""

    def __init__(self, options: dict[str, Any], connections: int) -> None:
        self._options = _of_one(options)
        self._free: queue.LifoQueue[httpx.Client | None] = queue.LifoQueue()
        for _ in range(connections):
            self._free.put(None)
        self._opened: list[httpx.Client] = []

    @contextmanager
    def client(self, deadline: float) -> Iterator[httpx.Client]:
        """A client for one request, once one is free. Raises `NoAnswer` where none is in time."""
        try:
            client = self._free.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise NoAnswer("no connection was free in time", sent=False, timed_out=True) from None
        try:
            if client is None:
                client = httpx.Client(**self._options)
                self._opened.append(client)
            yield client
        finally:
            self._free.put(client)

    def close(self) -> None:
        """Close the connections."""
        for client in self._opened:
            client.close()


class AsyncLease:
    """Connections for one event loop."""

    def __init__(self, options: dict[str, Any], connections: int) -> None:
        self._options = _of_one(options)
        self._free: asyncio.LifoQueue[httpx.AsyncClient | None] = asyncio.LifoQueue()
        for _ in range(connections):
            self._free.put_nowait(None)
        self._opened: list[httpx.AsyncClient] = []

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client for one request, once one is free."""
        client = await self._free.get()
        try:
            if client is None:
                client = httpx.AsyncClient(**self._options)
                self._opened.append(client)
            yield client
        finally:
            self._free.put_nowait(client)

    async def aclose(self) -> None:
        """Close the connections."""
        for client in self._opened:
            await client.aclose()
