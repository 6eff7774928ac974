"""What a look at an export tells: its id, how it stands, and a text. Never a URL.

It is kept and logged in clear by whoever passes it on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from vectorshift_orchestration.errors import is_permanent
from vectorshift_orchestration.values import typed

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.analytics import ExportTask
    from vectorshift_orchestration.watching import Opened

_SPREAD = 1.5

Status = Literal["ready", "failed", "timeout", "missing", "refused"]
"""`failed`: the service could not make the file. `missing`: it does not know the export.
`refused`: it does not take our connection. `timeout`: the deadline passed."""


class ExportEvent(TypedDict):
    """How an export stands. `error` is empty when it is ready."""

    status: Status
    export_id: str
    error: str


def export_event(status: Status, export_id: str, error: str = "") -> ExportEvent:
    """An event, with any secret in the text blotted out."""
    from vectorshift.errors import redact

    return {"status": status, "export_id": export_id, "error": redact(error)}


def read_event(value: Any) -> ExportEvent:
    """The event that was told, out of wherever it was kept. Raises ValueError for anything else."""
    event = typed(value, ExportEvent)
    if not (event["export_id"] or event["error"]):
        raise ValueError("An event names its export, or tells an error.")
    return event


def result_of(event: ExportEvent) -> dict[str, Any]:
    """The result of a task that only waited for an export, whatever process ends it."""
    return {"export_id": event["export_id"], "status": event["status"]}


def event_of_task(export_id: str, task: ExportTask) -> ExportEvent | None:
    """What there is to tell of an export that was looked at; None while it is under way."""
    from vectorshift.export_tasks import export_state

    match export_state(task):
        case "failed":
            return export_event("failed", export_id, task.get("error", ""))
        case "ready":
            return export_event("ready", export_id)
        case "pending":
            return None


def event_of_error(export_id: str, error: Exception) -> ExportEvent | None:
    """What an error means for the export that was looked for; None for one that may pass."""
    from vectorshift.errors import AnalyticsNotFound

    if isinstance(error, AnalyticsNotFound):
        return export_event("missing", export_id, str(error))
    if is_permanent(error):
        return export_event("refused", export_id, f"{type(error).__name__}: {error}")
    return None


def look(
    opened: Callable[[], AbstractContextManager[Client]], export_id: str
) -> ExportEvent | None:
    """What one look at an export tells; None while it is under way. Raises an error that may pass."""
    try:
        with opened() as client:
            return event_of_task(export_id, client.export_task(export_id))
    except Exception as error:
        if told := event_of_error(export_id, error):
            return told
        raise


async def until_ready(
    opened: Opened,
    export_id: str,
    *,
    deadline: float,
    intervals: Iterable[float],
    log: Any,
) -> ExportEvent:
    """Look at an export until there is something to tell, or the deadline has passed.

    Errors that may pass are waited out; the last one is in the timeout's text. `opened` gives the
    account's client, `deadline` is in POSIX seconds, `intervals` are the seconds
    before each look, `log` is a logger of any make.
    """
    from vectorshift.errors import VectorshiftError, redact
    from vectorshift_orchestration.watching import looks

    if not export_id.strip():
        return export_event("refused", export_id, "export_id= is empty.")
    problem = ""
    try:
        async with opened() as client:
            async for patience in looks(deadline, intervals, spread=_SPREAD):
                try:
                    task = await client.aexport_task(export_id, timeout=patience)
                except VectorshiftError as error:
                    if told := event_of_error(export_id, error):
                        return told
                    problem = redact(str(error))
                    log.warning("Export %s could not be looked at: %s", export_id, problem)
                else:
                    if told := event_of_task(export_id, task):
                        return told
                    problem = ""
    except Exception as error:
        if told := event_of_error(export_id, error):
            return told
        raise
    return export_event("timeout", export_id, problem)
