"""What an export may be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import dagster as dg

from dagster_vectorshift._documents import OptionalText, Text
from dagster_vectorshift._options import AssetOptions
from dagster_vectorshift.checks._evaluations import require_timeless
from dagster_vectorshift.schedules import PLANNED, Schedule


@dataclass(frozen=True, kw_only=True)
class ExportOptions(AssetOptions):
    """What every export takes; what is not told here is told at `AssetOptions`.

    name: the asset's name.
    format: CSV, JSON or XLSX: the format that the service writes.
    table: the table, or the folder of files, in the storage; the asset's name unless given.
    timeout: seconds until the service has the file ready.
    poll_interval: seconds between two looks at a pending export.
    work_dir: a folder for files on their way, kept over retries; one below the system's folder for
        temporary files unless given.
    description: the asset's.
    backfill_policy: one partition in each run unless given.
    """

    name: Text = field(kw_only=False)
    format: Literal["CSV", "JSON", "XLSX"] = "CSV"
    table: OptionalText = None
    timeout: float = 3600.0
    poll_interval: float = 5.0
    work_dir: OptionalText = None
    description: OptionalText = None

    def __post_init__(self) -> None:
        """Ask nothing, but find out now what could not be exported."""
        from vectorshift.analytics import ExportFormat

        self.check(f"Export {self.name}")
        formats = [each.value for each in ExportFormat]
        if self.format not in formats:
            raise dg.DagsterInvalidDefinitionError(
                f"Export {self.name} has a format of {', '.join(formats)}, not {self.format!r}."
            )
        for option in ("timeout", "poll_interval"):
            if getattr(self, option) <= 0:
                raise dg.DagsterInvalidDefinitionError(
                    f"{option} of export {self.name} is a number of seconds above 0, not "
                    f"{getattr(self, option)}."
                )
        require_timeless(self.query)


@dataclass(frozen=True, kw_only=True)
class TwoPhaseExportOptions(ExportOptions):
    """The same for an export in two assets.

    minimum_interval_seconds: the time between two looks of the sensor at what is pending.
    default_status: RUNNING starts the sensor with the code location.
    """

    minimum_interval_seconds: int = 30
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED


@dataclass(frozen=True, kw_only=True)
class ExportDefinitionsOptions(TwoPhaseExportOptions):
    """The same with what runs the export.

    schedule: arguments of `build_health_schedule`.
    two_phase: whether the export is in two assets.
    """

    schedule: Annotated[Schedule | Mapping[str, Any] | None, PLANNED] = None
    two_phase: bool = False
