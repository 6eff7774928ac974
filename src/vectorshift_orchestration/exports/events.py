"""The event of a polled export: its id, its status, and an error text. Never a URL.

It is stored and logged in the clear.
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
    from vectorshift_orchestration.watching import OpenClient

_SPREAD = 1.5

Status = Literal["ready", "failed", "timeout", "missing", "refused"]
"""`failed`: the service could not make the file. `missing`: it does not know the export.
`refused`: it does not take our connection. `timeout`: the deadline passed."""


class ExportEvent(TypedDict):
    """The status of an export. `error` is empty when it is ready."""

    status: Status
    export_id: str
    error: str


def export_event(status: Status, export_id: str, error: str = "") -> ExportEvent:
    """An event, with any secret in the text redacted."""
    from vectorshift.errors import redact

    return {"status": status, "export_id": export_id, "error": redact(error)}


def read_event(value: Any) -> ExportEvent:
    """A stored event, checked. Raises ValueError for anything else."""
    event = typed(value, ExportEvent)
    if not (event["export_id"] or event["error"]):
        raise ValueError("An event has an export_id or an error.")
    return event


def result_of(event: ExportEvent) -> dict[str, Any]:
    """The result of a task that only waited for an export, whatever process ends it."""
    return {"export_id": event["export_id"], "status": event["status"]}


def event_of_task(export_id: str, task: ExportTask) -> ExportEvent | None:
    """The event of a polled export; None while it is pending."""
    from vectorshift.export_tasks import export_state

    match export_state(task):
        case "failed":
            return export_event("failed", export_id, task.get("error", ""))
        case "ready":
            return export_event("ready", export_id)
        case "pending":
            return None


def event_of_error(export_id: str, error: Exception) -> ExportEvent | None:
    """The event of an error while polling an export; None for one that may pass."""
    from vectorshift.errors import AnalyticsNotFound

    if isinstance(error, AnalyticsNotFound):
        return export_event("missing", export_id, str(error))
    if is_permanent(error):
        return export_event("refused", export_id, f"{type(error).__name__}: {error}")
    return None


def poll_export(
    open_client: Callable[[], AbstractContextManager[Client]], export_id: str
) -> ExportEvent | None:
    """Poll an export once; None while it is pending. Raises an error that may pass."""
    try:
        with open_client() as client:
            return event_of_task(export_id, client.export_task(export_id))
    except Exception as error:
        if event := event_of_error(export_id, error):
            return event
        raise


async def until_ready(
    open_client: OpenClient,
    export_id: str,
    *,
    deadline: float,
    intervals: Iterable[float],
    log: Any,
) -> ExportEvent:
    """Poll an export until it has ended, or the deadline has passed.

    Errors that may pass are retried; the last one is in the timeout's text. `open_client` gives the
    account's client, `deadline` is in POSIX seconds, `intervals` are the seconds
    before each poll, `log` is a logger of any kind.
    """
    from vectorshift.errors import VectorshiftError, redact
    from vectorshift_orchestration.watching import poll_timeouts

    if not export_id.strip():
        return export_event("refused", export_id, "export_id= is empty.")
    problem = ""
    try:
        async with open_client() as client:
            async for poll_timeout in poll_timeouts(deadline, intervals, spread=_SPREAD):
                try:
                    task = await client.aexport_task(export_id, timeout=poll_timeout)
                except VectorshiftError as error:
                    if event := event_of_error(export_id, error):
                        return event
                    problem = redact(str(error))
                    log.warning("Export %s could not be polled: %s", export_id, problem)
                else:
                    if event := event_of_task(export_id, task):
                        return event
                    problem = ""
    except Exception as error:
        if event := event_of_error(export_id, error):
            return event
        raise
    return export_event("timeout", export_id, problem)
