"""The only package that speaks HTTP: it sends a `Call` and streams a `Fetch`, blocking or awaiting (asyncio).

It decides nothing: a failure becomes a `Reply` with status 0. Which wire carries a call is said in `choice.py`.
Source: docs/contract.md A1.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec

from vectorshift._calls import Call, Fetch, Fetched, Reply
from vectorshift._transport import choice
from vectorshift._transport.environment import proxy_for
from vectorshift._transport.exchange import (
    LATE,
    Answer,
    AwaitingWire,
    BlockingWire,
    Limits as Limits,
    NoAnswer,
    Request,
)
from vectorshift.errors import redact


@dataclass(frozen=True, slots=True)
class Address:
    """Where a call goes and with which key. Never printed: `key` stays out of repr."""

    base_url: str
    key: str

    def __repr__(self) -> str:
        return f"Address({self.base_url!r}, '***')"


class Transport:
    """Connections of one client: blocking ones per process, awaiting ones per event loop."""

    def __init__(self, address: Callable[[], Address], limits: Limits) -> None:
        self._address = address
        self._limits = limits
        self._lock = threading.Lock()
        self._blocking: tuple[tuple[int, choice.Choice], BlockingWire] | None = None
        self._awaiting: dict[tuple[asyncio.AbstractEventLoop, choice.Choice], _Loop] = {}

    def prepare(self) -> None:
        """Load what the first call would load."""
        choice.prepare(self._limits)

    # --- blocking ------------------------------------------------------------

    def send(self, call: Call) -> Reply:
        """Send one call and wait for the whole answer."""
        address = self._address()
        deadline = time.monotonic() + self._budget(call)
        wire = self._wire(choice.wire(address.base_url, proxy_for(address.base_url)))
        try:
            # A kept connection may have died unseen; a create must know whether it was sent.
            answer = wire.exchange(_request(call, address), deadline, fresh=not call.repeatable)
        except NoAnswer as problem:
            return _no_reply(problem, address, late=time.monotonic() >= deadline)
        return _reply(answer, address)

    def _wire(self, chosen: choice.Choice) -> BlockingWire:
        with self._lock:
            # A forked worker must not share its parent's sockets.
            fitting = os.getpid(), chosen
            if self._blocking is None or self._blocking[0] != fitting:
                self._blocking = fitting, choice.blocking_wire(chosen, self._limits)
            return self._blocking[1]

    def _budget(self, call: Call) -> float:
        return self._limits.read if call.budget is None else call.budget

    def fetch(self, step: Fetch) -> Fetched:
        """Stream a file with a client of its own, which holds no credentials."""
        from vectorshift._transport import httpx_wire

        return httpx_wire.fetch(step, self._limits)

    # --- awaiting ------------------------------------------------------------

    async def asend(self, call: Call) -> Reply:
        """The same, awaiting."""
        address = self._address()
        budget = self._budget(call)
        deadline = time.monotonic() + budget
        chosen = choice.wire(address.base_url, proxy_for(address.base_url))
        try:
            async with asyncio.timeout(budget):
                here = await self._here(chosen)
                answer = await here.wire.exchange(
                    _request(call, address), deadline, fresh=not call.repeatable
                )
        except NoAnswer as problem:
            return _no_reply(problem, address, late=time.monotonic() >= deadline)
        except TimeoutError:
            return _no_reply(NoAnswer(LATE, timed_out=True), address, late=True)
        return _reply(answer, address)

    async def afetch(self, step: Fetch) -> Fetched:
        """The same, awaiting."""
        from vectorshift._transport import httpx_wire

        return await httpx_wire.afetch(step, self._limits)

    async def _here(self, chosen: choice.Choice) -> "_Loop":
        key = asyncio.get_running_loop(), chosen
        here = self._awaiting.get(key)
        if here is None:
            wire = choice.awaiting_wire(chosen, self._limits)
            here = self._awaiting[key] = _Loop(wire, self._live(key, wire))
            await anext(here.life)
        return here

    async def _live(
        self, key: tuple[asyncio.AbstractEventLoop, choice.Choice], wire: AwaitingWire
    ) -> AsyncGenerator[None, None]:
        """Close a wire with its event loop, which closes its async generators as it shuts down."""
        try:
            yield
        finally:
            self._awaiting.pop(key, None)
            await wire.aclose()

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
        for here in [here for key, here in self._awaiting.items() if key[0] is loop]:
            await here.life.aclose()
        self.close()


@dataclass(frozen=True, slots=True)
class _Loop:
    """What one event loop has, and what ends it."""

    wire: AwaitingWire
    life: AsyncGenerator[None, None]


def _request(call: Call, address: Address) -> Request:
    return Request(
        call.method,
        address.base_url,
        f"{call.path}?{urlencode(call.query)}" if call.query else call.path,
        _fields(address.key),
        None if call.body is None else msgspec.json.encode(call.body),
    )


def _fields(key: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "User-Agent": "vectorshift-orchestration",
    }


def _reply(answer: Answer, address: Address) -> Reply:
    return Reply(
        answer.status,
        answer.body,
        answer.headers,
        now=time.monotonic(),
        wall=time.time(),
        key=address.key,
    )


def _no_reply(problem: NoAnswer, address: Address, *, late: bool) -> Reply:
    return Reply(
        0,
        reason=LATE if late and problem.timed_out else redact(str(problem), address.key),
        sent=problem.sent,
        timed_out=late or problem.timed_out,
        now=time.monotonic(),
        wall=time.time(),
        key=address.key,
    )
