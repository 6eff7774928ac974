"""How a trigger waits: looks that are spread in time, until a deadline."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta

GRACE = timedelta(seconds=60)
"""What a trigger has to report its own timeout, before the scheduler steps in for it."""

_LAST_LOOK = 2.0
"""Seconds that a look may take beyond the deadline."""

_GROWTH = 1.5


async def looks(
    deadline: float, intervals: Iterable[float], *, spread: float
) -> AsyncIterator[float]:
    """Wait for an interval, then give how many seconds a look may take; again until the deadline.

    There is at least one look, however late it is: a triggerer may have been away. Each interval is
    up to `spread` times as long, by chance, so that many triggers do not look at once. `deadline` is
    in POSIX seconds.
    """
    for interval in intervals:
        left = max(deadline - time.time(), 0.0)
        await asyncio.sleep(min(interval * random.uniform(1.0, spread), left))
        yield max(deadline - time.time(), 0.0) + _LAST_LOOK
        if time.time() >= deadline:
            return


def growing(first: float, longest: float) -> Iterable[float]:
    """Intervals without end that grow by half, from `first` to `longest`."""
    interval = first
    while True:
        yield interval
        interval = min(interval * _GROWTH, max(longest, first))
