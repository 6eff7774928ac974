"""Exports as partitioned assets: every event of a window, as a file or as rows of a table.

In one asset (`build_export_asset`), or in two with a sensor between them that holds no slot while
the service works (`build_two_phase_export`). Either way the record of an export is kept in the
instance, so that a retry, in this process or another one, goes on instead of starting over.
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from dagster_vectorshift._partitions import partition_windows
from dagster_vectorshift.exports._options import (
    ExportDefinitionsOptions,
    ExportOptions,
    TwoPhaseExportOptions,
)
from dagster_vectorshift.exports._ready import TASK, ready_sensor
from dagster_vectorshift.exports._steps import Export
from dagster_vectorshift.failures import as_dagster_failures, collected, require_none
from dagster_vectorshift.schedules import planned
from dagster_vectorshift.translator import COLUMN_SCHEMA, STORAGE_KIND, TABLE_NAME
from vectorshift.errors import VectorshiftError
from vectorshift_orchestration.arguments import takes
from vectorshift_orchestration.windows import Window

_ONE_BY_ONE = dg.BackfillPolicy.multi_run(1)


@takes(ExportOptions)
def build_export_asset(options: ExportOptions) -> dg.AssetsDefinition:
    """An asset that exports the events of each partition and lands them in the storage.

    A file is requested from the service, downloaded and read to its end, compared with the
    service's own count, and only then replaces the partition's rows. Each step is
    recorded in the instance: a step that is retried, after an error or a crash and in any process,
    goes on with the same export.

    The arguments are described at `ExportOptions`. Raises `dg.DagsterInvalidDefinitionError` for
    partitions that are not windows of time, a query with its own time, an unknown format
    and times that are not positive, and `TypeError` for an unknown option.
    """
    export = Export.of(options)
    return _asset(export, options.op, export.spec, export.landed, export.about)


@takes(TwoPhaseExportOptions)
def build_two_phase_export(options: TwoPhaseExportOptions) -> dg.Definitions:
    """An export in two assets and a sensor: no run waits while the service makes the file.

    `<name>_request` requests the export. Sensor `<name>_ready` polls it, and requests
    a run of `<name>`, which downloads and lands it, once the service is ready or has failed,
    with one run key for each export. Schedule the first, or give it an `automation_condition`; the
    rest follows.

    Otherwise as `build_export_asset`.
    """
    return _two_phases(options)[1]


@takes(ExportDefinitionsOptions)
def build_export_definitions(options: ExportDefinitionsOptions) -> dg.Definitions:
    """An export and its schedule; `schedule` holds arguments of `build_health_schedule`.

    With an `automation_condition` there is no schedule unless `schedule` is given. With
    `two_phase` the schedule requests exports, and a sensor lands them. Resources are yours.
    """
    if options.two_phase:
        first, defs = _two_phases(options)
    else:
        first = build_export_asset.of(options)
        defs = dg.Definitions(assets=[first])
    schedules = planned(first, options.schedule, options.automation_condition)
    return dg.Definitions.merge(defs, dg.Definitions(schedules=schedules))


def _two_phases(options: TwoPhaseExportOptions) -> tuple[dg.AssetsDefinition, dg.Definitions]:
    """The asset that asks, and all of the export."""
    export, name = Export.of(options), options.op
    *above, last = export.spec.key.path
    of_table = {TABLE_NAME, STORAGE_KIND, COLUMN_SCHEMA}
    metadata = {name: value for name, value in export.spec.metadata.items() if name not in of_table}
    requested = export.spec.replace_attributes(
        metadata=metadata,
        key=dg.AssetKey([*above, f"{last}_request"]),
        description=f"Requested exports; {export.spec.key.to_user_string()} lands them.",
    )
    # The sensor alone runs the second asset: a condition would run it once more, or too early.
    landing = export.spec.replace_attributes(
        deps=[*export.spec.deps, requested.key], automation_condition=None
    )

    def ask(context: dg.AssetExecutionContext, partition: str, window: Window) -> dict[str, Any]:
        state = export.job(context, partition, window).ask()
        return {TASK: state.task_id, "vectorshift/asked": state.asked}

    asking = _asset(export, f"{name}_request", requested, ask)
    landing_asset = _asset(export, name, landing, export.landed, export.about)
    job = dg.define_asset_job(f"{name}_landing", selection=[landing.key])
    sensor = ready_sensor(options, f"{name}_ready", requested.key, landing.key, job)
    return asking, dg.Definitions(assets=[asking, landing_asset], jobs=[job], sensors=[sensor])


def _asset(
    export: Export,
    name: str,
    spec: dg.AssetSpec,
    step: Callable[[dg.AssetExecutionContext, str, Window], dict[str, Any]],
    about: Callable[[dg.AssetExecutionContext], dict[str, Any]] = lambda _: {},
) -> dg.AssetsDefinition:
    """An asset that does a step for each partition; one that fails keeps back no other of the run."""

    options = export.options
    resources = {options.resource_key, options.storage_key}

    @dg.multi_asset(name=name, specs=[spec], **options.arguments(resources, _ONE_BY_ONE))
    def exported(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        done, failed = dict[str, dict[str, Any]](), dict[str, VectorshiftError]()
        with as_dagster_failures():
            windows = partition_windows(context, options.partitions_def)
            shared = about(context)
            try:
                for partition, window in windows.items():
                    with collected(failed, f"partition {partition}"):
                        done[partition] = step(context, partition, window)
                require_none(failed, len(windows))
            except Exception:
                for partition, metadata in done.items():
                    context.log_event(
                        dg.AssetMaterialization(
                            spec.key, partition=partition, metadata=shared | metadata
                        )
                    )
                raise
        for partition, metadata in done.items():
            context.add_asset_metadata(metadata, asset_key=spec.key, partition_key=partition)
        yield dg.MaterializeResult(asset_key=spec.key, metadata=shared)

    return exported
