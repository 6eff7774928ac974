"""The options of an export."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Annotated, Any

import dagster as dg

from dagster_vectorshift._documents import OptionalText, Text, minutes
from dagster_vectorshift._options import AssetOptions
from dagster_vectorshift.failures import as_invalid_definition
from dagster_vectorshift.schedules import PLANNED, Schedule
from vectorshift_orchestration.exports.request import ExportOptions as JobOptions

STATUS = dg.Resolver(lambda _, written: dg.DefaultSensorStatus(written))


@dataclass(frozen=True, kw_only=True)
class ExportOptions(AssetOptions):
    """The options of every export; `AssetOptions` describes the others.

    name: the asset's name.
    format: CSV, JSON or XLSX, in any case: the format that the service writes.
    op_name: what op, job, schedule and sensor are named after; the asset's key unless given.
    table: the table, or the folder of files, in the storage; the asset's name unless given.
    timeout: seconds until the service has the file ready, over all tries.
    poll_interval: seconds before the second poll of a pending export; it grows with each poll.
    late_arrival: how long after its end a window may still hold more rows than the service counted.
    chunks: in how many parts a window is exported, all at once and each retried by itself; they become
        visible as one. Needs a table or Parquet files.
    work_dir: a folder for files on their way, kept over retries; one below the system's folder for
        temporary files unless given.
    description: the asset's.
    backfill_policy: one partition in each run unless given.
    """

    name: Text = field(kw_only=False)
    op_name: OptionalText = None
    format: Text = JobOptions.format
    table: OptionalText = None
    timeout: float = JobOptions.timeout
    poll_interval: float = JobOptions.poll_interval
    late_arrival: Annotated[timedelta, minutes("late_arrival_minutes")] = JobOptions.late_arrival
    chunks: int = JobOptions.chunks
    work_dir: OptionalText = None
    description: OptionalText = None

    def __post_init__(self) -> None:
        """Ask nothing, but find out now what could not be exported."""
        with as_invalid_definition(noun := f"Export {self.name}"):
            self.check(noun)
            _ = self.job

    @property
    def op(self) -> str:
        """The name of the op, which job, schedule and sensor continue."""
        return self.named(self.op_name, self.name)

    @property
    def job(self) -> JobOptions:
        """The options of the export's job."""
        return JobOptions(**{each.name: getattr(self, each.name) for each in fields(JobOptions)})


@dataclass(frozen=True, kw_only=True)
class TwoPhaseExportOptions(ExportOptions):
    """The same for an export in two assets.

    minimum_interval_seconds: the time between two polls of pending exports by the sensor.
    default_status: RUNNING starts the sensor with the code location.
    """

    minimum_interval_seconds: int = 30
    default_status: Annotated[dg.DefaultSensorStatus, STATUS] = dg.DefaultSensorStatus.STOPPED


@dataclass(frozen=True, kw_only=True)
class ExportDefinitionsOptions(TwoPhaseExportOptions):
    """The same with what runs the export.

    schedule: arguments of `build_health_schedule`.
    two_phase: whether the export is in two assets.
    """

    schedule: Annotated[Schedule | Mapping[str, Any] | None, PLANNED] = None
    two_phase: bool = False
