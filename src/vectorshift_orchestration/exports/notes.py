"""An export that was requested and has not landed yet, recorded in an orchestrator's store.

The note is removed as the very last step, so that a task that succeeded and is run again exports again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from vectorshift_orchestration.errors import ExportStateError
from vectorshift_orchestration.exports.state import ExportState

_KEY = "vectorshift_export"

_LAST_LOOK = 10.0
"""Seconds to finish an export whose time is up when its report arrives."""


class Store(Protocol):
    """Where a task keeps JSON values over its tries."""

    def get(self, key: str) -> Any:
        """The value, or None."""

    def set(self, key: str, value: Any) -> Any:
        """Keep the value, durably, before this returns."""

    def delete(self, key: str) -> Any:
        """Forget the value."""


@dataclass(frozen=True, slots=True)
class PendingExport:
    """A pending export.

    `account` names the account that requested it, `target` says where it is to land, `state` how far
    it has got.
    """

    account: str
    target: list[Any]
    state: ExportState

    def to_json(self) -> dict[str, Any]:
        """The note as JSON values; it holds ids, counts and names, and no signed URL."""
        return {"account": self.account, "target": self.target, "state": self.state.to_json()}

    @classmethod
    def from_json(cls, value: Any) -> Self | None:
        """The note that `to_json` gave; None for anything else, as another version may have left it."""
        try:
            state = ExportState.from_json(value["state"])
            return cls(value["account"], list(value["target"]), state)
        except (KeyError, TypeError, ValueError, ExportStateError):
            return None

    def resumable(self, account: str, target: list[Any], key: str) -> ExportState | None:
        """What of it serves a task that asks `account` for `key` now; None when nothing does.

        Where only the target has changed, the service's file is used for the new one.
        """
        state = self.state
        if (self.account, state.key) != (account, key):
            return None
        if self.target == target:
            return state
        return state.requested() if state.task_id or state.chunks else None


class PendingNote:
    """The one note of a task, as the record of its export job: in memory, and in a store.

    Args:
        store: what survives a killed process; without one every try requests a new export.
        account: the account's name.
        target: where it is to land.
        key: the request's.
        on_export: called with the id of each export that the service has accepted.
    """

    def __init__(
        self,
        store: Store | None,
        *,
        account: str,
        target: list[Any],
        key: str,
        on_export: Callable[[str], None],
    ) -> None:
        self._store = store
        self._account = account
        self._target = target
        self._key = key
        self._on_export = on_export
        self._reported = ""
        self.pending: PendingExport | None = None

    def read(self) -> ExportState | None:
        """The state of an export that was requested before, if it is of this task."""
        state = self._matching(self.stored() if self.pending is None else self.pending)
        if state is None:
            self.pending = None
        else:
            self._take(state)
        return state

    def write(self, state: ExportState) -> None:
        """Remember an export; to be done before anything else."""
        pending = self._take(state)
        if self._store is not None:
            self._store.set(_KEY, pending.to_json())

    def discard(self) -> None:
        """Forget it: it has landed, or is of no more use."""
        self.pending = None
        if self._store is not None:
            self._store.delete(_KEY)

    def discard_overdue(self) -> None:
        """Forget an export whose time is up; one that an `execution_timeout` cut short is kept."""
        stored = self.stored()
        if stored is not None and stored.state.is_overdue(time.time()):
            self.discard()

    def stored(self) -> PendingExport | None:
        """What the store holds."""
        noted = None if self._store is None else self._store.get(_KEY)
        return None if noted is None else PendingExport.from_json(noted)

    def take_up(self, noted: Any, export_id: str) -> None:
        """Go on with an export that another process reported, whatever was recorded of it.

        `noted` is what `PendingExport.to_json` gave where the wait began; None is what the store holds.
        An export whose time is up gets ten seconds, so that it is polled once more.
        """
        pending = self.stored() if noted is None else PendingExport.from_json(noted)
        state = self._matching(pending)
        if state is None or (export_id and state.task_id != export_id):
            state = ExportState(self._key, "created", export_id, asked=1)
        if state.deadline is not None:
            state = replace(state, deadline=max(state.deadline, time.time() + _LAST_LOOK))
        self._take(state)

    def _matching(self, pending: PendingExport | None) -> ExportState | None:
        return (
            None if pending is None else pending.resumable(self._account, self._target, self._key)
        )

    def _take(self, state: ExportState) -> PendingExport:
        self.pending = PendingExport(self._account, self._target, state)
        if state.task_id and state.task_id != self._reported:
            self._reported = state.task_id
            self._on_export(state.task_id)
        return self.pending
