"""The rate limit: a token bucket that holds one second's worth of requests."""

import math
import time
from collections.abc import Callable


class Limiter:
    """Lets `rate` requests a second through, after a burst of as many.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate: float | None = None
        self._tokens = 0.0
        self._seen = 0.0

    def wait(self, rate: float | None) -> int | None:
        """None when one more request may pass, else whole seconds until the next may.

        Args:
            rate: requests per second; None lets everything pass. A new rate starts a full bucket.
        """
        now = self._clock()
        if rate != self._rate:
            self._rate, self._tokens, self._seen = rate, max(rate or 0.0, 1.0), now
        if rate is None:
            return None
        self._tokens = min(self._tokens + (now - self._seen) * rate, max(rate, 1.0))
        self._seen = now
        if self._tokens < 1:
            return math.ceil((1 - self._tokens) / rate)
        self._tokens -= 1
        return None
