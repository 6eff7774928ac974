"""One call after another, 50 at once, 1,000 at once

Calls per second of one `count` over kept connections: through our client as it chooses its wire, the same on httpx, the official client,
and the limit, sockets whose requests are written beforehand and whose answers are looked at no further than their length.
"""

import asyncio
import json
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from urllib.parse import urlsplit

from canned import canned
from side_by_side import OURS, Claim, arguments, in_turn, official_python, print_figures, tell

ANSWER = json.dumps({"status": "success", "count": 12345}).encode()
COUNT = "/v1/analytics/events/count"
AT_ONCE = 16
"""The connections of the limit, as many as ours are by default."""
Call = Callable[[], object]
AwaitedCall = Callable[[], Awaitable[object]]


def rate(call: Call, calls: int) -> float:
    """Calls per second, one after another."""
    for _ in range(20):
        call()
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return calls / (time.perf_counter() - began)


async def arate(call: AwaitedCall, calls: int, at_once: int) -> float:
    """Calls per second, so many at once."""
    await asyncio.gather(*(call() for _ in range(at_once)))
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            await call()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return calls / (time.perf_counter() - began)


async def rates(call: AwaitedCall, calls: int) -> tuple[float, float]:
    """At 50, and at 1,000."""
    return await arate(call, calls, 50), await arate(call, calls, 1000)


def ours(origin: str, bundle: str, calls: int) -> tuple[float, float, float]:
    from vectorshift import Client

    with Client("sk_1", f"{origin}/v1", verify=bundle or True) as client:
        blocking = rate(lambda: client.query().count(), calls)
        return blocking, *asyncio.run(rates(lambda: client.query().acount(), calls))


def on_httpx(origin: str, bundle: str, calls: int) -> tuple[float, float, float]:
    from vectorshift._transport import choice

    chosen = choice.Choice("httpx", "the benchmark asks for it")
    choice._needs_httpx = lambda base_url, proxy: chosen
    return ours(origin, bundle, calls // 5)


def official(origin: str, bundle: str, calls: int) -> tuple[float, float, float]:
    os.environ["VECTORSHIFT_BASE_URL"] = f"{origin}/v1"
    import vectorshift
    from vectorshift.analytics import Analytics

    vectorshift.api_key = "sk_1"

    async def awaiting() -> tuple[float, float]:
        found = await rates(lambda: Analytics.query().acount(), calls)
        await asyncio.get_running_loop()._vectorshift_aiohttp_session.close()
        return found

    blocking = rate(lambda: Analytics.query().count(), calls // 2)
    return blocking, *asyncio.run(awaiting())


def sockets(origin: str, bundle: str, calls: int) -> tuple[float, float, float]:
    url = urlsplit(origin)
    asked = f"POST {COUNT} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    context = ssl.create_default_context(cafile=bundle) if bundle else None
    with ExitStack() as stack:
        raw = socket.create_connection((url.hostname, url.port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            raw = context.wrap_socket(raw, server_hostname=url.hostname)
        stack.enter_context(raw)

        def call() -> None:
            raw.sendall(asked)
            while not raw.recv(65536).endswith(ANSWER):
                pass

        blocking = rate(call, calls)

    async def awaiting() -> tuple[float, float]:
        free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.LifoQueue()
        )
        async with AsyncExitStack() as stack:
            for _ in range(AT_ONCE):
                opened = await asyncio.open_connection(url.hostname, url.port, ssl=context)
                stack.push_async_callback(opened[1].wait_closed)
                stack.callback(opened[1].close)
                free.put_nowait(opened)

            async def acall() -> None:
                reader, writer = opened = await free.get()
                writer.write(asked)
                await reader.readuntil(ANSWER)
                free.put_nowait(opened)

            return await rates(acall, calls)

    return blocking, *asyncio.run(awaiting())


WAYS = {"ours": ours, "ours on httpx": on_httpx, "official": official, "sockets": sockets}


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    if options.way:
        origin, calls, *bundle = options.rest
        found = WAYS[options.way](origin, (bundle or [""])[0], int(calls))
        print_figures(**dict(zip(("blocking", "at_50", "at_1000"), found, strict=True)))
        return
    calls, rounds = (500, 3) if options.quick else (1_000, 3)
    ways = dict.fromkeys(WAYS, OURS) | {"official": official_python()}
    targets = {
        "HTTP": (">= 8", ">= 1.2", "2.3", "0.22"),
        "HTTPS": (">= 15", ">= 1.2", "4.9", "0.24"),
    }
    for scheme, (blocking, awaiting, before, before_50) in targets.items():
        with canned(lambda target, body: ANSWER, tls=scheme == "HTTPS") as served:
            bundle = [served.bundle] if served.bundle else []
            found = in_turn(
                __file__, ways, rounds, served.origin, calls, *bundle, environment=served.trust
            )

        def figures(name: str, found: dict[str, dict[str, float]] = found) -> str:
            return ", ".join(f"{way} {each[name]:,.0f}/s" for way, each in found.items())

        mine, theirs = found["ours"], found["official"]
        tell(
            Claim(
                f"a blocking call, {scheme}",
                mine["blocking"] / theirs["blocking"],
                "x official",
                blocking,
                before,
                figures("blocking"),
            )
        )
        tell(
            Claim(
                f"50 awaiting calls at once, {scheme}",
                mine["at_50"] / theirs["at_50"],
                "x official",
                awaiting,
                before_50,
                figures("at_50"),
            )
        )
        tell(
            Claim(
                f"calls per second of 1,000 at once, {scheme}",
                mine["at_1000"] / mine["at_50"],
                "x those of 50",
                ">= 0.8",
                "",
                figures("at_1000"),
            )
        )


if __name__ == "__main__":
    main()
