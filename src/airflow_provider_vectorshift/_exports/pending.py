"""An export that was asked for and has not landed yet, remembered over the tries of a task.

It is kept in the `task_state_store` of Airflow 3.3, which survives a killed worker; on an earlier
Airflow there is no store and every try asks anew. The note is removed as the very last step, so
that clearing a task that succeeded exports again (AIRFLOW.md 5).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from vectorshift_orchestration.exports.state import ExportState

_KEY = "vectorshift_export"


@dataclass(frozen=True, slots=True)
class PendingExport:
    """An export that is under way.

    `account` is the id of the Airflow connection it was asked with, `target` where it is to land,
    `deadline` when it has to be ready, in POSIX seconds: a later try does not get a longer time.
    `state` is how far it has got.
    """

    account: str
    target: list[Any]
    deadline: float
    state: "ExportState"

    @classmethod
    def new(
        cls, account: str, target: list[Any], deadline: float, key: str, export_id: str = ""
    ) -> Self:
        """An export that is still to be asked for, or one of which only its id is known."""
        from vectorshift_orchestration.exports.state import ExportState

        if not export_id:
            return cls(account, target, deadline, ExportState(key))
        return cls(account, target, deadline, ExportState(key, "created", export_id, asked=1))

    def to_json(self) -> dict[str, Any]:
        """The note as JSON values; it holds ids, counts and names, and no signed URL."""
        return {
            "account": self.account,
            "target": self.target,
            "deadline": self.deadline,
            "state": self.state.to_json(),
        }

    @classmethod
    def from_json(cls, value: Any) -> Self | None:
        """The note that `to_json` gave; None for anything else, as another version may have left it."""
        from vectorshift_orchestration.errors import ExportStateError
        from vectorshift_orchestration.exports.state import ExportState

        try:
            state = ExportState.from_json(value["state"])
            return cls(value["account"], list(value["target"]), float(value["deadline"]), state)
        except (KeyError, TypeError, ValueError, ExportStateError):
            return None

    def going_on(self, account: str, target: list[Any], key: str) -> Self | None:
        """What of it serves a task that asks `account` for `key` now; None when nothing does.

        Where only the target has changed, the service's file is used for the new one.
        """
        from vectorshift_orchestration.exports.state import ExportState

        known = self.state
        if (self.account, known.key) != (account, key):
            return None
        if self.target == target:
            return self
        if not known.task_id:
            return None
        state = ExportState(
            key, "created", known.task_id, known.asked, counted_before=known.counted_before
        )
        return replace(self, target=target, state=state)


class PendingNote:
    """The one note of a task: in memory, and in the store where there is one.

    Args:
        context: the task's context.
        durable: whether to use the store at all.
    """

    def __init__(self, context: Mapping[str, Any], *, durable: bool) -> None:
        self._store = context.get("task_state_store") if durable else None
        self.pending: PendingExport | None = None

    def read(self) -> PendingExport | None:
        """The export that an earlier try asked for, if there is one."""
        noted = None if self._store is None else self._store.get(_KEY)
        return None if noted is None else PendingExport.from_json(noted)

    def write(self, pending: PendingExport) -> None:
        """Remember an export; to be done before anything else."""
        self.pending = pending
        if self._store is not None:
            self._store.set(_KEY, pending.to_json())

    def remove_overdue(self) -> None:
        """Forget an export whose time is up; one that an `execution_timeout` cut short is kept."""
        if self.pending is None or time.time() >= self.pending.deadline:
            self.remove()

    def remove(self) -> None:
        """Forget it: it has landed, or is of no more use."""
        self.pending = None
        if self._store is not None:
            self._store.delete(_KEY)
