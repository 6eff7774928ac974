"""How an export task stands, and how often it is looked at: the one reading and the one rhythm of all who wait.

Source: reference page "Data tables and export"; CONTRACT.md B5.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

ExportTaskState: TypeAlias = Literal["pending", "ready", "failed"]

_GROWTH = 1.5
_LONGEST = 5.0


def export_state(task: Mapping[str, Any]) -> ExportTaskState:
    """How an `ExportTask` stands.

    `failed` when the service says so, `ready` when there is a URL to download from. Everything else is `pending`: a
    state that nobody knows, and a task that is called ready before its URL is there.
    """
    if task.get("task_status") == "failed":
        return "failed"
    return "ready" if task.get("download_url") else "pending"


def poll_intervals(first: float, longest: float | None = None) -> Iterator[float]:
    """The seconds before each look, without end: they grow by half from `first` to `longest`, five times `first` unless given."""
    most = _LONGEST * first if longest is None else max(longest, first)
    interval = first
    while True:
        yield interval
        interval = min(interval * _GROWTH, most)
