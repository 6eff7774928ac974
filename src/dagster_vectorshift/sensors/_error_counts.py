"""Failed runs by window, watched without runs of Dagster's own.

Each tick measures, in one request, the windows that have ended since the last one and a few before
them, because events arrive late. Only what is new or has changed is reported.
"""

from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, cast

import dagster as dg

from dagster_vectorshift._partitions import back, edges_of, require_time
from dagster_vectorshift.checks._evaluations import (
    CheckedAsset,
    Partitions,
    asset_key_of,
    evaluation,
    targets,
)
from dagster_vectorshift.failures import as_invalid_definition
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.sensors._history import TIME_BUDGET
from vectorshift_orchestration.positions import Position
from vectorshift_orchestration.specs.measurable import require_measurable
from vectorshift_orchestration.specs.scopes import scoped
from vectorshift_orchestration.thresholds.judging import Judging
from vectorshift_orchestration.thresholds.reports import explain
from vectorshift_orchestration.thresholds.rules import Absolute
from vectorshift_orchestration.thresholds.verdicts import Verdict
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift.analytics import Query

_MOST = 500


def build_error_count_sensor(
    asset: CheckedAsset,
    *,
    partitions_def: Partitions,
    warn: float | None = None,
    error: float | None = None,
    query: "Query | None" = None,
    check: str = "error_count",
    name: str | None = None,
    target: dg.AssetSelection | dg.AssetsDefinition | dg.JobDefinition | str | None = None,
    lookback: int = 24,
    minimum_interval_seconds: int = 60,
    time_budget: float = TIME_BUDGET,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
    resource_key: str = "vectorshift",
) -> dg.SensorDefinition:
    """A sensor that counts failed runs in each window and reports too many.

    Without a `target` it needs no run: an observation of `asset` and an evaluation of its check, for
    each window whose figures are new or have changed. Declare that check with
    `build_error_count_check` and `partitions_def=None`, so that it has a page and can be run
    manually: Dagster keeps only one evaluation of a partition without a run, so the windows are in
    the metadata. With a `target` it requests a run of the window's partition instead when a limit is
    exceeded; the run key holds the window and the figures, so one state of a window is one run, whatever is repeated.

    Args:
        asset: what the events are about; usually a `dg.AssetSpec` that Dagster does not materialize.
        partitions_def: the windows. Those that have ended are measured; with `end_offset=1` the
            current one is judged too, and reported early.
        warn: failed runs that are still all right.
        error: the same for severity ERROR.
        query: which events, without a time; None is every event of the account.
        check: the name of the check.
        name: the sensor's name; `<asset>_<check>` unless given.
        target: what to run, as in `dg.sensor`.
        lookback: how many windows before the last known one are measured again, and how many a
            sensor without a usable cursor begins with.
        minimum_interval_seconds: the time between two ticks.
        time_budget: seconds after which the request to the service is given up.
        default_status: RUNNING starts the sensor with the code location.
        resource_key: name of the `VectorShiftResource`.

    After a pause of any length every window is caught up with, 500 in a tick. A tick that fails
    keeps its cursor. Raises `SpecError` for unusable limits, and `dg.DagsterInvalidDefinitionError`
    for partitions that are not windows of time, a negative `lookback`, a `time_budget` that is not
    positive, and a query that no aggregation can answer (a data column, OR, a time).
    """
    require_time(partitions_def, "An error count sensor")
    with as_invalid_definition():
        require_measurable(query)
    if lookback < 0 or time_budget <= 0:
        raise dg.DagsterInvalidDefinitionError(
            f"lookback={lookback} is a number of windows, 0 or more, and time_budget={time_budget} a "
            "number of seconds above 0."
        )
    rule = Absolute(metric="errors.sum", warn=warn, error=error)
    key = dg.AssetCheckKey(asset_key_of(asset), check)
    name = name or "_".join([*key.asset_key.path, check])

    @dg.sensor(
        name=name,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        target=target,
        required_resource_keys={resource_key},
        description=f"Counts failed runs for check {check} of {key.asset_key.to_user_string()}.",
    )
    def error_counts(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        account = cast(VectorShiftResource, getattr(context.resources, resource_key))
        now = datetime.now(UTC)
        position = Position.read(context.cursor, now, now)
        windows = _due(partitions_def, position.until, lookback)
        if not windows:
            return dg.SkipReason("No window has ended yet.")
        # A response after the tick would be useless.
        limits = {"total_timeout": min(account.total_timeout, time_budget)}
        with closing(account.model_copy(update=limits)) as bounded:
            scope = scoped(bounded.get_client(), query)
            judging = Judging(rule, list(windows.values()))
            verdicts = {each.window: each for each in judging.ask(scope)}
            versions = {name: verdicts[window].version for name, window in windows.items()}
            news = {name: verdicts[windows[name]] for name in position.news(versions)}
            errors = {} if target is not None else explain(scope, judging, news.values())
        until = min(now, max(window.end for window in windows.values()))
        cursor = position.moved(until, versions, keep=lookback + 1).cursor
        if target is not None:
            return dg.SensorResult(
                run_requests=[
                    _run_request(context.sensor_name, partition, verdict)
                    for partition, verdict in news.items()
                    if not verdict.ok
                ],
                cursor=cursor,
            )
        events: list[dg.AssetObservation | dg.AssetCheckEvaluation] = []
        about = targets(context.instance, key.asset_key, news.keys())
        for partition, verdict in news.items():
            top, it = errors.get(verdict.window), about.get(partition)
            evaluated = evaluation(key, partition, verdict, rule, top, target=it, in_run=False)
            events += [_observation(key.asset_key, partition, verdict), evaluated]
        return dg.SensorResult(
            asset_events=events,
            cursor=cursor,
            skip_reason=f"{len(news)} windows are new or have changed.",
        )

    return error_counts


def _due(partitions_def: Partitions, until: datetime, lookback: int) -> dict[str, Window]:
    """The windows that exist and may have changed, oldest first: those since `until`, and some before."""
    last = partitions_def.get_last_partition_window()
    if last is None:
        return {}
    before = islice(back(partitions_def, until, respect_bounds=False), lookback)
    start = min([until, last.start, *(window.start for window in before)])
    span = dg.TimeWindow(start, last.end)
    keys = partitions_def.get_partition_keys_in_time_window(span)[: lookback + _MOST]
    return {key: Window(*partitions_def.time_window_for_partition_key(key)) for key in keys}


def _observation(asset_key: dg.AssetKey, partition: str, verdict: Verdict) -> dg.AssetObservation:
    return dg.AssetObservation(
        asset_key,
        partition=partition,
        description=verdict.reason,
        metadata={
            "vectorshift/errors_sum": int(verdict.observed or 0),
            "vectorshift/runs_sum": verdict.sample,
            **edges_of(verdict.window),
        },
    )


def _run_request(sensor: str, partition: str, verdict: Verdict) -> dg.RunRequest:
    version = verdict.version
    return dg.RunRequest(
        run_key=f"{sensor}:{verdict.window.label}:{version}",
        partition_key=partition,
        tags={"vectorshift/window": verdict.window.label, "vectorshift/version": version},
    )
