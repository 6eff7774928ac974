"""Whether health arrived in time: a policy for the asset, and checks that know its partitions.

Dagster's freshness policies look at the asset's latest materialization, whichever partition it was
of; a backfill of old days makes such an asset look fresh. The checks ask for the latest partition.
"""

import warnings
from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from dagster_vectorshift._options import require_several
from dagster_vectorshift._partitions import require_time, sampled
from dagster_vectorshift.checks._assets import CheckedAsset, asset_key_of
from dagster_vectorshift.checks._evaluations import Partitions
from vectorshift_orchestration.windows.crons import settled

_DELAY = timedelta(hours=4)
_MINUTE = timedelta(minutes=1)
_CADENCES = {
    "HOURLY": timedelta(hours=1),
    "DAILY": timedelta(days=1),
    "WEEKLY": timedelta(days=7),
    "MONTHLY": timedelta(days=28),
}
"""How long a partition lasts at the least, by the clock."""


def build_health_freshness_policy(
    partitions_def: Partitions, *, delay: timedelta | None = None
) -> dg.FreshnessPolicy:
    """A policy for assets that are materialized once for each partition.

    Fails when nothing was materialized for as long as a partition lasts plus `delay` (four hours, or
    half of a shorter partition), and warns halfway through the delay. Needs `freshness: {enabled:
    true}` in dagster.yaml. Raises `dg.DagsterInvalidDefinitionError` for a delay that is not
    positive and for partitions that are no windows of time.
    """
    require_time(partitions_def, "A freshness policy")
    width, wait = _widest(partitions_def), _delay(delay, partitions_def)
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
    for partitions of a cadence of their own or of no time at all, and for `assets` that are no list.
    """
    require_several(assets, "assets")
    require_time(partitions_def, "A freshness check")
    with warnings.catch_warnings():
        # Superseded by freshness policies, which do not know partitions.
        warnings.simplefilter("ignore", dg.SupersessionWarning)
        return dg.build_time_partition_freshness_checks(
            assets=[asset_key_of(asset) for asset in assets],
            deadline_cron=_deadline(partitions_def, delay),
            timezone=partitions_def.timezone,
            severity=severity,
        )


def _deadline(partitions_def: Partitions, delay: timedelta | None) -> str:
    """When the partition that has just ended should be there, as a cron expression."""
    cadence = partitions_def.schedule_type
    if cadence is None or cadence.name not in _CADENCES:
        raise dg.DagsterInvalidDefinitionError(
            f"Partitions by {partitions_def.cron_schedule!r} are not hourly, daily, weekly or monthly. "
            "Take dg.build_time_partition_freshness_checks with a deadline_cron of your own."
        )
    wait = _delay(delay, partitions_def)
    if wait >= _CADENCES[cadence.name]:
        raise dg.DagsterInvalidDefinitionError(
            f"A partition that is due {wait} after its end is due after the next one has ended. "
            "Give a shorter delay."
        )
    found = settled(partitions_def.cron_schedule, wait)
    if found is None:
        raise dg.DagsterInvalidDefinitionError(
            f"Not every month has a day on which a partition would be due after {wait}. "
            "Give another delay."
        )
    return found


def _widest(partitions_def: Partitions) -> timedelta:
    """The width of the widest partition: months and the days of a zone differ."""
    return max(window.width for window in sampled(partitions_def))


def _delay(delay: timedelta | None, partitions_def: Partitions) -> timedelta:
    chosen = min(_DELAY, _widest(partitions_def) / 2) if delay is None else delay
    if chosen < _MINUTE:
        raise dg.DagsterInvalidDefinitionError(
            f"The delay until a partition is due is positive, a minute or more, not {chosen}."
        )
    return chosen // _MINUTE * _MINUTE
