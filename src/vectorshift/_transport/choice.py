"""Which wire carries a client's calls: the one place that chooses, and says so at level DEBUG."""

import logging
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Literal, TypeAlias

from vectorshift._transport.exchange import AwaitingWire, BlockingWire, Limits, plain_origin

_log = logging.getLogger(__name__)

Library: TypeAlias = Literal["http.client", "aiohttp", "httpx"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A wire: its library, why it is this one, and the proxy that it goes through."""

    library: Library
    why: str
    proxy: str | None = field(default=None, repr=False)


@lru_cache(maxsize=64)
def blocking(base_url: str, proxy: str | None) -> Choice:
    """The wire of blocking calls: http.client, unless httpx is needed."""
    return _needs_httpx(base_url, proxy) or Choice("http.client", "nothing asks for httpx")


@lru_cache(maxsize=64)
def awaiting(base_url: str, proxy: str | None) -> Choice:
    """The wire of awaiting calls: aiohttp where it can be had, unless httpx is needed."""
    if needed := _needs_httpx(base_url, proxy):
        return needed
    missing = _why_no_aiohttp()
    return Choice("httpx", missing) if missing else Choice("aiohttp", "it is installed")


def _needs_httpx(base_url: str, proxy: str | None) -> Choice | None:
    if proxy is not None:
        return Choice("httpx", "a proxy leads to the service", proxy)
    if plain_origin(base_url) is None:
        return Choice("httpx", "the base URL has to be encoded first")
    return None


@cache
def _why_no_aiohttp() -> str:
    try:
        from vectorshift._transport import aiohttp_wire  # noqa: F401  # whether it can be had
    except ImportError as error:
        return str(error)
    return ""


def blocking_wire(choice: Choice, limits: Limits) -> BlockingWire:
    """Make the wire of blocking calls."""
    _tell("Blocking", choice)
    if choice.library == "http.client":
        from vectorshift._transport.kept import KeptWire

        return KeptWire(limits)
    from vectorshift._transport.httpx_wire import HttpxWire

    return HttpxWire(limits, choice.proxy)


def awaiting_wire(choice: Choice, limits: Limits) -> AwaitingWire:
    """Make the wire of awaiting calls, for the running event loop."""
    _tell("Awaiting", choice)
    if choice.library == "aiohttp":
        from vectorshift._transport.aiohttp_wire import AiohttpWire

        return AiohttpWire(limits)
    from vectorshift._transport.httpx_wire import AsyncHttpxWire

    return AsyncHttpxWire(limits, choice.proxy)


def _tell(kind: str, choice: Choice) -> None:
    _log.debug("%s calls go by %s: %s.", kind, choice.library, choice.why)


def prepare(limits: Limits) -> None:
    """Load the wires and the certificate authorities."""
    from vectorshift._transport import httpx_wire, kept  # noqa: F401  # loaded for the calls to come

    _why_no_aiohttp()
    httpx_wire.HttpxWire(limits, None).close()
