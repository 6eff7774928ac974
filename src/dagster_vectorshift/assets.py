"""Tables of pipeline health as partitioned assets.

A run over any number of partitions asks the service as few times as give exact answers, once for
most sets, and replaces each partition in a transaction of its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import dagster as dg

from dagster_vectorshift._partitions import partition_windows, require_whole_buckets
from dagster_vectorshift.failures import as_dagster_failures
from dagster_vectorshift.frames import require_type
from dagster_vectorshift.health import (
    Health,
    HealthSet,
    account_of,
    measure,
    to_io_manager,
    to_storage,
)
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.tables import DEFAULT_METRICS, HealthCheck, HealthTable
from dagster_vectorshift.translator import DagsterVectorShiftTranslator, HealthTableProps

if TYPE_CHECKING:
    from dagster_vectorshift.storage.protocol import TableStorage
    from vectorshift.analytics import Query

Body: TypeAlias = Callable[[dg.AssetExecutionContext, Health], Iterator[Any]]


def build_health_assets(
    *,
    tables: Sequence[HealthTable],
    partitions_def: dg.TimeWindowPartitionsDefinition,
    query: "Query | None" = None,
    checks: Sequence[HealthCheck] = (),
    name: str | None = None,
    key_prefix: str | Sequence[str] = (),
    group_name: str | None = None,
    owners: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    kinds: Set[str] = frozenset(),
    automation_condition: dg.AutomationCondition[Any] | None = None,
    freshness_policy: dg.FreshnessPolicy | None = None,
    backfill_policy: dg.BackfillPolicy | None = None,
    retry_policy: dg.RetryPolicy | None = None,
    pool: str | None = VectorShiftResource.pool,
    resource_key: str = "vectorshift",
    storage_key: str = "storage",
    io_manager_key: str | None = None,
    as_type: str = "arrow",
    share_requests: bool = True,
    translator: DagsterVectorShiftTranslator | None = None,
) -> dg.AssetsDefinition:
    """Assets that keep tables of health, one asset for each table, any of them selectable.

    Args:
        tables: what to keep.
        partitions_def: windows of time whose edges are edges of the tables' UTC buckets.
        query: which events to measure, without a time; None is every event of the account.
        checks: rules that each partition is judged by, from the same answers.
        name: the op's name, from the assets' names unless given.
        key_prefix: parts of the asset keys before the table's name.
        group_name, owners, tags, kinds, automation_condition, freshness_policy: of every asset,
            besides what the translator says.
        backfill_policy: None puts all partitions of a backfill into one run; give
            `dg.BackfillPolicy.multi_run(n)` to put `n` at most into one.
        retry_policy: for errors that pass, see `as_dagster_failures`; None retries none of them.
        pool: the assets' pool; a limit of 1 keeps writers of one DuckDB file apart.
        resource_key: name of the `VectorShiftResource`.
        storage_key: name of the storage, a `TableStorage`.
        io_manager_key: hand the rows to this IO manager instead of the storage.
        as_type: as what the IO manager gets them: arrow, pandas or polars.
        share_requests: False asks for each table by itself.
        translator: names and describes the assets.

    Raises `dg.DagsterInvalidDefinitionError` when a partition would cut a bucket, for partitions
    that are no windows of time, when two tables have one name, for a check of no table, and for a
    check whose figure cannot be told for a partition.
    """

    def keep(
        context: dg.AssetExecutionContext, health: Health
    ) -> Iterator[dg.MaterializeResult[Any]]:
        yield from health.materialize()

    return vectorshift_health_assets(
        tables=tables,
        partitions_def=partitions_def,
        query=query,
        checks=checks,
        name=name or _default_name(key_prefix, tables),
        key_prefix=key_prefix,
        group_name=group_name,
        owners=owners,
        tags=tags,
        kinds=kinds,
        automation_condition=automation_condition,
        freshness_policy=freshness_policy,
        backfill_policy=backfill_policy,
        retry_policy=retry_policy,
        pool=pool,
        resource_key=resource_key,
        storage_key=storage_key,
        io_manager_key=io_manager_key,
        as_type=as_type,
        share_requests=share_requests,
        translator=translator,
    )(keep)


def vectorshift_health_assets(
    *,
    tables: Sequence[HealthTable],
    partitions_def: dg.TimeWindowPartitionsDefinition,
    query: "Query | None" = None,
    checks: Sequence[HealthCheck] = (),
    name: str | None = None,
    key_prefix: str | Sequence[str] = (),
    group_name: str | None = None,
    owners: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    kinds: Set[str] = frozenset(),
    automation_condition: dg.AutomationCondition[Any] | None = None,
    freshness_policy: dg.FreshnessPolicy | None = None,
    backfill_policy: dg.BackfillPolicy | None = None,
    retry_policy: dg.RetryPolicy | None = None,
    pool: str | None = VectorShiftResource.pool,
    resource_key: str = "vectorshift",
    storage_key: str = "storage",
    io_manager_key: str | None = None,
    as_type: str = "arrow",
    share_requests: bool = True,
    translator: DagsterVectorShiftTranslator | None = None,
    required_resource_keys: Set[str] = frozenset(),
) -> Callable[[Body], dg.AssetsDefinition]:
    """`build_health_assets` with a body of your own, between what is measured and what is kept.

        @vectorshift_health_assets(tables=[HealthTable("by_pipeline")], partitions_def=days)
        def health(context, health):
            context.log.info("%d rows", health.tables["by_pipeline"].num_rows)
            yield from health.materialize()

    The body gets the context and a `Health`, and yields what a `dg.multi_asset` may yield.
    `required_resource_keys` are resources that it needs besides. The rest is as told there.
    """
    _require_different(tables)
    for table in tables:
        require_whole_buckets(partitions_def, table.interval, table.name)
    if io_manager_key is not None:
        require_type(as_type)
    named = translator or DagsterVectorShiftTranslator()
    specs = []
    for table in tables:
        spec = named.get_asset_spec(HealthTableProps(table, query))
        specs.append(
            _completed(
                spec,
                key_prefix=[key_prefix] if isinstance(key_prefix, str) else list(key_prefix),
                group_name=group_name,
                owners=owners,
                tags=tags or {},
                kinds=kinds,
                automation_condition=automation_condition,
                freshness_policy=freshness_policy,
                io_manager_key=io_manager_key,
            )
        )
    keys = {table.name: spec.key for table, spec in zip(tables, specs, strict=True)}
    health_set = HealthSet(
        tables={keys[table.name]: table for table in tables},
        checks=_by_key(checks, keys),
        lineages={keys[table.name]: named.get_column_lineage(table) for table in tables},
        partitions_def=partitions_def,
        query=query,
        share_requests=share_requests,
        as_type=as_type,
    )
    _require_answerable(health_set)

    def decorate(body: Body) -> dg.AssetsDefinition:
        @dg.multi_asset(
            name=name or body.__name__,
            specs=specs,
            check_specs=[
                dg.AssetCheckSpec(
                    key.name,
                    asset=key.asset_key,
                    description=check.description,
                    blocking=check.blocking,
                    partitions_def=partitions_def,
                )
                for key, check in health_set.checks.items()
            ],
            can_subset=True,
            partitions_def=partitions_def,
            backfill_policy=backfill_policy or dg.BackfillPolicy.single_run(),
            retry_policy=retry_policy,
            pool=pool,
            required_resource_keys={
                resource_key,
                *required_resource_keys,
                *([] if io_manager_key is not None else [storage_key]),
            },
        )
        def health_assets(context: dg.AssetExecutionContext) -> Iterator[Any]:
            account = account_of(context, resource_key)
            if io_manager_key is not None:
                output = to_io_manager(health_set, account.ui_url)
            else:
                storage = cast("TableStorage", getattr(context.resources, storage_key))
                output = to_storage(health_set, storage, account.ui_url)
            with as_dagster_failures():
                windows = partition_windows(context, partitions_def)
                yield from body(context, measure(context, health_set, account, windows, output))

        return health_assets

    return decorate


def _completed(
    spec: dg.AssetSpec,
    *,
    key_prefix: Sequence[str],
    group_name: str | None,
    owners: Sequence[str],
    tags: Mapping[str, str],
    kinds: Set[str],
    automation_condition: dg.AutomationCondition[Any] | None,
    freshness_policy: dg.FreshnessPolicy | None,
    io_manager_key: str | None,
) -> dg.AssetSpec:
    """The translator's spec with what the factory was told besides."""
    spec = spec.merge_attributes(owners=list(owners), tags=dict(tags), kinds=set(kinds))
    if key_prefix:
        spec = spec.replace_attributes(key=spec.key.with_prefix(key_prefix))
    if group_name is not None:
        spec = spec.replace_attributes(group_name=group_name)
    if automation_condition is not None:
        spec = spec.replace_attributes(automation_condition=automation_condition)
    if freshness_policy is not None:
        spec = spec.replace_attributes(freshness_policy=freshness_policy)
    if io_manager_key is not None:
        # Database IO managers delete a partition by this column.
        spec = spec.merge_attributes(metadata={"partition_expr": "bucket_start"})
        spec = spec.with_io_manager_key(io_manager_key)
    return spec


def _default_name(key_prefix: str | Sequence[str], tables: Sequence[HealthTable]) -> str:
    prefix = [key_prefix] if isinstance(key_prefix, str) else list(key_prefix)
    return "_".join([*prefix, *(table.name for table in tables)])


def _by_key(
    checks: Sequence[HealthCheck], keys: Mapping[str, dg.AssetKey]
) -> dict[dg.AssetCheckKey, HealthCheck]:
    found = {}
    for check in checks:
        if check.table not in keys:
            raise dg.DagsterInvalidDefinitionError(
                f"Check {check.check_name} is about table {check.table!r}, which is not one of the "
                f"set: {', '.join(keys)}."
            )
        key = dg.AssetCheckKey(keys[check.table], check.check_name)
        if key in found:
            raise dg.DagsterInvalidDefinitionError(
                f"Table {check.table} has two checks named {check.check_name}. Give them names."
            )
        found[key] = check
    return found


def _require_answerable(health_set: HealthSet) -> None:
    """Ask nothing, but find out now whether a check's figures can be told for a partition."""
    from vectorshift_orchestration.errors import MergeError, WindowError
    from vectorshift_orchestration.windows import Window

    days = health_set.partitions_def
    first = days.get_next_partition_window(days.start, respect_bounds=False)
    if first is None or not health_set.checks:
        return
    window = Window(first.start, first.end)
    for key, check in health_set.checks.items():
        try:
            check.question([window], health_set.earlier(check, [window]))
        except (MergeError, WindowError) as problem:
            raise dg.DagsterInvalidDefinitionError(
                f"Check {key.to_user_string()} cannot be answered for these partitions: {problem}"
            ) from problem


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


__all__ = [
    "DEFAULT_METRICS",
    "Body",
    "HealthCheck",
    "HealthTable",
    "build_health_assets",
    "vectorshift_health_assets",
]
