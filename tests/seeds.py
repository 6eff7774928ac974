"""A long search over seeds: how far it is, what went wrong, and what it ended in."""

import sys
import time
from collections import Counter
from collections.abc import Callable

MOST_TOLD = 20
SECONDS = 30.0
"""Between two lines that say how far the search is."""


def search(noun: str, ended: Callable[[int], str], number: int, first: int) -> int:
    """What `ended` says of so many seeds, and how many it raised AssertionError for, which is returned."""
    outcomes: Counter[str] = Counter()
    wrong, told = 0, time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    for done in range(number):
        if time.monotonic() - told > SECONDS:
            told = time.monotonic()
            say(f"{done:,} of {number:,} {noun}, {wrong:,} wrong")
        try:
            outcomes[ended(first + done)] += 1
        except AssertionError as problem:
            wrong += 1
            if wrong <= MOST_TOLD:
                say(str(problem))
    reported = ", ".join(f"{name} {count:,}" for name, count in outcomes.most_common())
    say(f"{number:,} {noun}, {wrong:,} wrong; {reported}")
    return wrong
