"""Tables of pipeline health as partitioned assets.

A run over any number of partitions asks the service as few times as give exact answers, once for
most sets, and replaces each partition in a transaction of its own.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack, cast

import dagster as dg

from dagster_vectorshift._options import (
    Described,
    described,
    parts,
    require_known,
    require_several,
)
from dagster_vectorshift._partitions import partition_windows, require_time, require_whole_buckets
from dagster_vectorshift.evaluations import require_measurable, require_timeless
from dagster_vectorshift.failures import as_dagster_failures
from dagster_vectorshift.frames import require_type
from dagster_vectorshift.health import (
    Health,
    HealthSet,
    measure,
    to_io_manager,
    to_storage,
)
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.rule_words import in_words
from dagster_vectorshift.schedules import build_health_schedule
from dagster_vectorshift.tables import BUCKET_TIME, ErrorTable, HealthCheck, HealthTable, Table
from dagster_vectorshift.translator import DagsterVectorShiftTranslator, HealthTableProps
from vectorshift_orchestration.errors import MergeError, WindowError
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from dagster_vectorshift.storage.protocol import TableStorage
    from vectorshift.analytics import Query

Body: TypeAlias = Callable[[dg.AssetExecutionContext, Health], Iterator[Any]]


class HealthOptions(Described, total=False):
    """What every set of health assets takes besides its tables and partitions.

    query: which events to measure, without a time; None is every event of the account.
    checks: rules that each partition is judged by, from the same answers.
    name: the op's name, from the assets' names unless given.
    key_prefix: parts of the asset keys before the table's name.
    group_name, owners, tags, kinds, automation_condition, freshness_policy: of every asset, besides
        what the translator says.
    backfill_policy: None puts all partitions of a backfill into one run; give
        `dg.BackfillPolicy.multi_run(n)` to put `n` at most into one.
    retry_policy: for errors that pass, see `as_dagster_failures`; None retries none of them.
    pool: the assets' pool, "vectorshift" unless given; a limit of 1 keeps writers of one DuckDB
        file apart.
    resource_key: name of the `VectorShiftResource`, "vectorshift" unless given.
    storage_key: name of the storage, a `TableStorage`, "storage" unless given.
    io_manager_key: hand the rows to this IO manager instead of the storage.
    as_type: as what the IO manager gets them: arrow (unless given), pandas or polars.
    share_requests: False asks for each table by itself.
    translator: names and describes the assets.
    """

    query: "Query | None"
    checks: Sequence[HealthCheck]
    name: str | None
    backfill_policy: dg.BackfillPolicy | None
    retry_policy: dg.RetryPolicy | None
    pool: str | None
    resource_key: str
    storage_key: str
    io_manager_key: str | None
    as_type: str
    share_requests: bool
    translator: DagsterVectorShiftTranslator | None


def build_health_assets(
    *,
    tables: Sequence[Table],
    partitions_def: dg.TimeWindowPartitionsDefinition,
    **options: Unpack[HealthOptions],
) -> dg.AssetsDefinition:
    """Assets that keep tables of health, one asset for each table, any of them selectable.

    Args:
        tables: what to keep, each a `HealthTable` or an `ErrorTable`.
        partitions_def: windows of time whose edges are edges of the tables' UTC buckets.
        options: see `HealthOptions`.

    Raises `dg.DagsterInvalidDefinitionError` when a partition would cut a bucket, for partitions
    that are no windows of time, when two tables have one name, for a query that no aggregation can
    answer (a data column, OR, a time), for a check of no table, and for a check whose figure cannot
    be told for a partition; `TypeError` for an unknown option.
    """

    def keep(context: dg.AssetExecutionContext, health: Health) -> Iterator[Any]:
        yield from health.materialize()

    if options.get("name") is None:
        _require_different(tables)
        prefix = parts(options.get("key_prefix", ()))
        options["name"] = "_".join([*prefix, *(table.name for table in tables)])
    return vectorshift_health_assets(tables=tables, partitions_def=partitions_def, **options)(keep)


def vectorshift_health_assets(
    *,
    tables: Sequence[Table],
    partitions_def: dg.TimeWindowPartitionsDefinition,
    required_resource_keys: Set[str] = frozenset(),
    **options: Unpack[HealthOptions],
) -> Callable[[Body], dg.AssetsDefinition]:
    """`build_health_assets` with a body of your own, between what is measured and what is kept.

        @vectorshift_health_assets(tables=[HealthTable("by_pipeline")], partitions_def=days)
        def health(context, health):
            context.log.info("%d rows", health.tables["by_pipeline"].num_rows)
            yield from health.materialize()

    The body gets the context and a `Health`, and yields what a `dg.multi_asset` may yield.
    `required_resource_keys` are resources that it needs besides. The rest is as told there.
    """
    require_known(options, HealthOptions, "A set of health assets")
    _require_different(tables)
    for table in tables:
        if isinstance(table, HealthTable):
            require_whole_buckets(partitions_def, table.interval, table.name)
    require_time(partitions_def, f"Health table {tables[0].name}")
    query, as_type = options.get("query"), options.get("as_type", "arrow")
    account_key = options.get("resource_key", "vectorshift")
    storage_key = options.get("storage_key", "storage")
    io_manager_key = options.get("io_manager_key")
    require_type(as_type)
    if io_manager_key is None and as_type != "arrow":
        raise dg.DagsterInvalidDefinitionError(
            f"as_type={as_type!r} is how an IO manager gets the rows: give io_manager_key, too."
        )
    translator = options.get("translator") or DagsterVectorShiftTranslator()
    specs = {
        table.name: _completed(translator.get_asset_spec(HealthTableProps(table, query)), options)
        for table in tables
    }
    keys = {name: spec.key for name, spec in specs.items()}
    health_set = HealthSet(
        tables={keys[table.name]: table for table in tables},
        checks=_by_key(options.get("checks", ()), keys),
        lineages={table.name: translator.get_column_lineage(table) for table in tables},
        partitions_def=partitions_def,
        query=query,
        share_requests=options.get("share_requests", True),
        as_type=as_type,
    )
    _require_answerable(health_set)
    needed = {account_key, *required_resource_keys}

    def decorate(body: Body) -> dg.AssetsDefinition:
        @dg.multi_asset(
            name=options.get("name") or body.__name__,
            specs=list(specs.values()),
            check_specs=_check_specs(health_set),
            can_subset=True,
            partitions_def=partitions_def,
            backfill_policy=options.get("backfill_policy") or dg.BackfillPolicy.single_run(),
            retry_policy=options.get("retry_policy"),
            pool=options.get("pool", VectorShiftResource.pool),
            required_resource_keys=needed if io_manager_key else {*needed, storage_key},
        )
        def health_assets(context: dg.AssetExecutionContext) -> Iterator[Any]:
            account = cast(VectorShiftResource, getattr(context.resources, account_key))
            if io_manager_key is not None:
                output = to_io_manager(health_set, account.ui_url)
            else:
                storage = _table_storage(getattr(context.resources, storage_key), storage_key)
                output = to_storage(health_set, storage, account.ui_url)
            with as_dagster_failures():
                windows = partition_windows(context, partitions_def)
                yield from body(context, measure(context, health_set, account, windows, output))

        return health_assets

    return decorate


def build_health_definitions(
    *,
    tables: Sequence[Table],
    partitions_def: dg.TimeWindowPartitionsDefinition,
    schedule: Mapping[str, Any] | None = None,
    **options: Unpack[HealthOptions],
) -> dg.Definitions:
    """The assets of `build_health_assets` and what runs them: a schedule, or their automation.

    `schedule` holds arguments of `build_health_schedule`; none are needed. With an
    `automation_condition` there is no schedule unless `schedule` is given. Resources are yours:
    merge the result with the rest of your definitions.
    """
    assets = build_health_assets(tables=tables, partitions_def=partitions_def, **options)
    if schedule is None and options.get("automation_condition") is not None:
        return dg.Definitions(assets=[assets])
    return dg.Definitions(
        assets=[assets], schedules=[build_health_schedule(assets, **(schedule or {}))]
    )


def _completed(spec: dg.AssetSpec, options: HealthOptions) -> dg.AssetSpec:
    """The translator's spec with what the factory was told besides."""
    spec = described(spec, options)
    io_manager_key = options.get("io_manager_key")
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
                description=check.description or in_words(check.rule),
                blocking=check.blocking,
                partitions_def=health_set.partitions_def,
            )
            for key, check in health_set.checks.items()
        ]


def _table_storage(storage: Any, key: str) -> "TableStorage":
    if not callable(getattr(storage, "overwrite", None)):
        raise dg.Failure(
            f"Resource {key!r} is a {type(storage).__name__}, which keeps no tables. Give a "
            "DuckDBStorage, a PostgresStorage, a ParquetStorage or your own TableStorage.",
            allow_retries=False,
        )
    return cast("TableStorage", storage)


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
    """Ask nothing, but find out now whether the service could answer."""
    require_timeless(health_set.query)
    if health_set.checks or any(
        isinstance(each, HealthTable) for each in health_set.tables.values()
    ):
        require_measurable(health_set.query)
    days = health_set.partitions_def
    first = days.get_next_partition_window(days.start, respect_bounds=False)
    if first is None or not health_set.checks:
        return
    for key, check in health_set.checks.items():
        try:
            check.judge([Window(*first)], days)
        except (MergeError, WindowError) as problem:
            raise dg.DagsterInvalidDefinitionError(
                f"Check {key.to_user_string()} cannot be answered for these partitions: {problem} "
                "Or take build_rule_check, which asks for such partitions one by one."
            ) from problem


def _require_different(tables: Sequence[Table]) -> None:
    """Two assets that write one table would delete each other's rows."""
    require_several(tables, "tables")
    for table in tables:
        if not isinstance(table, HealthTable | ErrorTable):
            raise dg.DagsterInvalidDefinitionError(
                f"A table is a HealthTable or an ErrorTable, such as HealthTable({table!r}), not "
                f"{type(table).__name__}."
            )
    for names in (
        [table.name for table in tables],
        [table.table_name.lower() for table in tables],
    ):
        if not names or len(set(names)) < len(names):
            raise dg.DagsterInvalidDefinitionError(
                "Health assets need at least one table, and different names for each asset and for "
                f"each table in the storage; these are {names}."
            )
