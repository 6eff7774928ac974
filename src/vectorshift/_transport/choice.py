"""Which wire carries a client's calls: the one place that chooses, and says so at level DEBUG."""

import logging
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from typing import Literal, TypeAlias

from vectorshift._transport.exchange import AwaitingWire, BlockingWire, Limits, plain_origin

_log = logging.getLogger(__name__)

Library: TypeAlias = Literal["httptools", "httpx"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A wire: the library that reads its answers, why it is this one, and the proxy that it goes through."""

    library: Library
    why: str
    proxy: str | None = field(default=None, repr=False)


@lru_cache(maxsize=64)
def wire(base_url: str, proxy: str | None) -> Choice:
    """The wire of calls to a service, blocking and awaiting: kept connections, unless httpx is needed."""
    return _needs_httpx(base_url, proxy) or Choice("httptools", "nothing needs httpx")


def _needs_httpx(base_url: str, proxy: str | None) -> Choice | None:
    if proxy is not None:
        return Choice("httpx", "a proxy leads to the service", proxy)
    if plain_origin(base_url) is None:
        return Choice("httpx", "the base URL has to be encoded first")
    if missing := _missing():
        extra = "pip install 'vectorshift-orchestration[fast]' makes calls cheaper"
        return Choice("httpx", f"{missing} is not installed ({extra})")
    return None


@lru_cache(maxsize=1)
def _missing() -> str | None:
    """The first package of the kept connections that is not installed."""
    return next((name for name in ("httptools", "aiohappyeyeballs") if not find_spec(name)), None)


def blocking_wire(choice: Choice, limits: Limits) -> BlockingWire:
    """Make the wire of blocking calls."""
    _tell("Blocking", choice)
    if choice.library == "httptools":
        from vectorshift._transport.kept import KeptWire

        return KeptWire(limits)
    from vectorshift._transport.httpx_wire import HttpxWire

    return HttpxWire(limits, choice.proxy)


def awaiting_wire(choice: Choice, limits: Limits) -> AwaitingWire:
    """Make the wire of awaiting calls, for the running event loop."""
    _tell("Awaiting", choice)
    if choice.library == "httptools":
        from vectorshift._transport.kept_awaiting import AsyncKeptWire

        return AsyncKeptWire(limits)
    from vectorshift._transport.httpx_wire import AsyncHttpxWire

    return AsyncHttpxWire(limits, choice.proxy)


def _tell(kind: str, choice: Choice) -> None:
    _log.debug("%s calls go by %s: %s.", kind, choice.library, choice.why)


def prepare(limits: Limits) -> None:
    """Load the wires and the certificate authorities."""
    from vectorshift._transport import httpx_wire

    if not _missing():
        from vectorshift._transport import (  # noqa: F401  # loaded for the calls to come
            kept,
            kept_awaiting,
        )

    httpx_wire.HttpxWire(limits, None).close()
