"""What one run of health assets has measured, how it is kept and how it is judged."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

import dagster as dg

from dagster_vectorshift._partitions import back
from dagster_vectorshift.checks._evaluations import evaluation, targets
from dagster_vectorshift.failures import require_none
from dagster_vectorshift.health._checks import HealthCheck
from dagster_vectorshift.health._metadata import (
    figures_in,
    partition_metadata,
    table_metadata,
)
from dagster_vectorshift.health._options import HealthOptions
from dagster_vectorshift.health._outputs import Output
from dagster_vectorshift.tables import Table
from dagster_vectorshift.translator import HealthTableProps
from vectorshift.errors import VectorshiftError
from vectorshift_orchestration import health
from vectorshift_orchestration.previews import fingerprint
from vectorshift_orchestration.specs.scopes import scoped
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
            table.name: options.spec(
                HealthTableProps(table, options.query, options.storage, options.partitions_def)
            )
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
        """Store every table partition by partition and report each; then judge the checks.

        Each check gives one evaluation for each partition. When one that blocks has failed with
        ERROR, Dagster fails the step in the end, so nothing downstream runs.
        """
        failed: dict[str, VectorshiftError] = {}
        for key, table in self._set.tables.items():
            if table.name in self.tables:
                yield from self._store(key, table, self.tables[table.name], failed)
        for check_key, verdicts in self._judged.items():
            check = self._set.checks[check_key]
            about = targets(self.context.instance, check_key.asset_key, self.windows.keys())
            for partition_key, verdict in zip(self.windows, verdicts, strict=True):
                yield evaluation(
                    check_key,
                    partition_key,
                    verdict,
                    check.rule,
                    None,
                    blocking=check.blocking,
                    target=about.get(partition_key),
                )
        require_none(failed, len(self.windows))

    def _store(
        self,
        key: dg.AssetKey,
        table: Table,
        rows: "pa.Table",
        failed: dict[str, VectorshiftError],
    ) -> Iterator[dg.MaterializeResult[Any]]:
        """Store a table; if some partitions could not be stored, only the others are reported."""
        parts = health.cut(rows, list(self.windows.values()))
        outcome = self._output.keep(table, rows, parts)
        failed |= {
            f"{table.name}, partition {partition}": outcome.failed[window]
            for partition, window in self.windows.items()
            if window in outcome.failed
        }
        shared = {
            **table_metadata(self._set.lineages[table.name], table),
            **outcome.table,
            "vectorshift/requests": self.requests,
        }
        if self.ui_url is not None:
            shared["vectorshift/ui"] = dg.MetadataValue.url(self.ui_url)
        past = _history(self.context, key, table, self._set.options.partitions_def, self.windows)
        for partition, window in self.windows.items():
            past.append(table.figures(parts[window]))
            metadata = partition_metadata(window, parts[window], table, past[-HISTORY:])
            metadata |= outcome.windows.get(window, {})
            if not outcome.failed:
                self.context.add_asset_metadata(metadata, asset_key=key, partition_key=partition)
            elif window not in outcome.failed:
                self.context.log_event(
                    dg.AssetMaterialization(
                        key, partition=partition, metadata={**shared, **metadata}
                    )
                )
        if not outcome.failed:
            version = dg.DataVersion(fingerprint(rows))
            yield dg.MaterializeResult(
                asset_key=key, metadata=shared, data_version=version, **outcome.value
            )


def measure(
    context: dg.AssetExecutionContext,
    health_set: HealthSet,
    account: "VectorShiftResource",
    windows: Mapping[str, Window],
    output: Output,
) -> Health:
    """Ask the service for every selected table and check of a run, in as few requests as are exact.

    Raises the errors of `vectorshift_orchestration.health.measure`.
    """
    keys, options = context.selected_asset_keys, health_set.options
    tables = [table for key, table in health_set.tables.items() if key in keys]
    partitions = list(windows.values())
    judgings = {
        key: check.judging(partitions, options.partitions_def)
        for key, check in health_set.checks.items()
        if key in context.selected_asset_check_keys
    }
    for table in tables:
        output.begin(table, partitions)
    query = scoped(account.get_client(), options.query)
    measured = health.measure(
        query, partitions, tables, list(judgings.values()), share=options.share_requests
    )
    if measured.separate_reason:
        context.log.warning(
            "%s, so tables were requested one by one: %d requests.",
            measured.separate_reason,
            measured.requests,
        )
    return Health(
        context,
        windows,
        measured.tables,
        measured.requests,
        account.ui_url,
        health_set,
        output,
        dict(zip(judgings, measured.verdicts, strict=True)),
    )


def _history(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    table: Table,
    partitions_def: dg.TimeWindowPartitionsDefinition,
    windows: Mapping[str, Window],
) -> list[dict[str, float]]:
    """The figures of the partitions just before this run's, as their materializations record them."""
    before = islice(back(partitions_def, next(iter(windows.values())).start), HISTORY - 1)
    key_of = partitions_def.get_partition_key_for_timestamp
    keys = [key_of(each.start.timestamp()) for each in before][::-1]
    if not keys:
        return []
    figures: dict[str, dict[str, float]] = {}
    records = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(key, asset_partitions=keys), limit=HISTORY * 3
    ).records
    for record in reversed(records):
        event = record.asset_materialization
        if event is not None and event.partition is not None:
            figures[event.partition] = figures_in(event.metadata, table)
    return [figures[name] for name in keys if name in figures]
