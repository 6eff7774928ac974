"""The health page as an asset: one HTML file for each run, made of tables that other assets keep."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg

from dagster_vectorshift._partitions import edges_of, partition_windows, require_time
from dagster_vectorshift.failures import as_dagster_failures, as_invalid_definition
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.translator import KIND
from vectorshift_orchestration.arguments import takes
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs.documents import require_list
from vectorshift_orchestration.windows import Window

_PARTITION = "{partition}"


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What the asset of a health page takes.

    tables: landed tables, `name` or `schema.name`, all in the storage's database.
    destination: path or URI of the page; `{partition}` in it is the partition's key, or those of the
        first and the last partition of the run.
    partitions_def: windows of time; a run over several partitions makes one page about all of them.
    name: the asset's name.
    deps: assets that the page is made of; those named like the tables unless given.
    title: heading of the page.
    late: how long after its end a window is written at the latest.
    key_prefix: parts of the asset's key before the name.
    group_name, owners, tags, automation_condition: the asset's.
    description: the asset's.
    retry_policy: for errors that pass, see `as_dagster_failures`; None retries none of them.
    pool: the asset's pool; that of the health assets keeps it from a DuckDB file that they write.
    storage_key: name of the storage, a `DuckDBStorage` or a `PostgresStorage`.
    """

    tables: Sequence[str]
    destination: str
    partitions_def: dg.TimeWindowPartitionsDefinition
    name: str = "health_page"
    deps: Sequence[Any] | None = None
    title: str = "Pipeline health"
    late: timedelta = timedelta(days=1)
    key_prefix: str | Sequence[str] = ()
    group_name: str | None = None
    owners: Sequence[str] = ()
    tags: dict[str, str] = field(default_factory=dict)
    automation_condition: dg.AutomationCondition[Any] | None = None
    description: str | None = None
    retry_policy: dg.RetryPolicy | None = None
    pool: str | None = VectorShiftResource.pool
    storage_key: str = "storage"

    def __post_init__(self) -> None:
        """Ask nothing, but find out now what no page can be made of."""
        with as_invalid_definition(noun := f"Health page {self.name}"):
            require_time(self.partitions_def, noun)
            require_list(self.tables, "tables")
            if not self.tables:
                raise SpecError("tables names no table.")


@takes(ReportOptions)
def build_report_asset(options: ReportOptions) -> dg.AssetsDefinition:
    """An asset that makes the health page of its partitions, with a link to the file in its metadata.

    Nothing is asked of the service. The arguments are told at `ReportOptions`. Takes the extra
    `report`. Raises `dg.DagsterInvalidDefinitionError` for partitions that are not windows of time and
    for no table, and `TypeError` for an unknown option.
    """
    prefix = [options.key_prefix] if isinstance(options.key_prefix, str) else options.key_prefix
    named = [name.rpartition(".")[2] for name in options.tables]
    spec = dg.AssetSpec(
        dg.AssetKey([*prefix, options.name]),
        deps=named if options.deps is None else options.deps,
        description=options.description or f"A page about {', '.join(options.tables)}.",
        group_name=options.group_name,
        owners=list(options.owners),
        tags=dict(options.tags),
        kinds={KIND},
        automation_condition=options.automation_condition,
    )

    @dg.multi_asset(
        name=re.sub(r"\W", "_", "_".join(spec.key.path), flags=re.ASCII),
        specs=[spec],
        partitions_def=options.partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=options.retry_policy,
        pool=options.pool,
        required_resource_keys={options.storage_key},
    )
    def page(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        with as_dagster_failures():
            return _made(context, options)

    return page


def _made(context: dg.AssetExecutionContext, options: ReportOptions) -> dg.MaterializeResult[None]:
    from vectorshift_orchestration.report import publish_health_page

    windows = partition_windows(context, options.partitions_def)
    keys = list(dict.fromkeys([next(iter(windows)), list(windows)[-1]]))
    window = Window(windows[keys[0]].start, windows[keys[-1]].end)
    storage = getattr(context.resources, options.storage_key)
    if not callable(connect := getattr(storage, "connect", None)):
        raise dg.Failure(
            f"Resource {options.storage_key!r} is a {type(storage).__name__}, which has no tables to "
            "read. Give a DuckDBStorage or a PostgresStorage.",
            allow_retries=False,
        )
    destination = options.destination.replace(_PARTITION, "...".join(keys))
    published = publish_health_page(
        connect, options.tables, window, destination, title=options.title, late=options.late
    )
    return dg.MaterializeResult(
        metadata={
            "page": _link(published.uri),
            "dagster/uri": published.uri,
            "vectorshift/bytes": published.bytes,
            "vectorshift/sha256": published.sha256,
            **edges_of(window),
        }
    )


def _link(uri: str) -> dg.MetadataValue[Any]:
    """What leads to the file from Dagster's page: a path that can be copied, or an address."""
    if urlsplit(uri).scheme == "file":
        return dg.MetadataValue.path(Path(uri.removeprefix("file://")))
    return dg.MetadataValue.url(uri)
