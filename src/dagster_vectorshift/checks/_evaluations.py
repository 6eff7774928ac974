"""What a check is about, and from partitions to verdicts to what Dagster records of it.

Checks evaluate inside of a run, `build_error_count_sensor` without one; both do it here, so what is
shown and what an alert can read are the same. What is too much is decided in
`vectorshift_orchestration`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Set
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from dagster_vectorshift._partitions import edges_of

if TYPE_CHECKING:
    from vectorshift_orchestration.thresholds.error_messages import TopErrors
    from vectorshift_orchestration.thresholds.rules import Rule
    from vectorshift_orchestration.thresholds.verdicts import Verdict

CheckedAsset: TypeAlias = dg.AssetsDefinition | dg.AssetSpec | dg.AssetKey | str
"""An asset as a definition, a spec, a key, or a text with slashes between the key's parts."""

Partitions = dg.TimeWindowPartitionsDefinition


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


def evaluation(
    check: dg.AssetCheckKey,
    partition: str | None,
    verdict: Verdict,
    rule: Rule,
    errors: TopErrors | None,
    *,
    target: Any,
    blocking: bool = False,
    in_run: bool = True,
) -> dg.AssetCheckEvaluation:
    """The verdict as Dagster records it, about the partition's latest materialization (see `targets`).

    A severity means nothing while a check passes. Without a run Dagster records one evaluation for
    each partition, ever, and refuses the next; so the partition is then in the metadata only.
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
        target_materialization_data=target,
    )


def _metadata(
    partition: str | None, verdict: Verdict, rule: Rule, errors: TopErrors | None
) -> dict[str, Any]:
    """What the check page shows and an alert reads; an infinite observation has no number."""
    observed = verdict.observed
    shown: dict[str, Any] = {
        "vectorshift/partition": partition,
        "vectorshift/state": verdict.state.replace("_", " "),
        "vectorshift/observed": observed
        if observed is not None and math.isfinite(observed)
        else None,
        "vectorshift/limit": verdict.limit,
        "vectorshift/sample": verdict.sample,
        **edges_of(verdict.window),
        "vectorshift/rule": dg.MetadataValue.json(rule.to_dict()),
    }
    if errors is not None:
        shown["vectorshift/failed_events"] = errors.failed
        shown["vectorshift/top_errors"] = dg.MetadataValue.table(
            [dg.TableRecord({"count": count, "message": text}) for text, count in errors.messages],
            dg.TableSchema([dg.TableColumn("count", "int"), dg.TableColumn("message", "string")]),
        )
    return {name: value for name, value in shown.items() if value is not None}


def targets(
    instance: dg.DagsterInstance, asset_key: dg.AssetKey, partitions: Set[str | None]
) -> dict[str | None, Any]:
    """The target of each partition's evaluation: its latest materialization, all read at once.

    Dagster clears a partition's check status when this is unknown. The class has no public name, but
    its serialized form is read back by a public function.
    """
    if not partitions:
        return {}
    keys = [each for each in partitions if each is not None]
    query = dg.AssetRecordsFilter(asset_key, asset_partitions=keys or None)
    records = instance.fetch_materializations(query, limit=len(partitions)).records
    latest = {
        each.partition_key if keys else None: dg.deserialize_value(
            json.dumps(
                {
                    "__class__": "AssetCheckEvaluationTargetMaterializationData",
                    "run_id": each.run_id,
                    "storage_id": each.storage_id,
                    "timestamp": each.timestamp,
                }
            )
        )
        for each in reversed(records)
    }
    if len(records) == len(partitions):  # some may be of one partition, and there may be more
        for missing in partitions - latest.keys():
            latest |= targets(instance, asset_key, {missing})
    return latest
