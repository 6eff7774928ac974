"""An export that was asked for and has not landed yet, remembered over the tries of a task.

It is kept in the `task_state_store` of Airflow 3.3, which survives a killed worker; on an earlier
Airflow there is no store and every try asks anew. The note is removed as the very last step, so
that clearing a task that succeeded exports again (AIRFLOW.md 5).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration import Window

if TYPE_CHECKING:
    from vectorshift_orchestration.exports import ExportRequest

_KEY = "vectorshift_export"


@dataclass(frozen=True, slots=True)
class PendingExport:
    """An export that is under way.

    `request_key` is the identity of what was asked (`ExportRequest.key`), `deadline` when it has
    to be ready, in POSIX seconds: a later try of the task does not get a longer time.
    """

    export_id: str
    request_key: str
    deadline: float


class PendingNote:
    """The one note of a task; without a store nothing is remembered.

    Args:
        context: the task's context.
        durable: whether to use the store at all.
    """

    def __init__(self, context: Mapping[str, Any], *, durable: bool) -> None:
        self._store = context.get("task_state_store") if durable else None

    def read(self) -> PendingExport | None:
        """The export that an earlier try asked for, if there is one."""
        noted = None if self._store is None else self._store.get(_KEY)
        return PendingExport(**noted) if noted else None

    def write(self, pending: PendingExport) -> None:
        """Remember an export; to be done before anything else."""
        if self._store is not None:
            self._store.set(_KEY, asdict(pending))

    def remove(self) -> None:
        """Forget it: it has landed, or is of no more use."""
        if self._store is not None:
            self._store.delete(_KEY)


def request_as_json(request: "ExportRequest") -> dict[str, Any]:
    """What was asked, as JSON values."""
    return {
        "query": dict(request.query),
        "window": request.window.to_dict(),
        "format": request.format,
    }


def read_request(asked: Mapping[str, Any]) -> "ExportRequest":
    """The request that `request_as_json` described."""
    from vectorshift_orchestration.exports import ExportRequest

    return ExportRequest(asked["query"], Window.from_dict(asked["window"]), asked["format"])
