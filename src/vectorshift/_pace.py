"""At most so many requests per second: turns handed out in order. No clock, no sleeping, no HTTP."""

import heapq
import threading


class Pace:
    """Evenly spaced turns of one client, for all its threads and event loops together.

    It is a token bucket that holds one token: each caller takes the next turn, so nobody
    overtakes, and no second sees more turns than `per_second` (infinity: every turn is now).
    Times are monotonic seconds.
    """

    __slots__ = ("_free", "_interval", "_lock", "_next")

    def __init__(self, per_second: float) -> None:
        self._interval = 1.0 / per_second
        self._next = 0.0
        self._free: list[float] = []
        self._lock = threading.Lock()

    def take(self, now: float) -> float:
        """Take the next turn and return its time, `now` or later."""
        if not self._interval:
            return now
        with self._lock:
            while self._free:
                if (turn := heapq.heappop(self._free)) > now:
                    return turn
            turn = max(now, self._next)
            self._next = turn + self._interval
            return turn

    def give_back(self, turn: float) -> None:
        """Give back a turn that was not used."""
        with self._lock:
            heapq.heappush(self._free, turn)
