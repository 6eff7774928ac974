"""One client per account and event loop, however many triggers use it, and one look-up for all that start at once.

The client bounds its requests under way, so hundreds of triggers neither open hundreds of pools nor
queue inside one (PERFORMANCE.md 3, 7).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_provider_vectorshift._connections.settings import Settings

if TYPE_CHECKING:
    from vectorshift import Client

LookUp = Callable[[], Coroutine[Any, Any, Settings]]


@dataclass(eq=False)
class _Shared:
    client: "Client"
    users: int = 0


@dataclass
class _Loop:
    """What the triggers of one event loop have in common."""

    clients: dict[Settings, _Shared] = field(default_factory=dict)
    look_ups: dict[str, asyncio.Task[Settings]] = field(default_factory=dict)

    async def settings(self, conn_id: str, look_up: LookUp) -> Settings:
        """The settings of a connection; whoever asks while a look-up is under way waits for that one."""
        task = self.look_ups.get(conn_id)
        if task is None:
            task = self.look_ups[conn_id] = asyncio.create_task(self._prepared(look_up))
            task.add_done_callback(lambda task: self._looked_up(conn_id, task))
        # Shielded: when one that waits is cancelled, the others still want the answer.
        return await asyncio.shield(task)

    async def _prepared(self, look_up: LookUp) -> Settings:
        """The settings, once their client can start without holding up the event loop."""
        settings = await look_up()
        if settings not in self.clients:
            await asyncio.to_thread(settings.prepare)
        return settings

    def _looked_up(self, conn_id: str, task: "asyncio.Task[Settings]") -> None:
        del self.look_ups[conn_id]
        if not task.cancelled():
            task.exception()  # looked at, for the case that all who waited were cancelled


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()


@asynccontextmanager
async def shared_client(conn_id: str, look_up: LookUp) -> AsyncIterator["Client"]:
    """The client of a connection, shared with everybody in this event loop; the last one to leave closes it.

    A connection that was changed is another account here: who comes later gets a new client, and
    the old one goes on until its users have left.
    """
    here = _loops.setdefault(asyncio.get_running_loop(), _Loop())
    settings = await here.settings(conn_id, look_up)
    shared = here.clients.get(settings)
    if shared is None:
        shared = here.clients[settings] = _Shared(settings.client())
    shared.users += 1
    try:
        yield shared.client
    finally:
        shared.users -= 1
        if not shared.users:
            del here.clients[settings]
            # Shielded: a trigger that is cancelled must not leave half-closed connections.
            await asyncio.shield(shared.client.aclose())
