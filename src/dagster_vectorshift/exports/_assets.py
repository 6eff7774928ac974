"""Exports as partitioned assets: every event of a window, as a file or as rows of a table.

In one asset (`build_export_asset`), or in two with a sensor between them that holds no slot while
the service works (`build_two_phase_export`). Either way the record of an export is kept in the
instance, so that a retry, in this process or another one, goes on instead of beginning anew.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from dagster_vectorshift._options import takes
from dagster_vectorshift._partitions import partition_windows
from dagster_vectorshift.exports._options import (
    ExportDefinitionsOptions,
    ExportOptions,
    TwoPhaseExportOptions,
)
from dagster_vectorshift.exports._steps import Export
from dagster_vectorshift.schedules import planned
from vectorshift.errors import AnalyticsNotFound
from vectorshift.export_tasks import export_state

if TYPE_CHECKING:
    from dagster_vectorshift.resource import VectorShiftResource
    from vectorshift import Client

_REACH = 500
"""How many of the latest exports a sensor looks at."""


@takes(ExportOptions)
def build_export_asset(options: ExportOptions) -> dg.AssetsDefinition:
    """An asset that exports the events of each partition and lands them in the storage.

    The service is asked for a file, the file is downloaded and read to its end, counted against the
    service's own count, and only then put in place of what the partition held before. Each step is
    noted in the instance: a step that is tried again, after an error or a crash and in any process,
    goes on with the same export.

    The arguments are told at `ExportOptions`. Raises `dg.DagsterInvalidDefinitionError` for
    partitions that are not windows of time, a query that has a time of its own, an unknown format
    and times that are not positive, and `TypeError` for an unknown option.
    """
    export = Export.of(options)
    return _landing(export, export.spec)


@takes(TwoPhaseExportOptions)
def build_two_phase_export(options: TwoPhaseExportOptions) -> dg.Definitions:
    """An export in two assets and a sensor: no run waits while the service makes the file.

    `<name>_request` asks for the export. Sensor `<name>_ready` looks at what was asked for, and asks
    for a run of `<name>`, which downloads and lands it, once the service is ready or has failed,
    with one run key for each export. Schedule the first, or give it an `automation_condition`; the
    rest follows.

    Otherwise as `build_export_asset`.
    """
    return _two_phases(options)[1]


@takes(ExportDefinitionsOptions)
def build_export_definitions(options: ExportDefinitionsOptions) -> dg.Definitions:
    """An export and its schedule; `schedule` holds arguments of `build_health_schedule`.

    With an `automation_condition` there is no schedule unless `schedule` is given. With
    `two_phase` the schedule asks for exports, and a sensor lands them. Resources are yours.
    """
    return export_definitions(options)


def export_definitions(options: ExportDefinitionsOptions) -> dg.Definitions:
    """`build_export_definitions` for who has the options."""
    if options.two_phase:
        first, defs = _two_phases(options)
    else:
        export = Export.of(options)
        first = _landing(export, export.spec)
        defs = dg.Definitions(assets=[first])
    schedules = planned(first, options.schedule, options.automation_condition)
    return dg.Definitions.merge(defs, dg.Definitions(schedules=schedules))


def _two_phases(options: TwoPhaseExportOptions) -> tuple[dg.AssetsDefinition, dg.Definitions]:
    """The asset that asks, and all of the export."""
    export, name = Export.of(options), options.name
    *above, last = export.spec.key.path
    requested = export.spec.replace_attributes(
        key=dg.AssetKey([*above, f"{last}_request"]),
        description=f"Exports that were asked for; {export.spec.key.to_user_string()} lands them.",
    )
    # The sensor alone runs the second asset: a condition would run it once more, or too early.
    landing = export.spec.replace_attributes(
        deps=[*export.spec.deps, requested.key], automation_condition=None
    )

    @dg.multi_asset(name=f"{name}_request", specs=[requested], **export.arguments())
    def export_request(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        for partition, window in partition_windows(context, options.partitions_def).items():
            state = export.requested(context, partition, window)
            told = {"vectorshift/task_id": state.task_id, "vectorshift/asked": state.asked}
            context.add_asset_metadata(told, asset_key=requested.key, partition_key=partition)
        yield dg.MaterializeResult(asset_key=requested.key)

    job = dg.define_asset_job(f"{name}_landing", selection=[landing.key])

    @dg.sensor(
        name=f"{name}_ready",
        job=job,
        minimum_interval_seconds=options.minimum_interval_seconds,
        default_status=options.default_status,
        required_resource_keys={options.resource_key},
        description=f"Runs {landing.key.to_user_string()} for exports that are ready.",
    )
    def export_ready(
        context: dg.SensorEvaluationContext,
    ) -> list[dg.RunRequest] | dg.SkipReason:
        account: VectorShiftResource = getattr(context.resources, options.resource_key)
        open_ones = _unlanded(context.instance, requested.key, landing.key)
        ready = [
            dg.RunRequest(run_key=task_id, partition_key=partition)
            for partition, task_id in open_ones
            if not _is_pending(account.get_client(), task_id)
        ]
        return ready or dg.SkipReason(f"{len(open_ones)} exports are pending.")

    assets = [export_request, _landing(export, landing)]
    return export_request, dg.Definitions(assets=assets, jobs=[job], sensors=[export_ready])


def _landing(export: Export, spec: dg.AssetSpec) -> dg.AssetsDefinition:
    """The asset that brings exports to their end."""

    @dg.multi_asset(name=export.options.name, specs=[spec], **export.arguments())
    def landed(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        for partition, window in partition_windows(context, export.options.partitions_def).items():
            told = export.landed(context, partition, window)
            context.add_asset_metadata(told, asset_key=spec.key, partition_key=partition)
        yield dg.MaterializeResult(asset_key=spec.key, metadata=export.about(context))

    return landed


def _unlanded(
    instance: dg.DagsterInstance, requested: dg.AssetKey, landing: dg.AssetKey
) -> list[tuple[str, str]]:
    """Partition and task of each export that was asked for and has not landed since."""
    landed = {
        event.partition: record.timestamp
        for record in reversed(instance.fetch_materializations(landing, limit=_REACH).records)
        if (event := record.asset_materialization) is not None
    }
    found: dict[str, str] = {}
    for record in reversed(instance.fetch_materializations(requested, limit=_REACH).records):
        event = record.asset_materialization
        if event is None or event.partition is None:
            continue
        found.pop(event.partition, None)
        if record.timestamp > landed.get(event.partition, 0.0):
            found[event.partition] = str(event.metadata["vectorshift/task_id"].value)
    return list(found.items())


def _is_pending(client: "Client", task_id: str) -> bool:
    """Whether the service is still at it; a failed and an unknown task are for the landing to mend."""
    try:
        task = client.export_task(task_id)
    except AnalyticsNotFound:
        return False
    return export_state(task) == "pending"
