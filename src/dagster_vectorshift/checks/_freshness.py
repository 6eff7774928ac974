"""Whether health arrived in time: a policy for the asset, and checks that know its partitions.

Dagster's freshness policies look at the asset's latest materialization, whichever partition it was
of; a backfill of old days makes such an asset look fresh. The checks ask for the latest partition.
"""

import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg

from dagster_vectorshift._options import require_several
from dagster_vectorshift._partitions import require_time
from dagster_vectorshift.checks._assets import CheckedAsset, asset_key_of
from dagster_vectorshift.checks._evaluations import Partitions

_DELAY = timedelta(hours=4)
_SHORT_MONTH = 28
_UNITS = {
    "HOURLY": ("minute_of_hour",),
    "DAILY": ("minute_of_hour", "hour_of_day"),
    "WEEKLY": ("minute_of_hour", "hour_of_day", "day_of_week"),
    "MONTHLY": ("minute_of_hour", "hour_of_day", "day_of_month"),
}


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
    width = _width(partitions_def)
    wait = _delay(delay, width)
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
    if cadence is None or cadence.name not in _UNITS:
        raise dg.DagsterInvalidDefinitionError(
            f"Partitions by {partitions_def.cron_schedule!r} are not hourly, daily, weekly or monthly. "
            "Take dg.build_time_partition_freshness_checks with a deadline_cron of your own."
        )
    width = _width(partitions_def)
    wait = _delay(delay, width)
    if wait >= (timedelta(days=_SHORT_MONTH) if cadence.name == "MONTHLY" else width):
        raise dg.DagsterInvalidDefinitionError(
            f"A partition that is due {wait} after its end is due after the next one has ended. "
            "Give a shorter delay."
        )
    due = _first_end(partitions_def) + wait
    if cadence.name == "MONTHLY" and due.day > _SHORT_MONTH:
        raise dg.DagsterInvalidDefinitionError(
            f"Not every month has a day {due.day}, on which the partition would be due. "
            "Give another delay."
        )
    moments = {
        "minute_of_hour": due.minute,
        "hour_of_day": due.hour,
        "day_of_week": due.isoweekday() % 7,
        "day_of_month": due.day,
    }
    return partitions_def.get_cron_schedule(
        **{unit: moments[unit] for unit in _UNITS[cadence.name]}
    )


def _first_end(partitions_def: Partitions) -> datetime:
    """The local end of the first partition."""
    found = partitions_def.get_next_partition_window(partitions_def.start, respect_bounds=False)
    assert found is not None  # without bounds there is always another one
    return found.end


def _width(partitions_def: Partitions) -> timedelta:
    found = partitions_def.get_next_partition_window(partitions_def.start, respect_bounds=False)
    assert found is not None  # as above
    return found.end - found.start


def _delay(delay: timedelta | None, width: timedelta) -> timedelta:
    chosen = min(_DELAY, width / 2) if delay is None else delay
    if chosen <= timedelta(0):
        raise dg.DagsterInvalidDefinitionError(
            f"The delay until a partition is due is a positive time, not {chosen}."
        )
    return chosen
