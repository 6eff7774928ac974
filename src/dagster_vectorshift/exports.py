"""Exports as partitioned assets: every event of a window, as a file or as rows of a table.

In one asset (`build_export_asset`), or in two with a sensor between them that holds no slot while
the service works (`build_two_phase_export`). Either way the record of an export is kept in the
instance, so that a retry, in this process or another one, goes on instead of beginning anew.
"""

import os
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

import dagster as dg

from dagster_vectorshift._partitions import partition_windows, require_time_windows
from dagster_vectorshift.evaluations import scoped
from dagster_vectorshift.export_records import observation, saved
from dagster_vectorshift.failures import as_dagster_failures
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.schedules import build_health_schedule
from dagster_vectorshift.translator import DagsterVectorShiftTranslator, ExportProps
from vectorshift.errors import (
    AnalyticsDownloadFailed,
    AnalyticsExportFailed,
    AnalyticsExportTimeout,
    AnalyticsNotFound,
)
from vectorshift_orchestration.errors import (
    ExportFileError,
    ExportIncomplete,
    ExportStateError,
    StaleWriterError,
)
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from dagster_vectorshift.storage.protocol import ExportStorage
    from vectorshift import Client
    from vectorshift.analytics import Query
    from vectorshift_orchestration.export_state import ExportState
    from vectorshift_orchestration.exports import ExportRequest, Landed

_SPENT = (
    AnalyticsDownloadFailed,
    AnalyticsExportFailed,
    AnalyticsNotFound,
    ExportFileError,
    ExportIncomplete,
    ExportStateError,
    StaleWriterError,
)
"""After these the record is of no more use: every re-create it allows has been made."""

_HORIZON = timedelta(hours=1)
_ASKED_NOTHING = 1


class ExportOptions(TypedDict, total=False):
    """What every export takes besides its name and partitions.

    query: which events, without a time; None is every event of the account.
    format: CSV (unless given), JSON or XLSX: the format that the service writes.
    table: the table, or the folder of files, in the storage; the asset's name unless given.
    timeout: seconds until the service has the file ready, 3600 unless given.
    poll_interval: seconds between two looks at a pending export, 5 unless given.
    work_dir: a folder for files on their way, kept over retries; one below the system's folder for
        temporary files unless given.
    key_prefix, group_name, owners, tags, kinds, description, automation_condition,
        freshness_policy, retry_policy, pool: of the asset.
    backfill_policy: one partition in each run unless given.
    resource_key, storage_key: names of the resources, "vectorshift" and "storage" unless given.
    translator: names and describes the assets.
    """

    query: "Query | None"
    format: str
    table: str | None
    timeout: float
    poll_interval: float
    work_dir: str | None
    key_prefix: str | Sequence[str]
    group_name: str | None
    owners: Sequence[str]
    tags: Mapping[str, str]
    kinds: Set[str]
    description: str | None
    automation_condition: dg.AutomationCondition[Any] | None
    freshness_policy: dg.FreshnessPolicy | None
    retry_policy: dg.RetryPolicy | None
    backfill_policy: dg.BackfillPolicy | None
    pool: str | None
    resource_key: str
    storage_key: str
    translator: DagsterVectorShiftTranslator | None


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
    export = _Export.of(name, partitions_def, options)

    @dg.asset(**export.arguments(export.spec), required_resource_keys=export.resources)
    def export_asset(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        for partition, window in partition_windows(context, partitions_def).items():
            context.add_asset_metadata(
                export.landed(context, partition, window),
                asset_key=export.spec.key,
                partition_key=partition,
            )
        yield dg.MaterializeResult(asset_key=export.spec.key, metadata=export.about(context))

    return cast(dg.AssetsDefinition, export_asset)


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
    with one run key for each export. Schedule the first; the rest follows.

    Raises `dg.DagsterInvalidDefinitionError` for partitions that are no windows of time.
    """
    export = _Export.of(name, partitions_def, options)
    requested = export.spec.replace_attributes(
        key=export.spec.key.with_suffix("_request")
        if hasattr(export.spec.key, "with_suffix")
        else dg.AssetKey([*export.spec.key.path[:-1], f"{export.spec.key.path[-1]}_request"]),
        description=f"Exports that were asked for; asset {export.spec.key.to_user_string()} lands them.",
    )
    landing = export.spec.replace_attributes(deps=[*export.spec.deps, requested.key])

    @dg.asset(**export.arguments(requested), required_resource_keys={export.account_key})
    def export_request(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        for partition, window in partition_windows(context, partitions_def).items():
            state = export.requested(context, partition, window)
            told = {"vectorshift/task_id": state.task_id, "vectorshift/asked": state.asked}
            context.add_asset_metadata(told, asset_key=requested.key, partition_key=partition)
        yield dg.MaterializeResult(asset_key=requested.key)

    @dg.asset(**export.arguments(landing), required_resource_keys=export.resources)
    def export_landing(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        for partition, window in partition_windows(context, partitions_def).items():
            context.add_asset_metadata(
                export.landed(context, partition, window),
                asset_key=landing.key,
                partition_key=partition,
            )
        yield dg.MaterializeResult(asset_key=landing.key, metadata=export.about(context))

    job = dg.define_asset_job(f"{name}_landing", selection=[landing.key])

    @dg.sensor(
        name=f"{name}_ready",
        job=job,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        required_resource_keys={export.account_key},
        description=f"Runs {landing.key.to_user_string()} for exports that are ready.",
    )
    def export_ready(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        account = cast(VectorShiftResource, getattr(context.resources, export.account_key))
        pending = 0
        for partition, task_id in _unlanded(context.instance, requested.key, landing.key):
            if _is_pending(account.get_client(), task_id):
                pending += 1
                continue
            yield dg.RunRequest(run_key=task_id, partition_key=partition)
        yield dg.SkipReason(f"{pending} exports are pending.")

    assets = [export_request, export_landing]
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


@dataclass(frozen=True)
class _Export:
    """What the assets of one export share."""

    spec: dg.AssetSpec
    partitions_def: dg.TimeWindowPartitionsDefinition
    options: ExportOptions
    table: str

    @classmethod
    def of(
        cls,
        name: str,
        partitions_def: dg.TimeWindowPartitionsDefinition,
        options: ExportOptions,
    ) -> "_Export":
        require_time_windows(partitions_def, f"Export {name}")
        translator = options.get("translator") or DagsterVectorShiftTranslator()
        props = ExportProps(
            name, options.get("query"), options.get("format", "CSV"), options.get("description")
        )
        prefix = options.get("key_prefix", ())
        spec = translator.get_asset_spec(props).merge_attributes(
            owners=list(options.get("owners", ())),
            tags=dict(options.get("tags", {})),
            kinds=set(options.get("kinds", ())),
        )
        spec = spec.replace_attributes(
            key=spec.key.with_prefix([prefix] if isinstance(prefix, str) else list(prefix)),
            group_name=options.get("group_name") or spec.group_name,
            automation_condition=options.get("automation_condition") or spec.automation_condition,
            freshness_policy=options.get("freshness_policy") or spec.freshness_policy,
        )
        return cls(spec, partitions_def, options, options.get("table") or name)

    @property
    def account_key(self) -> str:
        return self.options.get("resource_key", "vectorshift")

    @property
    def resources(self) -> set[str]:
        return {self.account_key, self.options.get("storage_key", "storage")}

    def arguments(self, spec: dg.AssetSpec) -> dict[str, Any]:
        """The spec, and how it is run, as arguments of `dg.asset`."""
        return {
            "key": spec.key,
            "deps": spec.deps,
            "description": spec.description,
            "metadata": spec.metadata,
            "tags": spec.tags,
            "group_name": spec.group_name,
            "code_version": spec.code_version,
            "owners": spec.owners,
            "automation_condition": spec.automation_condition,
            "freshness_policy": spec.freshness_policy,
            "partitions_def": self.partitions_def,
            "backfill_policy": self.options.get("backfill_policy") or dg.BackfillPolicy.multi_run(1),
            "retry_policy": self.options.get("retry_policy"),
            "pool": self.options.get("pool", VectorShiftResource.pool),
        }

    def request(self, client: "Client", window: Window) -> "ExportRequest":
        from vectorshift_orchestration.exports import ExportRequest

        query = scoped(client, self.options.get("query"))
        return ExportRequest(query.to_dict(), window, self.options.get("format", "CSV"))

    def requested(
        self, context: dg.AssetExecutionContext, partition: str, window: Window
    ) -> "ExportState":
        """The record of an export that the service has accepted."""
        with as_dagster_failures():
            client = self._account(context).get_client()
            request = self.request(client, window)
            state = saved(context.instance, self.spec.key, partition, request.key)
            return _asked(client, request, state, self._saver(context, partition))

    def landed(
        self, context: dg.AssetExecutionContext, partition: str, window: Window
    ) -> dict[str, Any]:
        """Bring the export of a partition to its end; metadata of it."""
        from vectorshift_orchestration.export_job import resume
        from vectorshift_orchestration.exports import wait

        save = self._saver(context, partition)
        timeout = self.options.get("timeout", 3600.0)
        poll_interval = self.options.get("poll_interval", 5.0)
        with as_dagster_failures():
            client = self._account(context).get_client()
            request = self.request(client, window)
            state = saved(context.instance, self.spec.key, partition, request.key)
            # A database is connected to when there is something to land, not while the service works.
            with suppress(AnalyticsExportFailed, AnalyticsNotFound):
                state = self._fenced(context, state, request, save)
                state = _asked(client, request, state, save)
                if state.task_id and state.state in ("created", "ready"):
                    task: Any = {"task_id": state.task_id}
                    wait(client, task, timeout=timeout, poll_interval=poll_interval)
            try:
                with self._storage(context).landing(
                    self.table, window, self.options.get("format", "CSV")
                ) as place:
                    done = resume(
                        client,
                        state,
                        request,
                        self._work_dir(),
                        save=save,
                        timeout=timeout,
                        poll_interval=poll_interval,
                        **place,
                    )
            except _SPENT:
                context.log_event(observation(self.spec.key, partition, None))
                raise
            return self._told(context, window, done)

    def about(self, context: dg.AssetExecutionContext) -> dict[str, Any]:
        """Metadata of the table: its name, place and columns."""
        from vectorshift_orchestration.tables import EVENT_SCHEMA

        storage, ui_url = self._storage(context), self._account(context).ui_url
        columns = [dg.TableColumn(field.name, str(field.type)) for field in EVENT_SCHEMA]
        return {
            "dagster/table_name": self.table,
            "dagster/uri": storage.locate(self.table),
            "dagster/storage_kind": storage.kind,
            "dagster/column_schema": dg.TableSchema(columns),
            **({} if ui_url is None else {"vectorshift/ui": dg.MetadataValue.url(ui_url)}),
        }

    def _fenced(
        self,
        context: dg.AssetExecutionContext,
        state: "ExportState | None",
        request: "ExportRequest",
        save: Any,
    ) -> "ExportState":
        """The record with the token that keeps a slower writer from undoing a faster one's work."""
        from vectorshift_orchestration.export_state import ExportState
        from vectorshift_orchestration.storage.sql import begin_attempt

        state = state or ExportState(request.key)
        if state.attempt is not None:
            return state
        with self._storage(context).landing(self.table, request.window, request.format) as place:
            if "table" not in place:
                return state
            attempt = begin_attempt(place["connection"], self.table, request.window)
        state = replace(state, attempt=str(attempt))
        save(state)
        return state

    def _told(
        self, context: dg.AssetExecutionContext, window: Window, done: "Landed"
    ) -> dict[str, Any]:
        told = {
            "dagster/partition_row_count": done.rows,
            "dagster/uri": done.uri or self._storage(context).locate(self.table, window),
            "vectorshift/rows_replaced": done.deleted,
            "vectorshift/bytes": done.bytes,
            "vectorshift/sha256": done.sha256,
            "vectorshift/verified_by": done.verified,
            "vectorshift/task_id": done.task_id,
            "vectorshift/recreated": done.recreated,
            "vectorshift/window_start": dg.MetadataValue.timestamp(window.start),
            "vectorshift/window_end": dg.MetadataValue.timestamp(window.end),
        }
        return {name: value for name, value in told.items() if value is not None}

    def _saver(self, context: dg.AssetExecutionContext, partition: str) -> Any:
        return lambda state: context.log_event(observation(self.spec.key, partition, state))

    def _account(self, context: dg.AssetExecutionContext) -> VectorShiftResource:
        return cast(VectorShiftResource, getattr(context.resources, self.account_key))

    def _storage(self, context: dg.AssetExecutionContext) -> "ExportStorage":
        key = self.options.get("storage_key", "storage")
        return cast("ExportStorage", getattr(context.resources, key))

    def _work_dir(self) -> Path:
        given = self.options.get("work_dir")
        folder = Path(given or Path(gettempdir()) / f"vectorshift-exports-{os.getuid()}")
        folder.expanduser().mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder.expanduser()


def _asked(
    client: "Client", request: "ExportRequest", state: "ExportState | None", save: Any
) -> "ExportState":
    """The record of an export that was asked for, now or before; what went wrong then is `resume`'s."""
    from vectorshift_orchestration.export_state import ExportState
    from vectorshift_orchestration.exports import submit

    state = state or ExportState(request.key)
    if state.task_id or state.asked:
        return state
    recent = request.window.end > datetime.now(UTC) - _HORIZON
    before = request.bound(client).count()["count"] if recent else None
    state = replace(state, asked=1, counted_before=before)
    save(state)
    task = submit(client, request)
    state = replace(state, state="created", task_id=task.get("task_id", ""))
    save(state)
    return state


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
    except (AnalyticsNotFound, AnalyticsExportTimeout):
        return False
    return task.get("task_status") != "failed" and not task.get("download_url")


_REACH = 500
"""How many of the latest exports a sensor looks at."""
