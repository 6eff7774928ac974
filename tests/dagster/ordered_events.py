"""Events of Dagster's SQLite storage, told in an order in which no daemon can lose a retry.

Dagster 1.13.27 stores "run failed" first, then the run's status, then whether it will be retried, in
three transactions over two files. A daemon that looks in between gives the run up for good: the one
that retries reads each event once, and the one of backfills ends a backfill with nothing to wait for.
Tests that kill dozens of runs meet it; here status and tag are there before the event is.
"""

from dagster import DagsterRunStatus
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.tags import WILL_RETRY_TAG
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
    auto_reexecution_should_retry_run,
)
from dagster._time import datetime_from_timestamp


class OrderedEvents(SqliteEventLogStorage):
    """Tag, status, event."""

    handles_run_events_in_store_event = True

    def store_event(self, event):
        """Store what an event says about its run before the event itself."""
        reported = event.dagster_event
        if reported is not None and reported.is_job_event:
            instance = self._instance
            run = instance.get_run_by_id(event.run_id)
            if reported.is_run_failure and run is not None and instance.run_retries_enabled:
                failed = run.with_status(DagsterRunStatus.FAILURE)
                reason = reported.job_failure_data.failure_reason
                again = auto_reexecution_should_retry_run(instance, failed, reason)
                instance.add_run_tags(event.run_id, {WILL_RETRY_TAG: str(again).lower()})
            instance.run_storage.handle_run_event(
                event.run_id, reported, datetime_from_timestamp(event.timestamp)
            )
        super().store_event(event)
