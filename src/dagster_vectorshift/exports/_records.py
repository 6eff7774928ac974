"""How far the export of a partition has got, kept where every process of the instance sees it.

A record is an observation of the asset's partition, so it is in the event log like everything else
that happened, by public means only. It holds ids, counts and checksums and never a URL.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from vectorshift_orchestration.exports.state import ExportState

STATE = "vectorshift/export_state"
_PARENT, _RETRY = "dagster/parent_run_id", "dagster/retry_number"
_LIMIT = 20
_KEPT = timedelta(days=1)
"""A task of another day is requested again: how long the service keeps its file is unknown."""


@dataclass(frozen=True)
class InstanceRecord:
    """The record of one partition's export, as its job takes it (`vectorshift_orchestration.Record`)."""

    context: dg.AssetExecutionContext
    asset: dg.AssetKey
    partition: str
    request_key: str

    def read(self) -> "ExportState | None":
        """The state of an export that was begun and not ended, or that landed in an earlier try of the run."""
        from vectorshift_orchestration.errors import ExportStateError
        from vectorshift_orchestration.exports.state import ExportState

        query = dg.AssetRecordsFilter(self.asset, asset_partitions=[self.partition])
        for record in self.context.instance.fetch_observations(query, limit=_LIMIT).records:
            observation = record.event_log_entry.asset_observation
            entry = None if observation is None else observation.metadata.get(STATE)
            if entry is None:
                continue
            if datetime.fromtimestamp(record.timestamp, UTC) < datetime.now(UTC) - _KEPT:
                return None
            try:
                state = ExportState.from_json(entry.value)
            except ExportStateError:
                return None
            landed = state.state == "committed" and not self._is_of_this_run(record.run_id)
            return None if landed or state.key != self.request_key else state
        return None

    def write(self, state: "ExportState") -> None:
        """Note the state as an event of the run."""
        shown = {"vectorshift/task_id": state.task_id or "not known yet"}
        self._note(f"The export is {state.state}.", state.to_json(), shown)

    def discard(self) -> None:
        """Record that the next try starts over."""
        self._note("The export is given up.", {}, {})

    def _is_of_this_run(self, run_id: str) -> bool:
        """Whether a run is this one, or one that Dagster's daemon retries with it.

        A run that somebody starts again exports again.
        """
        run: dg.DagsterRun | None = self.context.run
        while run is not None and run.run_id != run_id:
            parent = run.tags.get(_PARENT) if _RETRY in run.tags else None
            run = None if parent is None else self.context.instance.get_run_by_id(parent)
        return run is not None

    def _note(self, description: str, state: dict[str, Any], shown: dict[str, str]) -> None:
        metadata: dict[str, Any] = {STATE: dg.MetadataValue.json(state), **shown}
        self.context.log_event(
            dg.AssetObservation(
                self.asset, partition=self.partition, description=description, metadata=metadata
            )
        )
