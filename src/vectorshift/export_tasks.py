"""How an export task stands, and how often it is looked at: the one reading and the one rhythm of all who wait.

Source: reference page "Data tables and export"; docs/contract.md B5.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, TypeAlias

ExportTaskState: TypeAlias = Literal["pending", "ready", "failed"]

_GROWTH = 1.5
_LONGEST = 5.0
_MOST_SHOWN = 100
_PREFIX = re.compile(r"^(export_)?(task_)?(status|state)_")
_PENDING = re.compile(
    r"|pending|queued|running|in_?progress|processing|started|starting|created|accepted|submitted|"
    r"scheduled|waiting|retrying|active|unspecified|unknown"
)
_READY = re.compile(
    r"ready|success|succeeded|successful|complete|completed|done|finished|available"
)
_FAILED = re.compile(
    r"fail|error|cancel|abort|reject|expire|terminat|kill|denied|time_?d?_?out|invalid|dead"
)


def task_state(told: str) -> str:
    """The state that a service's word means; a word that nobody knows comes back in lower case and is logged once."""
    word = _PREFIX.sub("", told.strip().lower())
    if _FAILED.search(word):
        return "failed"
    if _READY.fullmatch(word):
        return "ready"
    return "pending" if _PENDING.fullmatch(word) else _unknown(word)


@cache
def _unknown(word: str) -> str:
    logging.getLogger("vectorshift").warning(
        "An export is %r, a state that is not known: it is waited for like a pending one.",
        word if len(word) <= _MOST_SHOWN else f"{word[:_MOST_SHOWN]}…",
    )
    return word


def export_state(task: Mapping[str, Any]) -> ExportTaskState:
    """How an `ExportTask` stands.

    `failed` when the service says so, in any of its words, and `ready` when there is a URL to download from. Everything
    else is `pending`: a state that nobody knows, and a task that is called ready before its URL is there.
    """
    if task_state(str(task.get("task_status") or "")) == "failed":
        return "failed"
    return "ready" if task.get("download_url") else "pending"


def poll_intervals(first: float, longest: float | None = None) -> Iterator[float]:
    """The seconds before each look, without end: they grow by half from `first` to `longest`, five times `first` unless given."""
    most = _LONGEST * first if longest is None else max(longest, first)
    interval = first
    while True:
        yield interval
        interval = min(interval * _GROWTH, most)
