"""Checks of pipeline health: a rule, the service's figures, and one evaluation for each partition.

Every check measures the service itself, not the tables: percentiles of a whole partition cannot be
had from stored slices, an asset without a table can be checked too, and a run over any number of
partitions costs one request, history included.
"""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypedDict, Unpack, cast

import dagster as dg

from dagster_vectorshift._options import require_known
from dagster_vectorshift.evaluations import (
    Partitions,
    evaluation,
    explain,
    judge,
    require_measurable,
    scoped,
)
from dagster_vectorshift.failures import as_dagster_failures
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.rule_words import in_words
from vectorshift_orchestration.thresholds.rules import Absolute, Baseline, Rate, Rule
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift.analytics import Query

_DAY = timedelta(days=1)


class CheckOptions(TypedDict, total=False):
    """What every check takes besides its limits.

    partitions_def: windows of time, one evaluation for each; by default those of `asset`, when that
        is a definition. Without any, the check is about the latest `window`.
    query: which events to measure, without a time; None is every event of the account.
    name: the check's name, by default that of its kind.
    description: what the check page says; the rule in words unless given.
    blocking: whether a failure with severity ERROR keeps downstream assets of the run from starting.
    window: without partitions, the time up to the last full hour that is measured; one day.
    retry_policy: for errors that pass, see `as_dagster_failures`.
    automation_condition: when Dagster shall evaluate the check by itself.
    pool: the check's pool.
    resource_key: name of the `VectorShiftResource`.
    """

    partitions_def: Partitions | None
    query: "Query | None"
    name: str
    description: str | None
    blocking: bool
    window: timedelta
    retry_policy: dg.RetryPolicy | None
    automation_condition: dg.AutomationCondition[dg.AssetCheckKey] | None
    pool: str | None
    resource_key: str


CheckedAsset = dg.AssetsDefinition | dg.AssetSpec | dg.AssetKey | str


def build_error_rate_check(
    asset: CheckedAsset,
    *,
    warn: float | None = None,
    error: float | None = None,
    minimum_sample: int = 20,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Failed runs as a share of all: more than `warn` or `error` of them fails the check.

    The limits are shares, 0.05 is 5 %. With fewer runs than `minimum_sample` the check passes, with
    "insufficient data" in its metadata. Raises `SpecError` for unusable limits, and
    `dg.DagsterInvalidDefinitionError` for limits that are no shares and for partitions that are no
    windows of time.
    """
    rule = Rate(warn=warn, error=error, minimum_sample=minimum_sample)
    _require_shares(rule)
    options.setdefault("name", "error_rate")
    return build_rule_check(asset, rule, **options)


def build_error_count_check(
    asset: CheckedAsset,
    *,
    warn: float | None = None,
    error: float | None = None,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Failed runs: more than `warn` or `error` of them fails the check; see `build_error_rate_check`."""
    rule = Absolute(metric="errors.sum", warn=warn, error=error)
    options.setdefault("name", "error_count")
    return build_rule_check(asset, rule, **options)


def build_latency_check(
    asset: CheckedAsset,
    *,
    percentile: int = 95,
    warn: float | None = None,
    error: float | None = None,
    minimum_sample: int = 20,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """The latency that `percentile` % of runs stay below, in milliseconds, which are the limits' unit.

    Otherwise as `build_error_rate_check`.
    """
    metric = f"latency.p{percentile}"
    rule = Absolute(metric=metric, warn=warn, error=error, minimum_sample=minimum_sample)
    options.setdefault("name", f"latency_p{percentile}")
    return build_rule_check(asset, rule, **options)


def build_baseline_check(
    asset: CheckedAsset,
    *,
    metric: str,
    warn: float | None = 3.5,
    error: float | None = None,
    breach: str = "either",
    windows: int = 14,
    minimum_windows: int = 5,
    minimum_sample: int = 0,
    tolerance: float = 0.0,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """How far a figure is from the median of the `windows` partitions before, in robust deviations.

    `metric` is a word of `AggregationSpec`; `breach` is above, below or either; see
    `vectorshift_orchestration.thresholds.rules.Baseline`. The history comes with the same request, so it is
    complete whatever was materialized before. Otherwise as `build_error_rate_check`.
    """
    rule = Baseline(
        metric=metric,
        warn=warn,
        error=error,
        breach=breach,
        windows=windows,
        minimum_windows=minimum_windows,
        minimum_sample=minimum_sample,
        tolerance=tolerance,
    )
    options.setdefault("name", f"{metric.replace('.', '_')}_baseline")
    return build_rule_check(asset, rule, **options)


def build_rule_check(
    asset: CheckedAsset, rule: Rule, **options: Unpack[CheckOptions]
) -> dg.AssetChecksDefinition:
    """A check of any rule of `vectorshift_orchestration.thresholds.rules`; the others are this with their rule.

    Raises `dg.DagsterInvalidDefinitionError` for partitions that are no windows of time, and for a
    query that no aggregation can answer (a data column, OR, a time); `TypeError` for an unknown
    option.
    """
    require_known(options, CheckOptions, "A check")
    given = (
        partitions_def_of(asset) if "partitions_def" not in options else options["partitions_def"]
    )
    partitions_def = require_time(given)
    require_measurable(options.get("query"))
    check = dg.AssetCheckKey(asset_key_of(asset), options.get("name", rule.name))
    blocking = options.get("blocking", False)
    resource_key = options.get("resource_key", "vectorshift")
    with warnings.catch_warnings():
        # Checks by partition are in preview; that a later Dagster may change them is our concern.
        warnings.simplefilter("ignore", dg.PreviewWarning)

        @dg.asset_check(  # type: ignore[arg-type]  # it also takes evaluations
            asset=check.asset_key,
            name=check.name,
            description=options.get("description") or in_words(rule),
            blocking=blocking,
            partitions_def=partitions_def,
            retry_policy=options.get("retry_policy"),
            automation_condition=options.get("automation_condition"),
            pool=options.get("pool"),
            required_resource_keys={resource_key},
            compute_kind="vectorshift",
        )
        def health_check(
            context: dg.AssetCheckExecutionContext,
        ) -> Iterator[dg.AssetCheckEvaluation | dg.Output[None]]:
            account = cast(VectorShiftResource, getattr(context.resources, resource_key))
            with as_dagster_failures():
                query = scoped(account.get_client(), options.get("query"))
                windows = _windows(context, partitions_def, options.get("window", _DAY))
                verdicts = judge(query, rule, windows.values(), partitions_def)
                errors = explain(query, rule, verdicts.values())
            for partition, window in windows.items():
                found, top = verdicts[window], errors.get(window)
                yield evaluation(
                    check, partition, found, rule, top, blocking=blocking, instance=context.instance
                )
            # A result would be one for all partitions of the run. An evaluation is one for each, and
            # holds back what is downstream all the same; only the step's output is then still due.
            yield dg.Output(None)

    return health_check


def _require_shares(rule: Rate) -> None:
    """A greater limit is meant as a percentage, and would never be passed."""
    for limit in (rule.warn, rule.error):
        if limit is not None and not 0.0 <= limit <= 1.0:
            raise dg.DagsterInvalidDefinitionError(
                f"A limit of an error rate is a share from 0 to 1, such as 0.05 for 5 %, not {limit:g}."
            )


def asset_key_of(asset: CheckedAsset) -> dg.AssetKey:
    """The key of what is checked; a text has slashes between its parts, as Dagster shows it.

    Raises `dg.DagsterInvalidDefinitionError` for a definition of several assets, and for what is no
    asset at all.
    """
    if isinstance(asset, str):
        return dg.AssetKey.from_user_string(asset)
    if not isinstance(asset, dg.AssetsDefinition | dg.AssetSpec | dg.AssetKey):
        raise dg.DagsterInvalidDefinitionError(
            f"An asset is a definition, a spec, a key or a text, not {type(asset).__name__}."
        )
    if isinstance(asset, dg.AssetKey):
        return asset
    if isinstance(asset, dg.AssetsDefinition) and len(asset.keys) > 1:
        names = ", ".join(sorted(key.to_user_string() for key in asset.keys))
        raise dg.DagsterInvalidDefinitionError(
            f"A check is about one asset, and this definition has several: {names}. Give the one, as "
            "assets.get_asset_spec(dg.AssetKey(...))."
        )
    return asset.key


def partitions_def_of(asset: CheckedAsset) -> dg.PartitionsDefinition[str] | None:
    """The asset's own partitions, where the definition was given."""
    return asset.partitions_def if isinstance(asset, dg.AssetsDefinition | dg.AssetSpec) else None


def require_time(partitions_def: dg.PartitionsDefinition[str] | None) -> Partitions | None:
    """The partitions, when they are windows of time or none; `dg.DagsterInvalidDefinitionError` else."""
    if partitions_def is None or isinstance(partitions_def, Partitions):
        return partitions_def
    raise dg.DagsterInvalidDefinitionError(
        "Checks of pipeline health need partitions of time, such as "
        f"dg.DailyPartitionsDefinition('2026-01-01'), not {type(partitions_def).__name__}. "
        "Give partitions_def=None to check the latest day instead."
    )


def _windows(
    context: dg.AssetCheckExecutionContext, partitions_def: Partitions | None, width: timedelta
) -> dict[str | None, Window]:
    """The window of each partition of the run, or the one up to the last full hour."""
    if partitions_def is None:
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        return {None: Window(end - width, end)}
    return {
        key: Window(*partitions_def.time_window_for_partition_key(key))
        for key in context.partition_keys
    }
