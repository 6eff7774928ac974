"""From partitions to verdicts to what Dagster records of a check.

Checks evaluate inside of a run, `build_error_count_sensor` without one; both do it here, so what is
shown and what an alert can read are the same. What is too much is decided in
`vectorshift_orchestration`.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_vectorshift._partitions import earlier_windows
from vectorshift.errors import VectorshiftError
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.thresholds.error_messages import TopErrors, top_errors
from vectorshift_orchestration.thresholds.judging import Judging, is_about_errors
from vectorshift_orchestration.thresholds.rules import Rule
from vectorshift_orchestration.thresholds.verdicts import Verdict
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.analytics import Query

Partitions = dg.TimeWindowPartitionsDefinition
_EXPLAINED = 5
_log = logging.getLogger(__name__)


def judge(
    query: Query,
    rule: Rule,
    windows: Sequence[Window],
    partitions_def: Partitions | None = None,
) -> dict[Window, Verdict]:
    """The verdict on each window, in one request where one answers all.

    What came before a window is the partitions before it, or windows of its width. Raises the
    errors of `Judging.ask`.
    """
    before = Window.earlier if partitions_def is None else partial(earlier_windows, partitions_def)
    return dict(zip(windows, Judging(rule, windows, before).ask(query), strict=True))


def explain(query: Query, rule: Rule, verdicts: Iterable[Verdict]) -> dict[Window, TopErrors]:
    """The commonest error messages of windows with too many errors: the latest five of them.

    One request for each; none for windows that are all right, and for rules about anything else. A
    breach whose messages cannot be had is told without them.
    """
    errors = {}
    breached = sorted(each.window for each in verdicts if not each.ok)
    for window in breached[-_EXPLAINED:] if is_about_errors(rule) else ():
        try:
            errors[window] = top_errors(query, window)
        except VectorshiftError as problem:
            _log.warning("The error messages of %s could not be read: %s", window.label, problem)
    return errors


def scoped(client: Client, query: Query | None) -> Query:
    """The query as the account's own; None is every event. An awaiting query becomes a blocking one."""
    from vectorshift.analytics import Query

    return client.query() if query is None else Query.from_dict(query.to_dict(), client)


def require_measurable(query: Query | None) -> None:
    """Raise `dg.DagsterInvalidDefinitionError` for a query that no aggregation of a window answers."""
    from vectorshift_orchestration.specs import measurable

    _defined(measurable.require_measurable, query)


def require_timeless(query: Query | None) -> None:
    """Raise `dg.DagsterInvalidDefinitionError` for a query with a time, which is the partition's."""
    from vectorshift_orchestration.specs import measurable

    _defined(measurable.require_timeless, query)


def _defined(require: Callable[[Query | None], None], query: Query | None) -> None:
    try:
        require(query)
    except SpecError as problem:
        raise dg.DagsterInvalidDefinitionError(str(problem)) from None


def evaluation(
    check: dg.AssetCheckKey,
    partition: str | None,
    verdict: Verdict,
    rule: Rule,
    errors: TopErrors | None,
    *,
    instance: dg.DagsterInstance,
    blocking: bool = False,
    in_run: bool = True,
) -> dg.AssetCheckEvaluation:
    """The verdict as Dagster records it, about the partition's latest materialization.

    A severity means nothing while a check passes. Without a run Dagster records one evaluation for
    each partition, ever, and refuses the next; so the partition is then told in the metadata only.
    """
    return dg.AssetCheckEvaluation(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=verdict.ok,
        severity=dg.AssetCheckSeverity[verdict.severity or "WARN"],
        description=verdict.reason,
        metadata=_metadata(None if in_run else partition, verdict, rule, errors),
        blocking=blocking,
        partition=partition if in_run else None,
        target_materialization_data=_latest(instance, check.asset_key, partition),
    )


def _metadata(
    told_partition: str | None, verdict: Verdict, rule: Rule, errors: TopErrors | None
) -> dict[str, Any]:
    """What the check page shows and an alert reads; an infinite observation has no number."""
    observed = verdict.observed
    shown: dict[str, Any] = {
        "vectorshift/partition": told_partition,
        "vectorshift/state": verdict.state.replace("_", " "),
        "vectorshift/observed": observed
        if observed is not None and math.isfinite(observed)
        else None,
        "vectorshift/limit": verdict.limit,
        "vectorshift/sample": verdict.sample,
        "vectorshift/window_start": dg.MetadataValue.timestamp(verdict.window.start),
        "vectorshift/window_end": dg.MetadataValue.timestamp(verdict.window.end),
        "vectorshift/rule": dg.MetadataValue.json(rule.to_dict()),
    }
    if errors is not None:
        shown["vectorshift/failed_events"] = errors.failed
        shown["vectorshift/top_errors"] = dg.MetadataValue.table(
            [dg.TableRecord({"count": count, "message": text}) for text, count in errors.messages],
            dg.TableSchema([dg.TableColumn("count", "int"), dg.TableColumn("message", "string")]),
        )
    return {name: value for name, value in shown.items() if value is not None}


def _latest(instance: dg.DagsterInstance, asset_key: dg.AssetKey, partition: str | None) -> Any:
    """What the evaluation is about. Dagster clears a partition's check status when this is unknown.

    The class has no public name, but its serialized form is read back by a public function.
    """
    partitions = None if partition is None else [partition]
    asked = dg.AssetRecordsFilter(asset_key, asset_partitions=partitions)
    records = instance.fetch_materializations(asked, limit=1).records
    if not records:
        return None
    found = {
        "__class__": "AssetCheckEvaluationTargetMaterializationData",
        "run_id": records[0].run_id,
        "storage_id": records[0].storage_id,
        "timestamp": records[0].timestamp,
    }
    return dg.deserialize_value(json.dumps(found))
