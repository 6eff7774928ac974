"""The sensor between the two assets of an export: which exports are ready to land.

The key of a run that it asks for holds the request and the attempt. So a landing that failed is tried
again, after a pause that grows, and an export that is requested again has its own tries.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_vectorshift.exports._options import TwoPhaseExportOptions
from dagster_vectorshift.sensors._history import TIME_BUDGET
from vectorshift.errors import AnalyticsNotFound, VectorshiftError
from vectorshift.export_tasks import export_state

if TYPE_CHECKING:
    from dagster_vectorshift.resource import VectorShiftResource
    from vectorshift import Client

TASK = "vectorshift/task_id"
"""Metadata of a request: the service's id of the export."""

_REQUEST = "vectorshift/request"
_PAGE = 500
_OPEN_FOR = timedelta(days=31)
"""How long a request stays open; the service's file is gone long before."""

_TRIES = 5
_PAUSE = timedelta(minutes=1)


@dataclass(frozen=True)
class Request:
    """An export that a run requested and that has not landed since."""

    partition: str
    task_id: str
    run_id: str

    @property
    def name(self) -> str:
        """A name that no other request has."""
        return f"{self.task_id}:{self.partition}:{self.run_id}"

    def attempt(self, instance: dg.DagsterInstance, now: datetime) -> int | None:
        """The number of the landing that is due; None while one is under way, too soon or given up."""
        runs = instance.get_run_records(dg.RunsFilter(tags={_REQUEST: self.name}), limit=_TRIES)
        if not runs:
            return 1
        ended = runs[0].end_time
        if not runs[0].dagster_run.is_finished or ended is None or len(runs) >= _TRIES:
            return None
        pause = _PAUSE * 2 ** (len(runs) - 1)
        return len(runs) + 1 if datetime.fromtimestamp(ended, UTC) + pause <= now else None


def ready_sensor(
    options: TwoPhaseExportOptions,
    name: str,
    requested: dg.AssetKey,
    landing: dg.AssetKey,
    job: Any,
) -> dg.SensorDefinition:
    """Asks for a run of `landing` for each export of `requested` that the service is done with."""

    @dg.sensor(
        name=name,
        job=job,
        minimum_interval_seconds=options.minimum_interval_seconds,
        default_status=options.default_status,
        required_resource_keys={options.resource_key},
        description=f"Runs {landing.to_user_string()} for exports that are ready.",
    )
    def export_ready(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        account: VectorShiftResource = getattr(context.resources, options.resource_key)
        waiting = open_requests(context.instance, requested, landing)
        deadline, problems = time.monotonic() + TIME_BUDGET, list[Exception]()
        # The first are those that the last tick did not get to.
        waiting.sort(key=lambda each: (each.partition <= (context.cursor or ""), each.partition))
        runs, looked_at = list[dg.RunRequest](), context.cursor
        for request in waiting:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            looked_at = request.partition
            attempt = request.attempt(context.instance, datetime.now(UTC))
            if attempt is None:
                continue
            try:
                if is_pending(account.get_client(), request.task_id, remaining):
                    continue
            except VectorshiftError as problem:  # one failed poll does not end the others
                problems.append(problem)
                continue
            runs.append(
                dg.RunRequest(
                    run_key=f"{request.name}:{attempt}",
                    partition_key=request.partition,
                    tags={_REQUEST: request.name},
                )
            )
        if problems and not runs:
            raise problems[-1]
        for each in problems:
            context.log.warning("An export could not be looked at: %s", each)
        reason = None if runs else f"{len(waiting)} exports are pending."
        return dg.SensorResult(run_requests=runs, skip_reason=reason, cursor=looked_at)

    return export_ready


def open_requests(
    instance: dg.DagsterInstance, requested: dg.AssetKey, landing: dg.AssetKey
) -> list[Request]:
    """Every export that was requested and has not landed since; reports of others are skipped."""
    landed: dict[str, float] = {}
    for record in _materializations(instance, landing):
        landed.setdefault(record.partition_key, record.timestamp)
    latest: dict[str, Request | None] = {}
    for record in _materializations(instance, requested):
        event, partition = record.asset_materialization, record.partition_key
        task = None if event is None else event.metadata.get(TASK)
        if task is None or partition in latest:
            continue
        is_open = record.timestamp > landed.get(partition, 0.0)
        latest[partition] = Request(partition, str(task.value), record.run_id) if is_open else None
    return [each for each in latest.values() if each is not None]


def _materializations(instance: dg.DagsterInstance, asset: dg.AssetKey) -> Iterator[Any]:
    """The materializations of partitions of the last month, latest first."""
    query = dg.AssetRecordsFilter(asset, after_timestamp=time.time() - _OPEN_FOR.total_seconds())
    cursor, has_more = None, True
    while has_more:
        page = instance.fetch_materializations(query, limit=_PAGE, cursor=cursor)
        cursor, has_more = page.cursor, page.has_more
        yield from (record for record in page.records if record.partition_key is not None)


def is_pending(client: "Client", task_id: str, seconds: float) -> bool:
    """Whether the service is still at it; a failed and an unknown task are for the landing to mend."""
    try:
        return export_state(client.export_task(task_id, timeout=seconds)) == "pending"
    except AnalyticsNotFound:
        return False
