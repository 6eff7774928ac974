"""The event of an export's trigger, and the result of a task that only waited for one."""

from typing import Any, cast, get_args

from vectorshift_orchestration.exports.events import ExportEvent, Status


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
