"""Counts the examples that hypothesis tries of each law of windows."""

from __future__ import annotations

import functools
from collections import Counter

from hypothesis import settings

examples: Counter[str] = Counter()
broken: Counter[str] = Counter()


def law(tries, **more):
    """Mark a hypothesis test as a law of windows that is tried `tries` times; put it above `given`."""

    def mark(test):
        return settings(max_examples=tries, deadline=None, database=None, **more)(test)

    return mark


def counted(test):
    """Count each example of a law; put it below `given`."""

    @functools.wraps(test)
    def example(*args, **kwargs):
        examples[test.__name__] += 1
        try:
            test(*args, **kwargs)
        except AssertionError:
            broken[test.__name__] += 1
            raise

    return example


def summary():
    return (
        f"window laws: {examples.total():,} hypothesis examples of {len(examples)} laws, "
        f"{broken.total()} counterexamples"
    )
