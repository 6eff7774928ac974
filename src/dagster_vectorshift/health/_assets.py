"""Tables of pipeline health as partitioned assets.

A run over any number of partitions asks the service as few times as give exact answers, once for
most sets, and replaces each table in as few transactions; a partition is all old or all new.
"""

import warnings
from collections.abc import Callable, Iterator, Set
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import dagster as dg

from dagster_vectorshift._partitions import partition_windows
from dagster_vectorshift.failures import as_dagster_failures
from dagster_vectorshift.health._measured import Health, HealthSet, measure
from dagster_vectorshift.health._options import (
    HealthBodyOptions,
    HealthDefinitionsOptions,
    HealthOptions,
)
from dagster_vectorshift.health._outputs import Output, ToIOManager, ToStorage
from dagster_vectorshift.schedules import planned
from vectorshift_orchestration.aggregates.answers import BUCKET_TIME
from vectorshift_orchestration.arguments import takes
from vectorshift_orchestration.thresholds.rules import describe_rule

if TYPE_CHECKING:
    from dagster_vectorshift.resource import VectorShiftResource
    from dagster_vectorshift.storage._protocol import TableStorage

Body: TypeAlias = Callable[[dg.AssetExecutionContext, Health], Iterator[Any]]


@takes(HealthOptions)
def build_health_assets(options: HealthOptions) -> dg.AssetsDefinition:
    """Assets that keep tables of health, one asset for each table, any of them selectable.

    The arguments are described at `HealthOptions`. Raises `dg.DagsterInvalidDefinitionError` when a
    partition would cut a bucket, for partitions that are not windows of time, when two tables have
    one name, for a query that no aggregation can answer (a data column, OR, a time), for a check of
    no table, and for a check whose figure a partition does not have; `TypeError` for an unknown
    option.
    """
    return _assets(options, _keep, options.op)


@takes(HealthBodyOptions)
def vectorshift_health_assets(options: HealthBodyOptions) -> Callable[[Body], dg.AssetsDefinition]:
    """`build_health_assets` with a body of your own, between what is measured and what is kept.

        @vectorshift_health_assets(tables=[HealthTable("by_pipeline")], partitions_def=days)
        def health(context, health):
            context.log.info("%d rows", health.tables["by_pipeline"].num_rows)
            yield from health.materialize()

    The body gets the context and a `Health`, and yields what a `dg.multi_asset` may yield.
    `required_resource_keys` are further resources that it needs. The rest is as described there.
    """
    needed = options.required_resource_keys
    return lambda body: _assets(options, body, options.name or body.__name__, needed)


@takes(HealthDefinitionsOptions)
def build_health_definitions(options: HealthDefinitionsOptions) -> dg.Definitions:
    """The assets of `build_health_assets` and what runs them: a schedule, or their automation.

    `schedule` holds arguments of `build_health_schedule`; none are needed. With an
    `automation_condition` there is no schedule unless `schedule` is given. Resources are yours:
    merge the result with the rest of your definitions.
    """
    assets = build_health_assets.of(options)
    return dg.Definitions(
        assets=[assets],
        schedules=planned(assets, options.schedule, options.automation_condition),
    )


def _keep(context: dg.AssetExecutionContext, health: Health) -> Iterator[Any]:
    yield from health.materialize()


def _assets(
    options: HealthOptions, body: Body, name: str, needed: Set[str] = frozenset()
) -> dg.AssetsDefinition:
    health_set = HealthSet.of(options)
    io_manager_key = options.io_manager_key
    resources = {options.resource_key, *needed, *([] if io_manager_key else [options.storage_key])}

    @dg.multi_asset(
        name=name,
        specs=[_stored(spec, io_manager_key) for spec in health_set.specs.values()],
        check_specs=_check_specs(health_set),
        can_subset=True,
        **options.arguments(resources, dg.BackfillPolicy.single_run()),
    )
    def health_assets(context: dg.AssetExecutionContext) -> Iterator[Any]:
        account: VectorShiftResource = getattr(context.resources, options.resource_key)
        output: Output = (
            ToStorage(_table_storage(context, options.storage_key), options)
            if io_manager_key is None
            else ToIOManager(options.as_type)
        )
        with as_dagster_failures():
            windows = partition_windows(context, options.partitions_def)
            yield from body(context, measure(context, health_set, account, windows, output))

    return health_assets


def _stored(spec: dg.AssetSpec, io_manager_key: str | None) -> dg.AssetSpec:
    if io_manager_key is None:
        return spec
    # Database IO managers delete a partition by this column.
    spec = spec.merge_attributes(metadata={"partition_expr": BUCKET_TIME})
    return spec.with_io_manager_key(io_manager_key)


def _check_specs(health_set: HealthSet) -> list[dg.AssetCheckSpec]:
    with warnings.catch_warnings():
        # Checks by partition are in preview; that a later Dagster may change them is our concern.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                key.name,
                asset=key.asset_key,
                description=check.description or describe_rule(check.rule),
                blocking=check.blocking,
                partitions_def=health_set.options.partitions_def,
            )
            for key, check in health_set.checks.items()
        ]


def _table_storage(context: dg.AssetExecutionContext, key: str) -> "TableStorage":
    storage = getattr(context.resources, key)
    if getattr(storage, "kind", None) == "file" or not callable(getattr(storage, "landing", None)):
        raise dg.Failure(
            f"Resource {key!r} is a {type(storage).__name__}, which keeps no tables. Give a "
            "DuckDBStorage, a PostgresStorage, a DeltaStorage, a ParquetStorage or your own storage.",
            allow_retries=False,
        )
    return cast("TableStorage", storage)
