"""Many triggers in one event loop: they share one client, spread their looks, and all finish."""

import asyncio
import logging
import time
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.triggers import VectorShiftExportTrigger

_log = logging.getLogger(__name__)

TRIGGERS = 200
LOOKS_IN_VAIN = 2 * TRIGGERS
CONNECTIONS = 32
"""Twice what one client keeps open at once, since one that the server closes may linger here."""


class Relay:
    """A TCP relay in front of the emulator; `peak` is the most connections that it had at once."""

    def __init__(self):
        self.peak = 0
        self._serving = set()

    @asynccontextmanager
    async def before(self, base_url):
        """The URL of the relay while it stands before another URL."""
        self._host = urlsplit(base_url).hostname, urlsplit(base_url).port
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with server:
            yield urlsplit(base_url)._replace(netloc=f"{host}:{port}").geturl()
        await asyncio.gather(*self._serving)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self.peak = max(self.peak, len(self._serving))
        present, back = await asyncio.open_connection(*self._host)
        await asyncio.gather(_copy(reader, back), _copy(present, writer))


async def _copy(reader, writer):
    while chunk := await reader.read(1 << 16):
        writer.write(chunk)
        await writer.drain()
    writer.close()


async def longest_lag(stop):
    """The longest time that the event loop did not come round, in seconds, until `stop` is set."""
    longest = 0.0
    while not stop.is_set():
        began = time.perf_counter()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.01)
        longest = max(longest, time.perf_counter() - began - 0.01)
    return longest


async def ended(export_id):
    """What a trigger tells in the end, in one event."""
    trigger = VectorShiftExportTrigger(
        vectorshift_conn_id="vectorshift_default",
        export_id=export_id,
        deadline=time.time() + 240,
        poll_interval=0.2,
    )
    (event,) = [event async for event in trigger.run()]
    return event.payload


def test_many_triggers_share_one_client(emulator, connect):
    """200 exports are each told once as ready, over a few connections, and no look is wasted."""
    with VectorShiftHook().get_conn() as client:
        exports = [
            client.query().export("CSV", f"{number}.csv")["task_id"] for number in range(TRIGGERS)
        ]
        for each in exports:  # a look is in vain only where the fault makes it so
            while client.export_task(each)["task_status"] != "ready":
                time.sleep(0.02)
    emulator.reset_counters()
    emulator.fault("export_poll", "never_ready", times=LOOKS_IN_VAIN)
    relay = Relay()

    async def run():
        async with relay.before(emulator.base_url) as base_url:
            connect(host=base_url, password=emulator.api_key)
            done = asyncio.Event()
            lag = asyncio.create_task(longest_lag(done))
            events = await asyncio.gather(*map(ended, exports))
            done.set()
            return events, await lag

    began = time.perf_counter()
    events, lag = asyncio.run(run())
    counted = emulator.counters()
    took = time.perf_counter() - began
    _log.info(
        "%d triggers in %.1f s, longest lag of the loop %.3f s, %d looks, %d connections at once",
        TRIGGERS,
        took,
        lag,
        counted["polls"],
        relay.peak,
    )
    assert events == [{"status": "ready", "export_id": each, "error": ""} for each in exports]
    assert counted["requests"] == {"export_poll": LOOKS_IN_VAIN + TRIGGERS}
    assert relay.peak <= CONNECTIONS
