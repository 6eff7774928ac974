"""The evaluations of checks that an instance has recorded, of all code locations, as alerts.

Works for every check, whoever wrote it; checks of this package fill in the figures.

They are read by time, never by storage id: with Dagster's default storage, SQLite, each run counts
its events by itself, so the ids of later evaluations may be smaller than those of earlier ones.
"""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from vectorshift_orchestration.thresholds.alerts import Alert
from vectorshift_orchestration.windows import Window

TIME_BUDGET = 40.0
"""Seconds that a tick may take: two thirds of what Dagster allows it by default (60 s,
DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS). What it did not get to is the next tick's."""

_LONGEST_RUN = timedelta(days=2)
"""SQLite has one file for each run, and those of runs that changed before this are not opened."""


def evaluated(
    instance: dg.DagsterInstance, after: datetime, before: datetime | None = None
) -> Iterator[tuple[dg.AssetCheckEvaluation, Alert]]:
    """The evaluations recorded after `after` and before `before`, each with the alert that it is if it failed.

    They are in order, oldest first.
    """
    query = dg.EventRecordsFilter(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        after_cursor=dg.RunShardedEventsCursor(id=0, run_updated_after=after - _LONGEST_RUN),
        after_timestamp=after.timestamp(),
        before_timestamp=None if before is None else before.timestamp(),
    )
    with warnings.catch_warnings():
        # It goes away in Dagster 2, which is beyond our range; no other public API exists.
        warnings.simplefilter("ignore", DeprecationWarning)
        records = instance.get_event_records(query)
    entries = [record.event_log_entry for record in records]
    for entry in sorted(entries, key=lambda entry: entry.timestamp):
        if (evaluation := entry.asset_check_evaluation) is not None:
            yield evaluation, _alert(evaluation, instant(entry.timestamp), entry.run_id or None)


def instant(timestamp: Any) -> datetime:
    """POSIX seconds as a UTC time."""
    return datetime.fromtimestamp(timestamp, UTC)


def _alert(evaluation: dg.AssetCheckEvaluation, at: datetime, run_id: str | None) -> Alert:
    metadata = {name: getattr(value, "value", None) for name, value in evaluation.metadata.items()}
    start, end = (metadata.get(f"vectorshift/window_{edge}") for edge in ("start", "end"))
    # Without a run, the partition is in the metadata (see `_evaluations.evaluation`).
    partition = evaluation.partition or metadata.get("vectorshift/partition")
    return Alert(
        asset=evaluation.asset_key.to_user_string(),
        check=evaluation.check_name,
        partition=None if partition is None else str(partition),
        severity=evaluation.severity.value,
        evaluated_at=at,
        reason=evaluation.description or "",
        run_id=run_id,
        window=Window(instant(start), instant(end)) if start and end else None,
        observed=metadata.get("vectorshift/observed"),
        limit=metadata.get("vectorshift/limit"),
        sample=metadata.get("vectorshift/sample"),
        top_errors=_messages(evaluation.metadata.get("vectorshift/top_errors")),
    )


def _messages(table: Any) -> tuple[tuple[str, int], ...]:
    """The rows of the table of error messages of one of our checks."""
    if not isinstance(table, dg.TableMetadataValue):
        return ()
    rows = [(record.data["message"], record.data["count"]) for record in table.records]
    return tuple((str(text), count) for text, count in rows if isinstance(count, int))
