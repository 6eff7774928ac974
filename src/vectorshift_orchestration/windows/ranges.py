"""Which windows are done in one go: those that were missed, as ranges without a gap.

A window goes by its name here, such as an orchestrator's partition key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby


def missed(reach: Sequence[str], complete: Collection[str], *, has_older: bool) -> set[str]:
    """The windows of a reach that are not complete, after the first one that is.

    What lies before that is history that was not requested yet; with `has_older` it begins before
    the reach.
    """
    begins = 0 if has_older else next((i for i, name in enumerate(reach) if name in complete), None)
    return set() if begins is None else set(reach[begins:]) - set(complete)


def contiguous(
    reach: Sequence[str], selected: Collection[str], most: int | None = None
) -> Iterator[list[str]]:
    """The wanted windows of a reach, as ranges without a gap of at most `most` windows each."""
    for is_selected, group in groupby(reach, lambda name: name in selected):
        names = list(group)
        step = most or len(names)
        for start in range(0, len(names) if is_selected else 0, step):
            yield names[start : start + step]
