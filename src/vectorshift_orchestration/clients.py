"""One client per account and event loop, however many share it, and one look-up for all that start at once.

The client bounds its requests under way, so hundreds of waiters neither open hundreds of pools nor
queue inside one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from vectorshift_orchestration.accounts import Account

if TYPE_CHECKING:
    from vectorshift import Client

LookUp = Callable[[], Coroutine[Any, Any, Account]]


@dataclass(eq=False)
class _Shared:
    client: Client
    users: int = 0


@dataclass
class _Loop:
    """What the users of one event loop have in common."""

    clients: dict[Account, _Shared] = field(default_factory=dict)
    look_ups: dict[str, asyncio.Task[Account]] = field(default_factory=dict)

    async def account(self, name: str, look_up: LookUp) -> Account:
        """The account of that name; calls during a look-up wait for that one."""
        task = self.look_ups.get(name)
        if task is None:
            task = self.look_ups[name] = asyncio.create_task(self._prepared(look_up))
            task.add_done_callback(lambda task: self._looked_up(name, task))
        # Shielded: when one that waits is cancelled, the others still want the answer.
        return await asyncio.shield(task)

    async def _prepared(self, look_up: LookUp) -> Account:
        """The account, once its client can start without holding up the event loop."""
        account = await look_up()
        if account not in self.clients:
            await asyncio.to_thread(account.prepare)
        return account

    def _looked_up(self, name: str, task: asyncio.Task[Account]) -> None:
        del self.look_ups[name]
        if not task.cancelled():
            task.exception()  # looked at, for the case that all who waited were cancelled


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()


@asynccontextmanager
async def shared_client(name: str, look_up: LookUp) -> AsyncIterator[Client]:
    """The client of the account that goes by a name, shared with everybody in this event loop; the last one to leave closes it.

    Settings that were changed are another account here: who comes later gets a new client, and
    the old one goes on until its users have left.
    """
    here = _loops.setdefault(asyncio.get_running_loop(), _Loop())
    account = await here.account(name, look_up)
    shared = here.clients.get(account)
    if shared is None:
        shared = here.clients[account] = _Shared(account.client())
    shared.users += 1
    try:
        yield shared.client
    finally:
        shared.users -= 1
        if not shared.users:
            del here.clients[account]
            # Shielded: a user that is cancelled must not leave half-closed connections.
            await asyncio.shield(shared.client.aclose())
