"""What many deferred exports cost a triggerer's event loop: CPU seconds per 1,000 looks over kept connections.

200 waiters look in one loop, all at once: through our client, through one `httpx.AsyncClient` whose pool has as many
connections and whose requests are bounded as ours are, and through a bare asyncio socket each time (the limit: one
request written, one answer read, nothing parsed). The service is an emulator in a process of its own. Interleaved, medians.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

from vectorshift import Client

LOOKS, WAITERS, AT_ONCE, ROUNDS = 1_000, 200, 16, 5
Look = Callable[[], Awaitable[object]]


@asynccontextmanager
async def ours(base_url: str, key: str, export_id: str) -> AsyncIterator[Look]:
    async with Client(key, base_url) as client:
        yield lambda: client.aexport_task(export_id)


@asynccontextmanager
async def one_pool(base_url: str, key: str, export_id: str) -> AsyncIterator[Look]:
    places = asyncio.Semaphore(AT_ONCE)
    limits = httpx.Limits(max_connections=AT_ONCE)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, limits=limits) as pool:

        async def look() -> object:
            async with places:
                return (await pool.get(f"/analytics/exports/{export_id}")).json()

        yield look


@asynccontextmanager
async def sockets(base_url: str, key: str, export_id: str) -> AsyncIterator[Look]:
    url = urlsplit(base_url)
    request = (
        f"GET {url.path}/analytics/exports/{export_id} HTTP/1.1\r\nHost: {url.netloc}\r\n"
        f"Authorization: Bearer {key}\r\n\r\n"
    ).encode()
    free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.LifoQueue()
    opened = [await asyncio.open_connection(url.hostname, url.port) for _ in range(AT_ONCE)]
    for each in opened:
        free.put_nowait(each)

    async def look() -> object:
        reader, writer = connection = await free.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        free.put_nowait(connection)
        return body

    yield look
    for _, writer in opened:
        writer.close()
        await writer.wait_closed()


WAYS = {"ours": ours, "one httpx pool": one_pool, "sockets (limit)": sockets}


async def cost(look: Look) -> float:
    """CPU seconds of 1,000 looks."""

    async def waiter() -> None:
        for _ in range(LOOKS // WAITERS):
            await look()

    await waiter()  # connections open, modules load
    began = time.process_time()
    await asyncio.gather(*(waiter() for _ in range(WAITERS)))
    return time.process_time() - began


async def measure(base_url: str, key: str) -> dict[str, float]:
    """The median of each way."""
    async with Client(key, base_url) as client:
        export_id = (await client.query().aexport("CSV", "events.csv"))["task_id"]
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, way in WAYS.items():
            async with way(base_url, key, export_id) as look:
                found[name].append(await cost(look))
    return {name: statistics.median(each) for name, each in found.items()}


def main() -> None:
    """Measure and print."""
    command = [sys.executable, "-m", "vectorshift_emulator", "--events", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout is not None
            told = json.loads(service.stdout.readline())
            medians = asyncio.run(measure(told["base_url"], told["api_key"]))
        finally:
            service.terminate()
    for name, seconds in medians.items():
        print(
            f"{name:>16}: {seconds:5.2f} s CPU for {LOOKS:,} looks, {seconds / medians['ours']:.2f} x ours"
        )


if __name__ == "__main__":
    main()
