"""How far an export has got, in the task's log, in few lines and without any address."""

from collections.abc import Callable
from typing import Any

_LINES: dict[str, tuple[str, int]] = {
    "looks": ("Polled the export %s times", 4),
    "bytes": ("Downloaded %s bytes", 1 << 26),
    "checked": ("Checked %s rows", 500_000),
    "loaded": ("Loaded %s rows", 500_000),
    "copied": ("Published %s bytes or rows", 1 << 26),
}
"""The message of each kind, and the number that it starts with."""


class ProgressLog:
    """Says a figure when it first matters, and again each time it has doubled.

    Args:
        say: takes a format and a number, as `logging.Logger.info` does.
    """

    def __init__(self, say: Callable[..., Any]) -> None:
        self._say = say
        self._next = {kind: first for kind, (_, first) in _LINES.items()}

    def __call__(self, kind: str, done: int) -> None:
        if done >= self._next[kind]:
            self._next[kind] = 2 * done
            self._say(_LINES[kind][0], f"{done:,}")
