"""How far the export of a partition has got, kept where every process of the instance sees it.

A record is an observation of the asset's partition, so it is in the event log like everything else
that happened, by public means only. It holds ids, counts and checksums and never a URL.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from vectorshift_orchestration.exports.state import ExportState

STATE = "vectorshift/export_state"
_LOOKED_AT = 20
_KEPT = timedelta(days=1)
"""A task of another day is asked for anew: nobody knows how long the service keeps its file."""


def saved(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str, request_key: str
) -> "ExportState | None":
    """The record of an export that was begun and not ended, or None."""
    from vectorshift_orchestration.errors import ExportStateError
    from vectorshift_orchestration.exports.state import ExportState

    asked = dg.AssetRecordsFilter(asset, asset_partitions=[partition])
    for record in instance.fetch_observations(asked, limit=_LOOKED_AT).records:
        observation = record.event_log_entry.asset_observation
        told = None if observation is None else observation.metadata.get(STATE)
        if told is None:
            continue
        if datetime.fromtimestamp(record.timestamp, UTC) < datetime.now(UTC) - _KEPT:
            return None
        try:
            state = ExportState.from_json(told.value)
        except ExportStateError:
            return None
        ended = state.state == "committed" or state.key != request_key
        return None if ended else state
    return None


class InstanceRecord:
    """The record of one partition's export, as its job takes it (`vectorshift_orchestration.Record`)."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        asset: dg.AssetKey,
        partition: str,
        request_key: str,
    ) -> None:
        self._context = context
        self._asset = asset
        self._partition = partition
        self._request_key = request_key

    def read(self) -> "ExportState | None":
        """The state of an export that was begun and not ended."""
        return saved(self._context.instance, self._asset, self._partition, self._request_key)

    def write(self, state: "ExportState") -> None:
        """Note the state as an event of the run."""
        self._context.log_event(_observation(self._asset, self._partition, state))

    def discard(self) -> None:
        """Note that the next try begins anew."""
        self._context.log_event(_observation(self._asset, self._partition, None))


def _observation(
    asset: dg.AssetKey, partition: str, state: "ExportState | None"
) -> dg.AssetObservation:
    """The record as an event; None says that the next try begins anew."""
    told: dict[str, Any] = {} if state is None else state.to_json()
    shown = {} if state is None else {"vectorshift/task_id": state.task_id or "not known yet"}
    return dg.AssetObservation(
        asset,
        partition=partition,
        description="The export is given up." if state is None else f"The export is {state.state}.",
        metadata={STATE: dg.MetadataValue.json(told), **shown},
    )
