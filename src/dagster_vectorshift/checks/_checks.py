"""Checks of pipeline health: a rule, the service's figures, and one evaluation for each partition.

Every check measures the service itself, not the tables: percentiles of a whole partition cannot be
had from stored slices, an asset without a table can be checked too, and a run over any number of
partitions costs one request, history included.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import EllipsisType
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg
from msgspec.structs import fields

from dagster_vectorshift._partitions import before, require_time
from dagster_vectorshift.checks._evaluations import (
    CheckedAsset,
    Partitions,
    asset_key_of,
    evaluation,
    targets,
)
from dagster_vectorshift.failures import as_dagster_failures, as_invalid_definition
from vectorshift_orchestration.arguments import takes
from vectorshift_orchestration.specs.measurable import require_measurable
from vectorshift_orchestration.specs.scopes import scoped
from vectorshift_orchestration.thresholds.judging import Judging
from vectorshift_orchestration.thresholds.reports import explain
from vectorshift_orchestration.thresholds.rules import Absolute, Baseline, Rate, Rule, describe_rule
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from dagster_vectorshift.resource import VectorShiftResource
    from vectorshift.analytics import Query

_Rule = TypeVar("_Rule", bound=Rule)


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """The options of every check besides its limits.

    asset: what is checked.
    partitions_def: windows of time, one evaluation for each; by default (...) those of `asset`, when
        that is a definition. Without any, the check is about the latest `window`.
    query: which events to measure, without a time; None is every event of the account.
    name: the check's name, by default that of its kind.
    description: the text of the check page; a description of the rule by default.
    blocking: whether a failure with severity ERROR keeps downstream assets of the run from starting.
    window: without partitions, the time up to the last full hour that is measured.
    retry_policy: for errors that pass, see `as_dagster_failures`.
    automation_condition: when Dagster shall evaluate the check by itself.
    pool: the check's pool.
    resource_key: name of the `VectorShiftResource`.
    """

    asset: CheckedAsset = field(kw_only=False)
    partitions_def: Partitions | EllipsisType | None = ...
    query: "Query | None" = None
    name: str | None = None
    description: str | None = None
    blocking: bool = False
    window: timedelta = timedelta(days=1)
    retry_policy: dg.RetryPolicy | None = None
    automation_condition: dg.AutomationCondition[dg.AssetCheckKey] | None = None
    pool: str | None = None
    resource_key: str = "vectorshift"


@dataclass(frozen=True, kw_only=True)
class LimitOptions(CheckOptions):
    """Limits that are still all right; one of them may be missing."""

    warn: float | None = None
    error: float | None = None


@dataclass(frozen=True, kw_only=True)
class SampleOptions(LimitOptions):
    """With fewer runs than `minimum_sample` the check passes, with "insufficient data" in its metadata."""

    minimum_sample: int = 20


@dataclass(frozen=True, kw_only=True)
class LatencyOptions(SampleOptions):
    """`percentile` is the share of runs, in %, that stay below the latency."""

    percentile: int = 95


@dataclass(frozen=True, kw_only=True)
class BaselineOptions(CheckOptions):
    """The arguments of `vectorshift_orchestration.thresholds.rules.Baseline`."""

    metric: str
    warn: float | None = 3.5
    error: float | None = None
    breach: str = "either"
    windows: int = 14
    minimum_windows: int = 5
    minimum_sample: int = 0
    tolerance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RuleOptions(CheckOptions):
    """A check of any rule."""

    rule: Rule = field(kw_only=False)


@takes(SampleOptions)
def build_error_rate_check(options: SampleOptions) -> dg.AssetChecksDefinition:
    """Failed runs as a share of all: more than `warn` or `error` of them fails the check.

    The limits are shares, 0.05 is 5 %. With fewer runs than `minimum_sample` the check passes, with
    "insufficient data" in its metadata. Raises `SpecError` for unusable limits, and
    `dg.DagsterInvalidDefinitionError` for limits that are not shares and for partitions that are not
    windows of time.
    """
    rule = _rule(Rate, options)
    with as_invalid_definition():
        rule.require_shares()
    return _check(options, rule, "error_rate")


@takes(LimitOptions)
def build_error_count_check(options: LimitOptions) -> dg.AssetChecksDefinition:
    """Failed runs: more than `warn` or `error` of them fails the check; see `build_error_rate_check`."""
    return _check(options, _rule(Absolute, options, metric="errors.sum"), "error_count")


@takes(LatencyOptions)
def build_latency_check(options: LatencyOptions) -> dg.AssetChecksDefinition:
    """The latency that `percentile` % of runs stay below, in milliseconds, which are the limits' unit.

    Otherwise as `build_error_rate_check`.
    """
    metric = f"latency.p{options.percentile}"
    return _check(options, _rule(Absolute, options, metric=metric), metric.replace(".", "_"))


@takes(BaselineOptions)
def build_baseline_check(options: BaselineOptions) -> dg.AssetChecksDefinition:
    """How far a figure is from the median of the `windows` partitions before, in robust deviations.

    `metric` is a metric of `AggregationSpec`; `breach` is above, below or either; see
    `vectorshift_orchestration.thresholds.rules.Baseline`. The history comes with the same request, so it is
    complete whatever was materialized before. Otherwise as `build_error_rate_check`.
    """
    name = f"{options.metric.replace('.', '_')}_baseline"
    return _check(options, _rule(Baseline, options), name)


@takes(RuleOptions)
def build_rule_check(options: RuleOptions) -> dg.AssetChecksDefinition:
    """A check of any rule of `vectorshift_orchestration.thresholds.rules`; the others are this with their rule.

    Raises `dg.DagsterInvalidDefinitionError` for partitions that are not windows of time, and for a
    query that no aggregation can answer (a data column, OR, a time); `TypeError` for an unknown
    option.
    """
    return _check(options, options.rule, options.rule.name)


def _rule(kind: type[_Rule], options: CheckOptions, **fixed: Any) -> _Rule:
    """The rule whose arguments are options of the same names."""
    arguments = {each.name: getattr(options, each.name, None) for each in fields(kind)}
    return kind(**{name: value for name, value in arguments.items() if value is not None}, **fixed)


def _check(options: CheckOptions, rule: Rule, name: str) -> dg.AssetChecksDefinition:
    partitions = options.partitions_def
    if isinstance(partitions, EllipsisType):
        partitions = getattr(options.asset, "partitions_def", None)
    hint = "Give partitions_def=None to check the latest day instead."
    noun = "A check of pipeline health"
    partitions_def = None if partitions is None else require_time(partitions, noun, hint)
    with as_invalid_definition():
        require_measurable(options.query)
    check = dg.AssetCheckKey(asset_key_of(options.asset), options.name or name)
    with warnings.catch_warnings():
        # Checks by partition are in preview; that a later Dagster may change them is our concern.
        warnings.simplefilter("ignore", dg.PreviewWarning)

        @dg.asset_check(  # type: ignore[arg-type]  # it also takes evaluations
            asset=check.asset_key,
            name=check.name,
            description=options.description or describe_rule(rule),
            blocking=options.blocking,
            partitions_def=partitions_def,
            retry_policy=options.retry_policy,
            automation_condition=options.automation_condition,
            pool=options.pool,
            required_resource_keys={options.resource_key},
            compute_kind="vectorshift",
        )
        def health_check(
            context: dg.AssetCheckExecutionContext,
        ) -> Iterator[dg.AssetCheckEvaluation | dg.Output[None]]:
            account: VectorShiftResource = getattr(context.resources, options.resource_key)
            with as_dagster_failures():
                query = scoped(account.get_client(), options.query)
                windows = _windows(context, partitions_def, options.window)
                judging = Judging(rule, list(windows.values()), before(partitions_def))
                verdicts = {each.window: each for each in judging.ask(query)}
                errors = explain(query, judging, verdicts.values())
            about = targets(context.instance, check.asset_key, windows.keys())
            for partition, window in windows.items():
                yield evaluation(
                    check,
                    partition,
                    verdicts[window],
                    rule,
                    errors.get(window),
                    blocking=options.blocking,
                    target=about.get(partition),
                )
            # A result would be one for all partitions of the run. An evaluation is one for each, and
            # holds back what is downstream all the same; only the step's output is then still due.
            yield dg.Output(None)

    return health_check


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
