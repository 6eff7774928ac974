"""What one run of health assets has measured, how it is kept and how it is judged."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg

from dagster_vectorshift._partitions import span
from dagster_vectorshift.evaluations import evaluation, scoped
from dagster_vectorshift.metadata import partition_metadata, table_metadata, told_figures
from dagster_vectorshift.tables import BUCKET_TIME, ErrorTable, HealthCheck, HealthTable, Table
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from dagster_vectorshift.resource import VectorShiftResource
    from dagster_vectorshift.storage.protocol import TableStorage
    from vectorshift.analytics import Query
    from vectorshift_orchestration.thresholds.verdicts import Verdict

HISTORY = 30
"""How many partitions a trend shows."""


@dataclass(frozen=True)
class HealthSet:
    """The tables and checks of one `build_health_assets`, by the keys that Dagster knows them by."""

    tables: Mapping[dg.AssetKey, Table]
    checks: Mapping[dg.AssetCheckKey, HealthCheck]
    lineages: Mapping[str, dg.TableColumnLineage]
    partitions_def: dg.TimeWindowPartitionsDefinition
    query: "Query | None"
    share_requests: bool
    as_type: str


class Output(Protocol):
    """Where a table goes: to a storage, or to Dagster as the asset's value."""

    def __call__(
        self, table: Table, rows: "pa.Table", parts: "Mapping[Window, pa.Table]"
    ) -> "tuple[dict[str, Any], Callable[[Window], Mapping[str, Any]], dict[str, Any]]":
        """Keep the rows; metadata of the table, of each window, and arguments of the result."""


@dataclass
class Health:
    """The measured tables of one run, for the body of `@vectorshift_health_assets`.

    `tables` has the rows of each selected table by its name, over all partitions of the run, and
    may be changed before `materialize` keeps them. `requests` says what they cost.
    """

    context: dg.AssetExecutionContext
    windows: Mapping[str, Window]
    tables: "dict[str, pa.Table]"
    requests: int
    _set: HealthSet
    _output: Output
    _judged: "dict[dg.AssetCheckKey, list[Verdict]]"

    def materialize(self) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckEvaluation]:
        """Keep every table partition by partition and tell about each; then judge the checks.

        Each check gives one evaluation for each partition. When one that blocks has failed with
        ERROR, Dagster fails the step in the end, so nothing downstream runs.
        """
        for key, table in self._set.tables.items():
            if table.name in self.tables:
                yield self._kept(key, table, self.tables[table.name])
        for check_key, verdicts in self._judged.items():
            check = self._set.checks[check_key]
            for partition_key, verdict in zip(self.windows, verdicts, strict=True):
                yield evaluation(
                    check_key,
                    partition_key,
                    verdict,
                    check.rule,
                    None,
                    blocking=check.blocking,
                    instance=self.context.instance,
                )

    def _kept(self, key: dg.AssetKey, table: Table, rows: "pa.Table") -> dg.MaterializeResult[Any]:
        parts = _cut(rows, list(self.windows.values()))
        shared, of_window, result = self._output(table, rows, parts)
        past = _history(self.context, key, table, self._set.partitions_def, self.windows)
        for partition_key, window in self.windows.items():
            told = partition_metadata(window, parts[window], table, past[-HISTORY + 1 :])
            past.append(_figures(told))
            self.context.add_asset_metadata(
                {**told, **of_window(window)}, asset_key=key, partition_key=partition_key
            )
        return dg.MaterializeResult(
            asset_key=key,
            metadata={**shared, "vectorshift/requests": self.requests},
            data_version=dg.DataVersion(_fingerprint(rows)),
            **result,
        )


def measure(
    context: dg.AssetExecutionContext,
    health_set: HealthSet,
    account: "VectorShiftResource",
    windows: Mapping[str, Window],
    output: Output,
) -> Health:
    """Ask the service for every selected table and check of a run, in as few requests as are exact.

    Raises `RowOutsideWindow` for a bucket that nobody asked for, and the errors of
    `shared_requests.aggregate_many` and `error_messages`.
    """
    from vectorshift_orchestration.aggregates.shared_requests import Answers, aggregate_many
    from vectorshift_orchestration.tables import require_buckets_inside
    from vectorshift_orchestration.thresholds.error_messages import error_messages

    partitions = list(windows.values())
    keys = context.selected_asset_keys
    tables = [table for key, table in health_set.tables.items() if key in keys]
    judgements = {
        key: check.judge(partitions, health_set.partitions_def)
        for key, check in health_set.checks.items()
        if key in context.selected_asset_check_keys
    }
    query = scoped(account.get_client(), health_set.query)
    messages = {
        table.name: error_messages(query, partitions, limit=table.limit)
        for table in tables
        if isinstance(table, ErrorTable)
    }
    measured = [table for table in tables if isinstance(table, HealthTable)]
    specs = [table.spec for table in measured] + [
        each.question.spec for each in judgements.values()
    ]
    asked = span([*partitions, *(each.question.window for each in judgements.values())])
    share = health_set.share_requests
    answers = aggregate_many(query, asked, specs, share=share) if specs else Answers([], 0)
    for answer in answers.tables:
        require_buckets_inside(answer, asked)
    if answers.apart:
        context.log.warning(
            "%s, so tables were asked for one by one: %d requests.", answers.apart, answers.requests
        )
    run = span(partitions)
    rows = {
        table.name: _cut(answer, [run])[run]
        for table, answer in zip(measured, answers.tables, strict=False)
    }
    judged = zip(judgements.items(), answers.tables[len(measured) :], strict=True)
    return Health(
        context,
        windows,
        rows | {name: found.table for name, found in messages.items()},
        answers.requests + sum(found.requests for found in messages.values()),
        health_set,
        output,
        {key: judgement.verdicts(answer) for (key, judgement), answer in judged},
    )


def to_storage(health_set: HealthSet, storage: "TableStorage", ui_url: str | None) -> Output:
    """An output that writes to a storage, each partition at once."""

    def keep(
        table: Table, rows: "pa.Table", parts: "Mapping[Window, pa.Table]"
    ) -> "tuple[dict[str, Any], Callable[[Window], Mapping[str, Any]], dict[str, Any]]":
        written = storage.overwrite(table.table_name, parts)
        shared = table_metadata(
            rows.schema,
            health_set.lineages[table.name],
            table=table,
            uri=storage.locate(table.table_name),
            storage_kind=storage.kind,
            ui_url=ui_url,
        )

        def of_window(window: Window) -> dict[str, Any]:
            return {
                "vectorshift/rows_replaced": written[window].deleted,
                "dagster/uri": storage.locate(table.table_name, window),
            }

        return shared, of_window, {}

    return keep


def to_io_manager(health_set: HealthSet, ui_url: str | None) -> Output:
    """An output that hands the rows of all partitions to Dagster, with naive UTC times."""
    from dagster_vectorshift.frames import converted

    def keep(
        table: Table, rows: "pa.Table", parts: "Mapping[Window, pa.Table]"
    ) -> "tuple[dict[str, Any], Callable[[Window], Mapping[str, Any]], dict[str, Any]]":
        value = converted(rows, health_set.as_type)
        lineage = health_set.lineages[table.name]
        shared = table_metadata(
            rows.schema, lineage, table=table, uri=None, storage_kind=None, ui_url=ui_url
        )
        return shared, lambda _: {}, {"value": value}

    return keep


def _cut(rows: "pa.Table", windows: Sequence[Window]) -> "dict[Window, pa.Table]":
    """The rows of each window; rows come in order of time."""
    starts = rows[BUCKET_TIME].to_pylist()
    edges = {
        window: (bisect_left(starts, window.start), bisect_left(starts, window.end))
        for window in windows
    }
    return {window: rows.slice(first, end - first) for window, (first, end) in edges.items()}


def _history(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    table: Table,
    partitions_def: dg.TimeWindowPartitionsDefinition,
    windows: Mapping[str, Window],
) -> list[dict[str, float]]:
    """The figures of the partitions just before this run's, as their materializations tell them."""
    wanted: list[str] = []
    start = next(iter(windows.values())).start
    while len(wanted) < HISTORY - 1:
        before = partitions_def.get_prev_partition_window(start)
        if before is None:
            break
        wanted.insert(0, partitions_def.get_partition_key_for_timestamp(before.start.timestamp()))
        start = before.start
    if not wanted:
        return []
    found: dict[str, dict[str, float]] = {}
    records = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(key, asset_partitions=wanted), limit=HISTORY * 3
    ).records
    for record in reversed(records):
        event = record.asset_materialization
        if event is not None and event.partition is not None:
            found[event.partition] = told_figures(event.metadata, table)
    return [found[name] for name in wanted if name in found]


def _figures(told: Mapping[str, Any]) -> dict[str, float]:
    return {
        name.removeprefix("vectorshift/"): value
        for name, value in told.items()
        if isinstance(value, int | float)
    }


def _fingerprint(rows: "pa.Table") -> str:
    """A version that is equal for equal rows, in any process."""
    import hashlib
    import json

    rendered = json.dumps(rows.to_pylist(), default=str, separators=(",", ":"))
    return hashlib.sha256(f"{rows.schema}|{rendered}".encode()).hexdigest()[:16]
