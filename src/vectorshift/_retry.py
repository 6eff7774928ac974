"""When to try a call again: a pure decision, and the retry quota of one client. No clock, no sleeping, no HTTP.

Full jitter, `Retry-After` honoured up to a limit, a token bucket that stops a fleet of
retries from feeding an outage, and a total time that always wins.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently a client tries again.

    `attempts` counts every try, the first one included. `first_wait` and `longest_wait` are seconds: the n-th wait is
    drawn evenly from 0 to min(longest_wait, first_wait * 2**n). `longest_retry_after` is the most that a
    `Retry-After` may ask for; beyond it the error is raised at once, so that an orchestrator can reschedule.
    """

    attempts: int = 5
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_retry_after: float = 120.0

    def __post_init__(self) -> None:
        if (
            self.attempts < 1
            or min(self.first_wait, self.longest_wait, self.longest_retry_after) < 0
        ):
            raise ValueError("Retry needs attempts >= 1 and waits of 0 seconds or more")


class Quota:
    """Tokens that retries spend and successes earn back; without tokens nothing is tried again."""

    __slots__ = ("_tokens",)
    CAPACITY, RETRY_COST, TIMEOUT_COST, SUCCESS_GAIN = 500, 5, 10, 1

    def __init__(self) -> None:
        self._tokens = self.CAPACITY

    def spend(self, *, timed_out: bool) -> bool:
        """Take the price of one retry; False if too little is left."""
        cost = self.TIMEOUT_COST if timed_out else self.RETRY_COST
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True

    def earn(self) -> None:
        """Give back a little after a success."""
        self._tokens = min(self.CAPACITY, self._tokens + self.SUCCESS_GAIN)


def parse_retry_after(value: str | None, *, wall_clock: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, or None when it says nothing usable.

    Reads delta seconds and HTTP dates (`wall_clock` is the current Unix time). NaN, negative and absurd values are ignored.
    """
    if value is None:
        return None
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return max(0.0, moment - wall_clock) if math.isfinite(moment) else None


@dataclass(frozen=True, slots=True)
class Failure:
    """The input of the decision: one failed try. `status` is 0 when no answer came."""

    status: int
    retry_after: float | None
    sent: bool
    timed_out: bool
    repeatable: bool


def _may_repeat(failure: Failure) -> bool:
    if failure.status == 0:
        return failure.repeatable or not failure.sent
    if failure.repeatable:
        return failure.status in _TRANSIENT
    # Creating an export twice makes two exports: only an answer that says "not now" proves that nothing was made.
    return failure.status in (429, 503) and failure.retry_after is not None


def jittered(policy: Retry, attempt: int, random: Callable[[], float]) -> float:
    """Return the seconds to wait after the `attempt`-th try; `random` draws from [0, 1)."""
    doublings = min(attempt - 1, 64)  # beyond that a float overflows
    return random() * min(policy.longest_wait, policy.first_wait * 2.0**doublings)


def wait_before_retry(
    failure: Failure, *, attempt: int, policy: Retry, remaining: float, random: Callable[[], float]
) -> float | None:
    """Return the seconds to wait before the next try, or None to give up.

    `attempt` is the number of tries so far, `remaining` the seconds left of the total time, `random` draws from [0, 1).
    """
    if attempt >= policy.attempts or not _may_repeat(failure):
        return None
    wait = jittered(policy, attempt, random)
    if failure.retry_after is not None:
        if failure.retry_after > policy.longest_retry_after:
            return None
        wait += failure.retry_after
    return wait if wait < remaining else None
