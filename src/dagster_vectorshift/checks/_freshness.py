"""Whether health arrived in time: a policy for the asset, and checks that know its partitions.

Dagster's freshness policies judge the asset's latest materialization, whatever its partition; a
backfill of old days makes such an asset look fresh. The checks require the latest partition.
"""

import warnings
from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from dagster_vectorshift._partitions import require_time, widest
from dagster_vectorshift.checks._evaluations import CheckedAsset, Partitions, asset_key_of
from dagster_vectorshift.failures import as_invalid_definition
from vectorshift_orchestration.specs.documents import require_list
from vectorshift_orchestration.windows.deadlines import deadline, delay_of


def build_health_freshness_policy(
    partitions_def: Partitions, *, delay: timedelta | None = None
) -> dg.FreshnessPolicy:
    """A policy for assets that are materialized once for each partition.

    Fails when nothing was materialized for as long as a partition lasts plus `delay` (four hours, or
    half of a shorter partition), and warns halfway through the delay. Needs `freshness: {enabled:
    true}` in dagster.yaml. Raises `dg.DagsterInvalidDefinitionError` for a delay that is not
    positive and for partitions that are not windows of time.
    """
    require_time(partitions_def, "A freshness policy")
    width = widest(partitions_def)
    with as_invalid_definition():
        wait = delay_of(delay, width)
    return dg.FreshnessPolicy.time_window(fail_window=width + wait, warn_window=width + wait / 2)


def build_health_freshness_checks(
    assets: Sequence[CheckedAsset],
    *,
    partitions_def: Partitions,
    delay: timedelta | None = None,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN,
) -> Sequence[dg.AssetChecksDefinition]:
    """Checks that fail when the latest partition is not there `delay` after its end.

    `partitions_def` is that of the assets: hourly, daily, weekly or monthly, in any zone. The delay
    is four hours, or half of a shorter partition. Run the checks on a schedule that is not the
    assets' own, or by `dg.build_sensor_for_freshness_checks`. Raises
    `dg.DagsterInvalidDefinitionError` for a delay that is not positive or as long as a partition,
    for partitions of a cadence of their own or of no time at all, and for `assets` that are not a list.
    """
    cadence = require_time(partitions_def, "A freshness check").schedule_type
    if cadence is None:
        raise dg.DagsterInvalidDefinitionError(
            f"Partitions by {partitions_def.cron_schedule!r} are not hourly, daily, weekly or monthly. "
            "Take dg.build_time_partition_freshness_checks with a deadline_cron of your own."
        )
    with as_invalid_definition():
        require_list(assets, "assets")
        wait = delay_of(delay, widest(partitions_def))
        due = deadline(partitions_def.cron_schedule, cadence.name, wait)
    with warnings.catch_warnings():
        # Superseded by freshness policies, which do not know partitions.
        warnings.simplefilter("ignore", dg.SupersessionWarning)
        return dg.build_time_partition_freshness_checks(
            assets=[asset_key_of(asset) for asset in assets],
            deadline_cron=due,
            timezone=partitions_def.timezone,
            severity=severity,
        )
