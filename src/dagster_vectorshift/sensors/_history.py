"""The evaluations of checks that an instance has recorded, of all code locations, in order.

They are read by time, never by storage id: with Dagster's default storage, SQLite, each run counts
its events by itself, so the ids of later evaluations may be smaller than those of earlier ones.
"""

import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

TIME_BUDGET = 40.0
"""Seconds that a tick may take: two thirds of what Dagster allows it unless told otherwise (60 s,
DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS). What it did not get to is the next tick's."""

_LONGEST_RUN = timedelta(days=2)
"""SQLite has one file for each run, and those of runs that changed before this are not opened."""


@dataclass(frozen=True)
class Recorded:
    """An evaluation, when it was recorded (UTC), and the run that made it, if any."""

    evaluation: dg.AssetCheckEvaluation
    at: datetime
    run_id: str | None


def recorded(
    instance: dg.DagsterInstance, after: datetime, before: datetime | None = None
) -> list[Recorded]:
    """The evaluations recorded after `after` and before `before`, oldest first."""
    asked = dg.EventRecordsFilter(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        after_cursor=dg.RunShardedEventsCursor(id=0, run_updated_after=after - _LONGEST_RUN),
        after_timestamp=after.timestamp(),
        before_timestamp=None if before is None else before.timestamp(),
    )
    with warnings.catch_warnings():
        # To be gone in Dagster 2, which is beyond our range; there is no other public way.
        warnings.simplefilter("ignore", DeprecationWarning)
        records = instance.get_event_records(asked)
    found = [
        Recorded(evaluation, datetime.fromtimestamp(entry.timestamp, UTC), entry.run_id or None)
        for entry in (record.event_log_entry for record in records)
        if (evaluation := entry.asset_check_evaluation) is not None
    ]
    return sorted(found, key=lambda each: each.at)
