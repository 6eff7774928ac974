"""Tables of pipeline health as partitioned assets.

A run over any number of partitions asks the service once for each table and replaces each
partition in a transaction of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import dagster as dg

from dagster_vectorshift._partitions import partition_windows, require_whole_buckets, span
from dagster_vectorshift.failures import as_dagster_failures
from dagster_vectorshift.metadata import partition_metadata, table_metadata
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.storage import DuckDBStorage
from vectorshift_orchestration.errors import RowOutsideWindow, SpecError
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift import Client
    from vectorshift.analytics import Query

DEFAULT_METRICS = (
    "runs.sum",
    "errors.sum",
    "error_rate",
    "latency.p95",
    "tokens.sum",
    "model_costs.sum",
)
"""Runs, failed runs, their share, ms that 95 % of runs stay below, tokens, and US dollars."""


@dataclass(frozen=True)
class HealthTable:
    """One table: what is measured, and one row for each bucket of time and slice.

    `name` is the last part of the asset's key. `metrics` and `group_by` are words of
    `AggregationSpec`; time is always sliced by, in UTC buckets of `interval` (hour, day, week,
    month, year), whose start is column `bucket_start`. `table` is the table in the storage, perhaps
    with its schema, and named like the asset unless given. Raises `SpecError` for an unknown word.
    """

    name: str
    metrics: Sequence[str] = DEFAULT_METRICS
    group_by: Sequence[str] = ("pipeline_id",)
    interval: str = "day"
    table: str | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.group_by, str):
            raise SpecError(f"group_by is a list of names; write [{self.group_by!r}].")
        if "time" in (name.lower() for name in self.group_by):
            raise SpecError(
                f"Health table {self.name} is sliced by time in any case, by its interval: name only "
                "the other dimensions in group_by."
            )
        _ = self.spec

    @property
    def spec(self) -> AggregationSpec:
        """The aggregation that fills the table."""
        return AggregationSpec(self.metrics, ("time", *self.group_by), self.interval)

    @property
    def table_name(self) -> str:
        """The table in the storage."""
        return self.table or self.name


def build_health_assets(
    *,
    tables: Sequence[HealthTable],
    partitions_def: dg.TimeWindowPartitionsDefinition,
    query: "Query | None" = None,
    key_prefix: str | Sequence[str] = (),
    group_name: str | None = None,
    backfill_policy: dg.BackfillPolicy | None = None,
    retry_policy: dg.RetryPolicy | None = None,
    pool: str | None = "vectorshift",
    resource_key: str = "vectorshift",
    storage_key: str = "storage",
) -> dg.AssetsDefinition:
    """Assets that keep tables of health, one asset for each table, any of them selectable.

    Args:
        tables: what to keep.
        partitions_def: windows of time whose edges are edges of the tables' UTC buckets.
        query: which events to measure, without a time; None is every event of the account.
        key_prefix: parts of the asset keys before the table's name.
        group_name: the assets' group.
        backfill_policy: None puts all partitions of a backfill into one run; give
            `dg.BackfillPolicy.multi_run(n)` to put `n` at most into one.
        retry_policy: for errors that pass, see `as_dagster_failures`; None retries none of them.
        pool: the assets' pool; a limit of 1 keeps writers of one DuckDB file apart.
        resource_key: name of the `VectorShiftResource`.
        storage_key: name of the storage, a `DuckDBStorage`.

    Raises `dg.DagsterInvalidDefinitionError` when a partition would cut a bucket, for partitions
    that are no windows of time, and when two tables have one name.
    """
    _require_different(tables)
    for table in tables:
        require_whole_buckets(partitions_def, table.interval, table.name)
    prefix = [key_prefix] if isinstance(key_prefix, str) else list(key_prefix)
    by_key = {dg.AssetKey([*prefix, table.name]): table for table in tables}

    @dg.multi_asset(
        name="_".join([*prefix, *(table.name for table in tables)]),
        specs=[
            dg.AssetSpec(
                key, description=table.description, group_name=group_name, kinds={"vectorshift"}
            )
            for key, table in by_key.items()
        ],
        can_subset=True,
        partitions_def=partitions_def,
        backfill_policy=backfill_policy or dg.BackfillPolicy.single_run(),
        retry_policy=retry_policy,
        pool=pool,
        required_resource_keys={resource_key, storage_key},
    )
    def health(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        account = cast(VectorShiftResource, getattr(context.resources, resource_key))
        storage = cast(DuckDBStorage, getattr(context.resources, storage_key))
        with as_dagster_failures():
            windows = partition_windows(context, partitions_def)
            for key, table in by_key.items():
                if key in context.selected_asset_keys:
                    rows = _measured(account.get_client(), query, span(windows), table)
                    yield _stored(context, key, table, storage, rows, windows)

    return health


def _require_different(tables: Sequence[HealthTable]) -> None:
    """Two assets that write one table would delete each other's rows."""
    for names in (
        [table.name for table in tables],
        [table.table_name.lower() for table in tables],
    ):
        if not names or len(set(names)) < len(names):
            raise dg.DagsterInvalidDefinitionError(
                "Health assets need at least one table, and different names for each asset and for "
                f"each table in the storage; these are {names}."
            )


def _measured(
    client: "Client", query: "Query | None", window: Window, table: HealthTable
) -> "pa.Table":
    """The table's rows over the whole window, in one request."""
    from vectorshift.analytics import Query
    from vectorshift_orchestration.extract import aggregate
    from vectorshift_orchestration.tables import BUCKET_TIME, first_outside

    # Read anew, an awaiting query becomes a blocking one.
    scoped = client.query() if query is None else Query.from_dict(query.to_dict(), client)
    rows = aggregate(scoped, window, table.spec)
    stray = first_outside(rows[BUCKET_TIME].combine_chunks(), window)
    if stray >= 0:
        raise RowOutsideWindow(
            f"The service answered with a bucket that starts at {rows[BUCKET_TIME][stray]}, "
            f"outside of {window.label}. Nothing was written.",
            row=stray + 1,
        )
    return rows


def _stored(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    table: HealthTable,
    storage: DuckDBStorage,
    rows: "pa.Table",
    windows: Mapping[str, Window],
) -> dg.MaterializeResult[None]:
    """Replace each partition, tell about each, and then about the table."""
    parts = {window: _inside(rows, window) for window in windows.values()}
    written = storage.overwrite(table.table_name, parts)
    for partition_key, window in windows.items():
        context.add_asset_metadata(
            partition_metadata(window, parts[window], written[window], table.spec),
            asset_key=key,
            partition_key=partition_key,
        )
    return dg.MaterializeResult(
        asset_key=key, metadata=table_metadata(table.table_name, storage.uri, rows.schema)
    )


def _inside(rows: "pa.Table", window: Window) -> "pa.Table":
    import pyarrow.compute as pc

    from vectorshift_orchestration.tables import BUCKET_TIME

    at = pc.field(BUCKET_TIME)
    return rows.filter((at >= window.start) & (at < window.end))
