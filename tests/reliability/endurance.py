"""A process that goes on for long: what it holds after calls, failed downloads and exports in great number.

`python -m tests.reliability.endurance 10000 1000 1000` makes 10,000 calls, 1,000 downloads that fail, and 1,000 exports at
once of which a tenth of the requests is answered with 429, and prints what was open, in use and spent.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vectorshift import AnalyticsDownloadFailed, Client, Retry
from vectorshift_emulator import Emulator

PATIENCE = Retry(attempts=2, first_wait=0.0, longest_wait=0.0)
TENTH = 10
"""One request in so many is answered with 429."""
REFUSED = "http://127.0.0.1:9/file"
"""Nobody listens on the port of `discard`."""


@dataclass(frozen=True)
class Held:
    """What this process has open, and its resident memory in KiB."""

    files: int
    threads: int
    memory: int

    @classmethod
    def now(cls) -> "Held":
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        files = len(os.listdir("/proc/self/fd"))
        return cls(files, threading.active_count(), pages * os.sysconf("SC_PAGE_SIZE") // 1024)

    def since(self, earlier: "Held") -> str:
        """The difference, in words."""
        return (
            f"{self.files - earlier.files:+d} files and sockets, {self.threads - earlier.threads:+d} threads, "
            f"{self.memory - earlier.memory:+,d} KiB"
        )


@contextmanager
def emulator() -> Iterator[Emulator]:
    """An emulator in a process of its own."""
    command = [sys.executable, "-m", "vectorshift_emulator", "--events", "500", "--days", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Emulator(**json.loads(process.stdout.readline()))
        finally:
            process.terminate()


def calls(client: Client, loop: asyncio.AbstractEventLoop, number: int) -> None:
    """Count events, blocking and awaiting in turn."""
    for each in range(number):
        if each % 2:
            client.query().count()
        else:
            loop.run_until_complete(client.query().acount())


def failed_downloads(
    client: Client, loop: asyncio.AbstractEventLoop, number: int, origin: str
) -> None:
    """Download files that are not there, from nobody and from a service that denies them, blocking and awaiting in turn."""
    with TemporaryDirectory() as folder:
        target = Path(folder) / "file.csv"
        for each in range(number):
            url = REFUSED if each % 4 < 2 else f"{origin}/downloads/none/file.csv"
            with suppress(AnalyticsDownloadFailed):
                if each % 2:
                    client.download_export({"download_url": url}, target)
                else:
                    loop.run_until_complete(client.adownload_export({"download_url": url}, target))
                raise AssertionError(f"{url} was downloaded")
        assert not list(Path(folder).iterdir())


def held_after(number: int, downloads: int) -> list[tuple[Held, Held]]:
    """What is held after a tenth of the calls and after all of them, and the same for the downloads."""
    result = []
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))  # more would start while it is busy
    with emulator() as service:
        origin = service.base_url.removesuffix("/v1")
        with Client(service.api_key, service.base_url, retry=PATIENCE) as client:
            calls(client, loop, number // 10)
            early = Held.now()
            calls(client, loop, number - number // 10)
            result.append((early, Held.now()))
            failed_downloads(client, loop, downloads // 10, origin)
            early = Held.now()
            failed_downloads(client, loop, downloads - downloads // 10, origin)
            result.append((early, Held.now()))
            loop.run_until_complete(client.aclose())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    return result


@dataclass(frozen=True)
class Spent:
    """What exports at once took: seconds, KiB of memory beyond the beginning, requests sent, refused ones, the fewest
    possible, and exports that the service made."""

    seconds: float
    memory: int
    requests: int
    refused: int
    fewest: int
    made: int


def exports_at_once(number: int) -> Spent:
    """Request, await and download `number` exports in one event loop, every tenth request of the service answered with 429."""
    with emulator() as service, TemporaryDirectory() as folder:
        service.settings(export_mode="async", export_delay=0)
        # A request that meets one fault is not counted by those after it.
        for each in range(1, number + 1):
            service.fault("*", "status", code=429, retry_after="0", after=each * (TENTH - 1))
        before, began = Held.now(), time.monotonic()

        async def one(client: Client, each: int) -> None:
            task = await client.query().aexport_and_wait(
                "CSV", f"e{each}", timeout=600, poll_interval=1
            )
            done = await client.adownload_export(task, Path(folder) / f"{each}.csv")
            assert done.bytes > 0

        async def all_of_them() -> None:
            retry = Retry(attempts=5, first_wait=0.1)
            async with Client(
                service.api_key, service.base_url, retry=retry, total_timeout=600
            ) as client:
                await asyncio.gather(*(one(client, each) for each in range(number)))

        asyncio.run(all_of_them())
        seconds, after = time.monotonic() - began, Held.now()
        counters = service.counters()
        sent = sum(counters["requests"].values())
        return Spent(
            seconds,
            after.memory - before.memory,
            sent,
            counters["faults_injected"],
            3 * number,
            counters["exports_created"],
        )


def main(number: int, downloads: int, exports: int) -> None:
    """Print what was held and spent."""
    for what, (early, late) in zip(
        (f"{number:,} calls", f"{downloads:,} failed downloads"),
        held_after(number, downloads),
        strict=True,
    ):
        sys.stdout.write(f"{what}: from a tenth of them on, {late.since(early)}\n")
        sys.stdout.flush()
    spent = exports_at_once(exports)
    sys.stdout.write(
        f"{exports:,} exports at once: {spent.seconds:.1f} s, {spent.memory:+,d} KiB, {spent.requests:,} requests, "
        f"{spent.refused:,} of them answered with 429, {spent.fewest:,} at least\n"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
