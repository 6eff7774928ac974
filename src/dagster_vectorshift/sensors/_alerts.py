"""A failed check as an alert: what it says, and the receipts by which it is told once.

Works for every check of the instance, whoever wrote it; checks of this package fill in the figures.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

import dagster as dg

from dagster_vectorshift.sensors._history import Recorded, recorded
from vectorshift_orchestration.windows import Window

_RECEIPTS = "vectorshift_alerts"
_LOOKED_AT = 20


@dataclass(frozen=True)
class Alert:
    """A check that failed.

    `asset` is the key with slashes, `severity` is "WARN" or "ERROR", `evaluated_at` is UTC, `run_id`
    is None for an evaluation without a run. `reason` is one sentence. The window, figures and error
    messages are those that the check told about, None or empty where it did not.
    """

    asset: str
    check: str
    partition: str | None
    severity: str
    evaluated_at: datetime
    reason: str = ""
    run_id: str | None = None
    window: Window | None = None
    observed: float | None = None
    limit: float | None = None
    sample: int | None = None
    top_errors: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, record: Recorded) -> Self:
        """The alert that an evaluation is when it failed."""
        evaluation = record.evaluation
        told = {name: getattr(value, "value", None) for name, value in evaluation.metadata.items()}
        start, end = (told.get(f"vectorshift/window_{edge}") for edge in ("start", "end"))
        return cls(
            asset=evaluation.asset_key.to_user_string(),
            check=evaluation.check_name,
            partition=partition_of(evaluation),
            severity=evaluation.severity.value,
            evaluated_at=record.at,
            reason=evaluation.description or "",
            run_id=record.run_id,
            window=Window(_instant(start), _instant(end)) if start and end else None,
            observed=told.get("vectorshift/observed"),
            limit=told.get("vectorshift/limit"),
            sample=told.get("vectorshift/sample"),
            top_errors=_messages(evaluation.metadata),
        )

    @property
    def about_until(self) -> datetime:
        """The end of what was judged, as far as the check tells."""
        return self.evaluated_at if self.window is None else self.window.end

    @property
    def place(self) -> str:
        """What failed: asset, check and partition; the same for every failure of it."""
        return "|".join((self.asset, self.check, self.partition or ""))

    @property
    def dedup_key(self) -> str:
        """The same whenever this very alert is sent again, and different for every other one.

        A crash between sending and noting it sends an alert twice: let the receiver drop what it has.
        """
        return f"{self.place}|{self.severity}|{self.evaluated_at.isoformat()}"

    @property
    def title(self) -> str:
        """One line, without figures."""
        where = f" [{self.partition}]" if self.partition else ""
        return f"{self.severity}: {self.check} of {self.asset}{where}"

    def to_dict(self) -> dict[str, Any]:
        """The alert as JSON values, `dedup_key` and `title` included."""
        return {
            **asdict(self),
            "evaluated_at": self.evaluated_at.isoformat(),
            "window": self.window and self.window.to_dict(),
            "top_errors": [{"message": text, "count": count} for text, count in self.top_errors],
            "dedup_key": self.dedup_key,
            "title": self.title,
        }


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

    def covers(self, alert: Alert) -> bool:
        """Whether this alert, or the trouble that it is about, has been told.

        A check that keeps failing is told once for each severity that it reaches; again when it
        has passed in between.
        """
        sent = list(self._sent(alert))
        if any(told_at >= alert.evaluated_at for told_at in sent):
            return True
        return bool(sent) and not self._passed(alert, max(sent))

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

    def _sent(self, alert: Alert) -> Iterator[datetime]:
        """When the last alerts about this place were evaluated that were as severe."""
        asked = dg.AssetRecordsFilter(self.asset_key, asset_partitions=[alert.place])
        for record in self.instance.fetch_observations(asked, limit=_LOOKED_AT).records:
            if record.asset_observation is not None:
                told = record.asset_observation.metadata
                if told["vectorshift/severity"].value in (alert.severity, "ERROR"):
                    yield _instant(told["vectorshift/evaluated_at"].value)

    def _passed(self, alert: Alert, since: datetime) -> bool:
        """Whether the check passed after `since` and before this failure."""
        return any(
            each.evaluation.passed and Alert.of(each).place == alert.place
            for each in recorded(self.instance, since, alert.evaluated_at)
        )


def partition_of(evaluation: dg.AssetCheckEvaluation) -> str | None:
    """What was evaluated; without a run it is in the metadata (see `evaluations.evaluation`)."""
    told = evaluation.metadata.get("vectorshift/partition")
    return evaluation.partition or (None if told is None else str(told.value))


def _instant(timestamp: Any) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


def _messages(metadata: Mapping[str, dg.MetadataValue[Any]]) -> tuple[tuple[str, int], ...]:
    """The rows of the table of error messages that a check of ours told."""
    told = metadata.get("vectorshift/top_errors")
    if not isinstance(told, dg.TableMetadataValue):
        return ()
    rows = [(record.data["message"], record.data["count"]) for record in told.records]
    return tuple((str(text), count) for text, count in rows if isinstance(count, int))
