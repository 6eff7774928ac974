"""Live mode: events that keep arriving while the emulator runs."""

import asyncio
import random
import time
from datetime import UTC, datetime

from vectorshift_emulator._settings import Settings
from vectorshift_emulator.data import seed
from vectorshift_emulator.data.store import Store

TICK = 0.2
"""Seconds between two checks of how many events are due."""


async def keep_arriving(store: Store, settings: Settings) -> None:
    """Insert traces at the rate of setting `live`, for ever."""
    rng = random.Random()
    due, seen = 0.0, time.monotonic()
    while True:
        await asyncio.sleep(TICK)
        now = time.monotonic()
        due, seen = due + settings.live * (now - seen), now
        count = int(due)
        if count:
            due -= count
            await store.run(_insert, store, rng, count)


def _insert(store: Store, rng: random.Random, count: int) -> None:
    with store.lock:
        seed.live_events(store.cursor(), rng=rng, now=datetime.now(UTC), count=count)
