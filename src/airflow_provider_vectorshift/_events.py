"""What a trigger tells its task: an export's id, how it stands, and a text. Never a URL.

Airflow writes events to the trigger's log and to the database in clear (RELIABILITY.md 0.2).
"""

from typing import Any, Literal, TypedDict, cast, get_args

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


def read_export_event(value: Any) -> ExportEvent:
    """The event that a trigger sent. Raises ValueError for anything else."""
    if (
        not isinstance(value, dict)
        or set(value) != set(ExportEvent.__annotations__)
        or not all(isinstance(text, str) for text in value.values())
        or value["status"] not in get_args(Status)
        or not value["export_id"]
    ):
        raise ValueError(
            "The task was resumed with something that is no event of VectorShiftExportTrigger. "
            "Clear the task to run it again."
        )
    return cast(ExportEvent, value)
