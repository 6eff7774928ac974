"""Exports as partitioned assets: every event of a window, as a file or as rows of a table.

In one asset (`build_export_asset`), or in two with a sensor between them that holds no slot while
the service works (`build_two_phase_export`). Either way the record of an export is kept in the
instance, so that a retry, in this process or another one, goes on instead of beginning anew.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Unpack, cast

import dagster as dg

from dagster_vectorshift._partitions import partition_windows
from dagster_vectorshift.export_steps import Export, ExportOptions
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.schedules import build_health_schedule
from vectorshift.errors import AnalyticsNotFound

if TYPE_CHECKING:
    from vectorshift import Client

_REACH = 500
"""How many of the latest exports a sensor looks at."""


def build_export_asset(
    name: str,
    *,
    partitions_def: dg.TimeWindowPartitionsDefinition,
    **options: Unpack[ExportOptions],
) -> dg.AssetsDefinition:
    """An asset that exports the events of each partition and lands them in the storage.

    The service is asked for a file, the file is downloaded and read to its end, counted against the
    service's own count, and only then put in place of what the partition held before. Each step is
    noted in the instance: a step that is tried again, after an error or a crash and in any process,
    goes on with the same export.

    Raises `dg.DagsterInvalidDefinitionError` for partitions that are no windows of time.
    """
    export = Export.of(name, partitions_def, options)

    return _landing(export, export.spec, name)


def build_two_phase_export(
    name: str,
    *,
    partitions_def: dg.TimeWindowPartitionsDefinition,
    minimum_interval_seconds: int = 30,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
    **options: Unpack[ExportOptions],
) -> dg.Definitions:
    """An export in two assets and a sensor: no run waits while the service makes the file.

    `<name>_request` asks for the export. Sensor `<name>_ready` looks at what was asked for, and asks
    for a run of `<name>`, which downloads and lands it, once the service is ready or has failed,
    with one run key for each export. Schedule the first, or give it an `automation_condition`; the
    rest follows.

    Raises `dg.DagsterInvalidDefinitionError` for partitions that are no windows of time.
    """
    export = Export.of(name, partitions_def, options)
    *above, last = export.spec.key.path
    requested = export.spec.replace_attributes(
        key=dg.AssetKey([*above, f"{last}_request"]),
        description=f"Exports that were asked for; {export.spec.key.to_user_string()} lands them.",
    )
    # The sensor alone runs the second asset: a condition would run it once more, or too early.
    landing = export.spec.replace_attributes(
        deps=[*export.spec.deps, requested.key], automation_condition=None
    )

    @dg.multi_asset(
        name=f"{name}_request",
        specs=[requested],
        required_resource_keys=export.resources,
        **export.arguments(),
    )
    def export_request(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        for partition, window in partition_windows(context, partitions_def).items():
            state = export.requested(context, partition, window)
            told = {"vectorshift/task_id": state.task_id, "vectorshift/asked": state.asked}
            context.add_asset_metadata(told, asset_key=requested.key, partition_key=partition)
        yield dg.MaterializeResult(asset_key=requested.key)

    job = dg.define_asset_job(f"{name}_landing", selection=[landing.key])

    @dg.sensor(
        name=f"{name}_ready",
        job=job,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        required_resource_keys={export.account_key},
        description=f"Runs {landing.key.to_user_string()} for exports that are ready.",
    )
    def export_ready(
        context: dg.SensorEvaluationContext,
    ) -> list[dg.RunRequest] | dg.SkipReason:
        account = cast(VectorShiftResource, getattr(context.resources, export.account_key))
        open_ones = _unlanded(context.instance, requested.key, landing.key)
        ready = [
            dg.RunRequest(run_key=task_id, partition_key=partition)
            for partition, task_id in open_ones
            if not _is_pending(account.get_client(), task_id)
        ]
        return ready or dg.SkipReason(f"{len(open_ones)} exports are pending.")

    assets = [export_request, _landing(export, landing, name)]
    return dg.Definitions(assets=assets, jobs=[job], sensors=[export_ready])


def build_export_definitions(
    name: str,
    *,
    partitions_def: dg.TimeWindowPartitionsDefinition,
    schedule: Mapping[str, Any] | None = None,
    two_phase: bool = False,
    **options: Unpack[ExportOptions],
) -> dg.Definitions:
    """An export and its schedule; `schedule` holds arguments of `build_health_schedule`.

    With an `automation_condition` there is no schedule unless `schedule` is given. With
    `two_phase` the schedule asks for exports, and a sensor lands them. Resources are yours.
    """
    if two_phase:
        defs = build_two_phase_export(name, partitions_def=partitions_def, **options)
        first = next(iter(defs.assets or []))
    else:
        first = build_export_asset(name, partitions_def=partitions_def, **options)
        defs = dg.Definitions(assets=[first])
    if schedule is None and options.get("automation_condition") is not None:
        return defs
    planned = build_health_schedule(cast(dg.AssetsDefinition, first), **(schedule or {}))
    return dg.Definitions.merge(defs, dg.Definitions(schedules=[planned]))


def _landing(export: Export, spec: dg.AssetSpec, name: str) -> dg.AssetsDefinition:
    """The asset that brings exports to their end."""

    @dg.multi_asset(
        name=name, specs=[spec], required_resource_keys=export.resources, **export.arguments()
    )
    def landed(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        for partition, window in partition_windows(context, export.partitions_def).items():
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
    return task.get("task_status") != "failed" and not task.get("download_url")
