"""Live mode: events that keep arriving while the emulator runs."""

import asyncio
import random
import time
from datetime import UTC, datetime

from vectorshift_emulator import seed
from vectorshift_emulator.service import Service

TICK = 0.2
"""Seconds between two looks at how many events are due."""


async def keep_arriving(service: Service) -> None:
    """Insert traces at the rate of setting `live`, for ever."""
    rng = random.Random(service.next_seed())
    due, seen = 0.0, time.monotonic()
    while True:
        await asyncio.sleep(TICK)
        now = time.monotonic()
        due, seen = due + service.settings.live * (now - seen), now
        count = int(due)
        if count:
            due -= count
            await service.store.run(_insert, service, rng, count)


def _insert(service: Service, rng: random.Random, count: int) -> None:
    with service.store.lock:
        seed.live_events(service.store.cursor(), rng=rng, now=datetime.now(UTC), count=count)
