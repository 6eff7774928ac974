"""The receipts by which an alert is sent once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from dagster_vectorshift.sensors._history import evaluated, instant
from vectorshift_orchestration.thresholds.alerts import Alert

_RECEIPTS = "vectorshift_alerts"
_LIMIT = 20


@dataclass(frozen=True)
class Receipts:
    """Which alerts a sensor has sent: observations of asset `vectorshift_alerts/<sensor>`.

    They are written one by one, right after an alert was sent, so that neither a tick that fails
    halfway nor a cursor that is lost repeats one. Each sensor has its own.
    """

    instance: dg.DagsterInstance
    sensor: str

    @property
    def asset_key(self) -> dg.AssetKey:
        """Where the sensor's alerts can be seen."""
        return dg.AssetKey([_RECEIPTS, self.sensor])

    def write(self, alert: Alert) -> None:
        """Note that the alert was sent."""
        self.instance.report_runless_asset_event(
            dg.AssetObservation(
                self.asset_key,
                description=f"{alert.title}. {alert.reason}",
                partition=alert.place,
                metadata={
                    "vectorshift/alert": dg.MetadataValue.json(alert.to_dict()),
                    "vectorshift/severity": alert.severity,
                    "vectorshift/evaluated_at": dg.MetadataValue.timestamp(alert.evaluated_at),
                },
            )
        )

    def sent(self, alert: Alert) -> Iterator[datetime]:
        """When the last alerts about this place were evaluated that were as severe."""
        query = dg.AssetRecordsFilter(self.asset_key, asset_partitions=[alert.place])
        for record in self.instance.fetch_observations(query, limit=_LIMIT).records:
            if record.asset_observation is not None:
                metadata = record.asset_observation.metadata
                if metadata["vectorshift/severity"].value in (alert.severity, "ERROR"):
                    yield instant(metadata["vectorshift/evaluated_at"].value)

    def passed(self, alert: Alert, since: datetime) -> bool:
        """Whether the check passed after `since` and before this failure."""
        return any(
            evaluation.passed and earlier.place == alert.place
            for evaluation, earlier in evaluated(self.instance, since, alert.evaluated_at)
        )
