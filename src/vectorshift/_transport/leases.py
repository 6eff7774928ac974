"""Awaiting connections, lent to one request at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from vectorshift._transport.exchange import KEPT


class Lease:
    """Awaiting connections of httpx.

    Each is a client of its own: httpx's pool looks at all of its connections and at all who wait, at every step of every
    request. The one that was given back last is taken first, so that few are opened where few are needed.
    """

    def __init__(self, options: dict[str, Any], connections: int) -> None:
        self._options = options | {"limits": httpx.Limits(max_connections=1, keepalive_expiry=KEPT)}
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
