"""What a look at an export tells: its id, how it stands, and a text. Never a URL.

Airflow writes events to the trigger's log and to the database in clear (RELIABILITY.md 0.2).
"""

from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast, get_args

if TYPE_CHECKING:
    from vectorshift.analytics import ExportTask

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


def event_of_task(export_id: str, task: "ExportTask") -> ExportEvent | None:
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
    from airflow_provider_vectorshift.errors import is_permanent
    from vectorshift.errors import AnalyticsNotFound

    if isinstance(error, AnalyticsNotFound):
        return export_event("missing", export_id, str(error))
    if is_permanent(error):
        return export_event("refused", export_id, f"{type(error).__name__}: {error}")
    return None


def result_of(event: ExportEvent) -> dict[str, Any]:
    """The result (XCom) of a task that only waited, whatever process ends it."""
    return {"export_id": event["export_id"], "status": event["status"]}


def read_export_event(value: Any) -> ExportEvent:
    """The event that a trigger sent. Raises ValueError for anything else."""
    if (
        not isinstance(value, dict)
        or set(value) != set(ExportEvent.__annotations__)
        or not all(isinstance(text, str) for text in value.values())
        or value["status"] not in get_args(Status)
        or not (value["export_id"] or value["error"])
    ):
        raise ValueError(
            "The task was resumed with something that is no event of VectorShiftExportTrigger. "
            "Clear the task to run it again."
        )
    return cast(ExportEvent, value)
