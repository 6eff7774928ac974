"""The state of an export task, and how often it is polled: shared by everything that waits for one.

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


def task_state(text: str) -> str:
    """The state of a service's status; an unknown status is returned in lower case and logged once."""
    status = _PREFIX.sub("", text.strip().lower())
    if _FAILED.search(status):
        return "failed"
    if _READY.fullmatch(status):
        return "ready"
    return "pending" if _PENDING.fullmatch(status) else _unknown(status)


@cache
def _unknown(status: str) -> str:
    logging.getLogger("vectorshift").warning(
        "An export has the unknown status %r: it is treated as pending.",
        status if len(status) <= _MOST_SHOWN else f"{status[:_MOST_SHOWN]}…",
    )
    return status


def export_state(task: Mapping[str, Any]) -> ExportTaskState:
    """The state of an `ExportTask`.

    `failed` when the service says so, with any of its statuses, and `ready` when there is a URL to download from. Everything
    else is `pending`: an unknown status, and a task that is called ready before its URL is there.
    """
    if task_state(str(task.get("task_status") or "")) == "failed":
        return "failed"
    return "ready" if task.get("download_url") else "pending"


def poll_intervals(first: float, longest: float | None = None) -> Iterator[float]:
    """The seconds before each poll, without end: they grow by half from `first` to `longest`, five times `first` unless given."""
    most = _LONGEST * first if longest is None else max(longest, first)
    interval = first
    while True:
        yield interval
        interval = min(interval * _GROWTH, most)
