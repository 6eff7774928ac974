"""What one run of health assets has measured, how it is kept and how it is judged."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import dagster as dg

from dagster_vectorshift._partitions import span
from dagster_vectorshift.checks._evaluations import evaluation, scoped
from dagster_vectorshift.failures import require_none
from dagster_vectorshift.health._checks import HealthCheck
from dagster_vectorshift.health._metadata import (
    fingerprint,
    partition_metadata,
    table_metadata,
    told_figures,
)
from dagster_vectorshift.health._options import HealthOptions
from dagster_vectorshift.health._outputs import Output
from dagster_vectorshift.tables import (
    BUCKET_TIME,
    ErrorTable,
    HealthTable,
    Table,
)
from dagster_vectorshift.translator import HealthTableProps
from vectorshift.errors import VectorshiftError
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from dagster_vectorshift.resource import VectorShiftResource
    from vectorshift_orchestration.thresholds.verdicts import Verdict

HISTORY = 30
"""How many partitions a trend shows."""


@dataclass(frozen=True)
class HealthSet:
    """The tables and checks of one `build_health_assets`, by the keys that Dagster knows them by."""

    options: HealthOptions
    specs: Mapping[dg.AssetKey, dg.AssetSpec]
    tables: Mapping[dg.AssetKey, Table]
    checks: Mapping[dg.AssetCheckKey, HealthCheck]
    lineages: Mapping[str, dg.TableColumnLineage]

    @classmethod
    def of(cls, options: HealthOptions) -> Self:
        """The set that the options describe."""
        translator = options.get_translator()
        specs = {
            table.name: options.spec(HealthTableProps(table, options.query))
            for table in options.tables
        }
        checks = {
            dg.AssetCheckKey(specs[check.table].key, check.check_name): check
            for check in options.checks
        }
        return cls(
            options,
            {spec.key: spec for spec in specs.values()},
            {specs[table.name].key: table for table in options.tables},
            checks,
            {table.name: translator.get_column_lineage(table) for table in options.tables},
        )


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
    ui_url: str | None
    _set: HealthSet
    _output: Output
    _judged: "dict[dg.AssetCheckKey, list[Verdict]]"

    def materialize(self) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckEvaluation]:
        """Keep every table partition by partition and tell about each; then judge the checks.

        Each check gives one evaluation for each partition. When one that blocks has failed with
        ERROR, Dagster fails the step in the end, so nothing downstream runs.
        """
        failed: dict[str, VectorshiftError] = {}
        for key, table in self._set.tables.items():
            if table.name in self.tables:
                yield from self._kept(key, table, self.tables[table.name], failed)
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
        require_none(failed, len(self.windows))

    def _kept(
        self,
        key: dg.AssetKey,
        table: Table,
        rows: "pa.Table",
        failed: dict[str, VectorshiftError],
    ) -> Iterator[dg.MaterializeResult[Any]]:
        """Keep a table; of one that could not be kept whole, only the partitions that were are told."""
        parts = _cut(rows, list(self.windows.values()))
        kept = self._output.keep(table, rows, parts)
        failed |= {
            f"{table.name}, partition {partition}": kept.failed[window]
            for partition, window in self.windows.items()
            if window in kept.failed
        }
        shared = {
            **table_metadata(rows.schema, self._set.lineages[table.name], table),
            **kept.table,
            "vectorshift/requests": self.requests,
        }
        if self.ui_url is not None:
            shared["vectorshift/ui"] = dg.MetadataValue.url(self.ui_url)
        past = _history(self.context, key, table, self._set.options.partitions_def, self.windows)
        for partition, window in self.windows.items():
            told = partition_metadata(window, parts[window], table, past[-HISTORY + 1 :])
            past.append(_figures(told))
            told = {**told, **kept.windows.get(window, {})}
            if not kept.failed:
                self.context.add_asset_metadata(told, asset_key=key, partition_key=partition)
            elif window not in kept.failed:
                self.context.log_event(
                    dg.AssetMaterialization(key, partition=partition, metadata={**shared, **told})
                )
        if not kept.failed:
            version = dg.DataVersion(fingerprint(rows))
            yield dg.MaterializeResult(
                asset_key=key, metadata=shared, data_version=version, **kept.value
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
    from vectorshift_orchestration.extract.shared_requests import Answers, aggregate_many
    from vectorshift_orchestration.tables import require_buckets_inside
    from vectorshift_orchestration.thresholds.error_messages import error_messages

    partitions = list(windows.values())
    keys = context.selected_asset_keys
    tables = [table for key, table in health_set.tables.items() if key in keys]
    judgings = {
        key: check.judging(partitions, health_set.options.partitions_def)
        for key, check in health_set.checks.items()
        if key in context.selected_asset_check_keys
    }
    for table in tables:
        output.begin(table, partitions)
    query = scoped(account.get_client(), health_set.options.query)
    messages = {
        table.name: error_messages(query, partitions, limit=table.limit)
        for table in tables
        if isinstance(table, ErrorTable)
    }
    measured = [table for table in tables if isinstance(table, HealthTable)]
    specs = [table.spec for table in measured] + [each.question.spec for each in judgings.values()]
    asked = span([*partitions, *(each.question.window for each in judgings.values())])
    share = health_set.options.share_requests
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
    judged = zip(judgings.items(), answers.tables[len(measured) :], strict=True)
    return Health(
        context,
        windows,
        rows | {name: found.table for name, found in messages.items()},
        answers.requests + sum(found.requests for found in messages.values()),
        account.ui_url,
        health_set,
        output,
        {key: judging.verdicts(answer.to_pylist()) for (key, judging), answer in judged},
    )


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
