"""What waiting exports cost a triggerer's event loop

CPU seconds of 1,000 looks over kept connections, all waiters looking at once in one loop: through our client, through our client on
httpx (its only wire before), through one shared `aiohttp.ClientSession`, and through bare sockets (the limit: one request written, one
answer read, nothing parsed). Then how the cost of ours grows from 100 waiters to 10,000.
"""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit

from canned import canned
from side_by_side import OURS, Claim, arguments, in_turn, print_figures, slope, tell

LOOKS, AT_ONCE = 1_000, 16
PATH = "/v1/analytics/exports/ex_1"
PENDING = json.dumps({"status": "success", "task_id": "ex_1", "task_status": "pending"}).encode()
Look = Callable[[], Awaitable[object]]


@asynccontextmanager
async def ours(origin: str, bundle: str) -> AsyncIterator[Look]:
    from vectorshift import Client

    async with Client("sk_1", f"{origin}/v1", verify=bundle or True) as client:
        yield lambda: client.aexport_task("ex_1")


def on_httpx(origin: str, bundle: str) -> AbstractAsyncContextManager[Look]:
    from vectorshift._transport import choice

    chosen = choice.Choice("httpx", "the benchmark asks for it")
    choice._needs_httpx = lambda base_url, proxy: chosen
    return ours(origin, bundle)


@asynccontextmanager
async def shared_session(origin: str, bundle: str) -> AsyncIterator[Look]:
    import aiohttp

    context = ssl.create_default_context(cafile=bundle) if bundle else True
    connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=context)
    headers = {"Authorization": "Bearer sk_1"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def look() -> object:
            async with session.get(origin + PATH) as reply:
                return await reply.json()

        yield look


@asynccontextmanager
async def sockets(origin: str, bundle: str) -> AsyncIterator[Look]:
    url = urlsplit(origin)
    context = ssl.create_default_context(cafile=bundle) if bundle else None
    asked = (
        f"GET {PATH} HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer sk_1\r\n\r\n".encode()
    )
    free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.LifoQueue()
    opened = [
        await asyncio.open_connection(url.hostname, url.port, ssl=context) for _ in range(AT_ONCE)
    ]
    for each in opened:
        free.put_nowait(each)

    async def look() -> object:
        reader, writer = connection = await free.get()
        writer.write(asked)
        found = await reader.readuntil(PENDING)
        free.put_nowait(connection)
        return found

    yield look
    for _, writer in opened:
        writer.close()
        await writer.wait_closed()


WAYS = {"ours": ours, "ours on httpx": on_httpx, "aiohttp": shared_session, "sockets": sockets}


async def cost(way: str, origin: str, bundle: str, waiters: int) -> tuple[float, float]:
    """CPU seconds of 1,000 looks, and the longest that the loop was held, in seconds."""
    held = 0.0

    async def watch() -> None:
        nonlocal held
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            held = max(held, time.perf_counter() - began - 0.005)

    async with WAYS[way](origin, bundle) as look:
        await asyncio.gather(*(look() for _ in range(AT_ONCE)))  # connections open, modules load
        each = max(1, 2 * LOOKS // waiters)

        async def waiter() -> None:
            for _ in range(each):
                await look()

        watching = asyncio.create_task(watch())
        began = time.process_time()
        await asyncio.gather(*(waiter() for _ in range(waiters)))
        spent = time.process_time() - began
        watching.cancel()
    return spent * LOOKS / (each * waiters), held


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    if options.way:
        origin, waiters, *bundle = options.rest
        spent, held = asyncio.run(cost(options.way, origin, (bundle or [""])[0], int(waiters)))
        print_figures(cpu=spent, held=held)
        return
    rounds = 3
    for scheme in ("HTTP", "HTTPS"):
        with canned(lambda target, body: PENDING, tls=scheme == "HTTPS") as served:
            rest = [served.bundle] if served.bundle else []
            found = in_turn(
                __file__,
                dict.fromkeys(WAYS, OURS),
                rounds,
                served.origin,
                200,
                *rest,
                environment=served.trust,
            )
        told = ", ".join(f"{way} {each['cpu']:.2f} s" for way, each in found.items())
        spent = found["ours"]["cpu"]
        before, held = found["ours on httpx"]["cpu"], found["ours"]["held"]
        what = f"CPU of 1,000 looks at exports, {scheme}"
        tell(Claim(what, spent / before, "x the same on httpx", "<= 0.34", "1", told))
        tell(Claim(what, spent / found["sockets"]["cpu"], "x sockets"))
        tell(Claim(f"the longest that the loop was held, {scheme}", held, "s", "<= 0.1"))
    sizes = [100, 1_000, 10_000]
    costs = []
    with canned(lambda target, body: PENDING) as served:
        for size in sizes:
            [one] = in_turn(__file__, {"ours": OURS}, rounds, served.origin, size).values()
            costs.append(one["cpu"])
    told = ", ".join(f"{size:,}: {each:.2f} s" for size, each in zip(sizes, costs, strict=True))
    tell(
        Claim(
            f"growth of a look's cost, {sizes[0]} to {sizes[-1]:,} waiters",
            slope([float(each) for each in sizes], costs),
            "as a slope (0: not at all)",
            "<= 0.1",
            "",
            told,
        )
    )


if __name__ == "__main__":
    main()
