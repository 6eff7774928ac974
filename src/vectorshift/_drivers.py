"""The two drivers of flows: `run` blocks, `arun` awaits (asyncio). They perform each step and decide nothing."""

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from vectorshift._calls import Call, Fetch, Flow, Pause, Resolve, Route, Step

if TYPE_CHECKING:
    from vectorshift._transport import Transport

T = TypeVar("T")


def run(flow: Flow[T], transport: "Transport") -> T:
    """Run a flow to its end, blocking."""
    try:
        step = next(flow)
        while True:
            try:
                outcome = _perform(step, transport)
            except Exception as error:  # noqa: BLE001  # the flow owns its clean-up
                step = flow.throw(error)
            else:
                step = flow.send(outcome)
    except StopIteration as done:
        result: T = done.value
        return result
    except BaseException as error:
        if isinstance(error, Exception):
            raise
        # An interrupt strikes anywhere, and the frames of the wire hold the key and signed addresses.
        raise error.with_traceback(None) from None
    finally:
        flow.close()


def _perform(step: Step, transport: "Transport") -> Any:
    if isinstance(step, Call):
        return transport.send(step)
    if isinstance(step, Pause):
        if step.seconds > 0:
            time.sleep(step.seconds)
        return time.monotonic()
    if isinstance(step, Resolve):
        return _resolve(step)
    return transport.fetch(step) if isinstance(step, Fetch) else step.run()


async def arun(flow: Flow[T], transport: "Transport") -> T:
    """Run a flow to its end, awaiting; blocking work goes to a thread."""
    try:
        step = next(flow)
        while True:
            try:
                outcome = await _aperform(step, transport)
            except Exception as error:  # noqa: BLE001  # the flow owns its clean-up
                step = flow.throw(error)
            else:
                step = flow.send(outcome)
    except StopIteration as done:
        result: T = done.value
        return result
    except BaseException as error:
        if isinstance(error, Exception):
            raise
        # An interrupt strikes anywhere, and the frames of the wire hold the key and signed addresses.
        raise error.with_traceback(None) from None
    finally:
        flow.close()


async def _aperform(step: Step, transport: "Transport") -> Any:
    if isinstance(step, Call):
        return await transport.asend(step)
    if isinstance(step, Pause):
        if step.seconds > 0:
            await asyncio.sleep(step.seconds)
        return time.monotonic()
    if isinstance(step, Resolve):
        return await _aresolve(step)
    return (
        await transport.afetch(step)
        if isinstance(step, Fetch)
        else await asyncio.to_thread(step.run)
    )


def _resolve(step: Resolve) -> Route:
    """Find a route; the system bounds how long resolving a host takes."""
    host, proxy = _target(step)
    if proxy is not None:
        return Route(proxy=proxy)
    try:
        return Route(_addresses(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)))
    except (OSError, UnicodeError):
        return Route()


async def _aresolve(step: Resolve) -> Route:
    host, proxy = _target(step)
    if proxy is not None:
        return Route(proxy=proxy)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(step.budget):
            return Route(_addresses(await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)))
    except (OSError, UnicodeError):  # TimeoutError is an OSError
        return Route()


def _target(step: Resolve) -> tuple[str, str | None]:
    from vectorshift._transport.environment import proxy_for

    return urlsplit(step.url).hostname or "", proxy_for(step.url) if step.proxies else None


def _addresses(infos: Sequence[tuple[Any, ...]]) -> tuple[str, ...]:
    """Each IP address once, IPv4 first: not every machine with an IPv6 address can reach the internet."""
    families = sorted(infos, key=lambda each: bool(each[0] == socket.AF_INET6))
    return tuple(dict.fromkeys(each[4][0] for each in families))
