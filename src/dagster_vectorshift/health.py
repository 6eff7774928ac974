"""What one run of health assets has measured, how it is kept and how it is judged."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

import dagster as dg

from dagster_vectorshift._partitions import span
from dagster_vectorshift.metadata import partition_metadata, table_metadata, told_totals
from dagster_vectorshift.tables import HealthCheck, HealthTable
from vectorshift_orchestration.errors import RowOutsideWindow
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from dagster_vectorshift.resource import VectorShiftResource
    from dagster_vectorshift.storage.protocol import TableStorage
    from vectorshift.analytics import Query
    from vectorshift_orchestration.measures import Figures
    from vectorshift_orchestration.verdicts import Verdict

HISTORY = 30
"""How many partitions a trend shows."""


@dataclass(frozen=True)
class HealthSet:
    """The tables and checks of one `build_health_assets`, by the keys that Dagster knows them by."""

    tables: Mapping[dg.AssetKey, HealthTable]
    checks: Mapping[dg.AssetCheckKey, HealthCheck]
    lineages: Mapping[dg.AssetKey, dg.TableColumnLineage]
    partitions_def: dg.TimeWindowPartitionsDefinition
    query: "Query | None"
    share_requests: bool
    as_type: str

    def earlier(self, check: HealthCheck, windows: Sequence[Window]) -> list[Window]:
        """The windows before the first one that a check compares with."""
        from vectorshift_orchestration.rules import Baseline, Change

        rule = check.rule
        wanted = rule.windows if isinstance(rule, Baseline) else int(isinstance(rule, Change))
        found: list[Window] = []
        start = windows[0].start
        while len(found) < wanted:
            before = self.partitions_def.get_prev_partition_window(start, respect_bounds=False)
            if before is None:
                break
            found.insert(0, Window(before.start, before.end))
            start = found[0].start
        return found


class Output(Protocol):
    """Where a table goes: to a storage, or to Dagster as the asset's value."""

    def __call__(
        self, table: HealthTable, rows: "pa.Table", parts: "Mapping[Window, pa.Table]"
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
    _breached: list[str] = field(default_factory=list)

    def materialize(self) -> Iterator[dg.MaterializeResult[Any]]:
        """Keep every table partition by partition and tell about each; then judge the checks.

        Raises `dg.Failure` that allows no retries when a blocking check failed with ERROR. All
        tables are kept by then, and nothing downstream runs.
        """
        for key, table in self._set.tables.items():
            if table.name in self.tables and key in self.context.selected_asset_keys:
                yield self._kept(key, table, self.tables[table.name])
        for check_key, verdicts in self._judged.items():
            self._tell(check_key, self._set.checks[check_key], verdicts)
        if self._breached:
            raise dg.Failure(
                "A blocking check failed, so nothing downstream runs. " + " ".join(self._breached),
                allow_retries=False,
            )

    def _kept(
        self, key: dg.AssetKey, table: HealthTable, rows: "pa.Table"
    ) -> dg.MaterializeResult[Any]:
        parts = _cut(rows, list(self.windows.values()))
        shared, of_window, result = self._output(table, rows, parts)
        past = _history(self.context, key, table, self._set.partitions_def, self.windows)
        for partition_key, window in self.windows.items():
            told = partition_metadata(window, parts[window], table.spec, past[-HISTORY + 1 :])
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

    def _tell(
        self, key: dg.AssetCheckKey, check: HealthCheck, verdicts: "Sequence[Verdict]"
    ) -> None:
        """One evaluation for each partition: a result of the step would be one for all of them."""
        for partition_key, verdict in zip(self.windows, verdicts, strict=True):
            severity = dg.AssetCheckSeverity[verdict.severity or "ERROR"]
            told = {"observed": verdict.observed, "limit": verdict.limit, "sample": verdict.sample}
            self.context.log_event(
                dg.AssetCheckEvaluation(
                    asset_key=key.asset_key,
                    check_name=key.name,
                    passed=verdict.ok,
                    severity=severity,
                    description=verdict.reason,
                    blocking=check.blocking,
                    partition=partition_key,
                    metadata={
                        "vectorshift/state": verdict.state,
                        "vectorshift/window_start": dg.MetadataValue.timestamp(verdict.window.start),
                        "vectorshift/window_end": dg.MetadataValue.timestamp(verdict.window.end),
                        **{
                            f"vectorshift/{name}": value
                            for name, value in told.items()
                            if value is not None
                        },
                    },
                )
            )
            if check.blocking and not verdict.ok and severity is dg.AssetCheckSeverity.ERROR:
                self._breached.append(verdict.reason)


def measure(
    context: dg.AssetExecutionContext,
    health_set: HealthSet,
    account: "VectorShiftResource",
    windows: Mapping[str, Window],
    output: Output,
) -> Health:
    """Ask the service for every selected table and check of a run, in as few requests as are exact.

    Raises `RowOutsideWindow` for a bucket that nobody asked for, and the errors of
    `shared_requests.aggregate_many`.
    """
    from vectorshift.analytics import Query
    from vectorshift_orchestration.shared_requests import aggregate_many
    from vectorshift_orchestration.verdicts import verdict

    partitions = list(windows.values())
    keys = context.selected_asset_keys
    tables = [table for key, table in health_set.tables.items() if key in keys]
    checks = {
        key: check
        for key, check in health_set.checks.items()
        if key in context.selected_asset_check_keys
    }
    before = {key: health_set.earlier(check, partitions) for key, check in checks.items()}
    questions = {key: check.question(partitions, before[key]) for key, check in checks.items()}
    asked = span([*partitions, *(window for each in before.values() for window in each)])
    client = account.get_client()
    # Read anew, an awaiting query becomes a blocking one.
    scoped = (
        client.query()
        if health_set.query is None
        else Query.from_dict(health_set.query.to_dict(), client)
    )
    specs = [table.spec for table in tables] + [each.spec for each in questions.values()]
    answers = aggregate_many(scoped, asked, specs, share=health_set.share_requests)
    for answer in answers.tables:
        _require_inside(answer, asked)
    if answers.apart:
        context.log.warning(
            "%s, so tables were asked for one by one: %d requests.", answers.apart, answers.requests
        )
    found = dict(zip([table.name for table in tables], answers.tables, strict=False))
    run = span(partitions)
    judged = {}
    for (key, question), answer in zip(
        questions.items(), answers.tables[len(tables) :], strict=True
    ):
        figures = question.read(answer)
        judged[key] = [
            verdict(checks[key].rule, window, _last(figures, len(before[key]), index))
            for index, window in enumerate(partitions)
        ]
    return Health(
        context,
        windows,
        {name: _within(rows, run) for name, rows in found.items()},
        answers.requests,
        health_set,
        output,
        judged,
    )


def to_storage(
    health_set: HealthSet, storage: "TableStorage", ui_url: str | None
) -> Output:
    """An output that writes to a storage, each partition at once."""

    def keep(
        table: HealthTable, rows: "pa.Table", parts: "Mapping[Window, pa.Table]"
    ) -> "tuple[dict[str, Any], Callable[[Window], Mapping[str, Any]], dict[str, Any]]":
        written = storage.overwrite(table.table_name, parts)
        shared = table_metadata(
            rows.schema,
            _lineage(health_set, table),
            table=table.table_name,
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
        table: HealthTable, rows: "pa.Table", parts: "Mapping[Window, pa.Table]"
    ) -> "tuple[dict[str, Any], Callable[[Window], Mapping[str, Any]], dict[str, Any]]":
        value = converted(rows, health_set.as_type)
        lineage = _lineage(health_set, table)
        shared = table_metadata(
            rows.schema, lineage, table=table.table_name, uri=None, storage_kind=None, ui_url=ui_url
        )
        return shared, lambda _: {}, {"value": value}

    return keep


def _lineage(health_set: HealthSet, table: HealthTable) -> dg.TableColumnLineage:
    return next(
        health_set.lineages[key] for key, each in health_set.tables.items() if each is table
    )


def _last(figures: "Sequence[Figures]", earlier: int, index: int) -> "Sequence[Figures]":
    """The figures of a partition, after those of the `earlier` windows before it."""
    return figures[index : index + earlier + 1]


def _cut(rows: "pa.Table", windows: Sequence[Window]) -> "dict[Window, pa.Table]":
    """The rows of each window; rows come in order of time."""
    from vectorshift_orchestration.tables import BUCKET_TIME

    starts = rows[BUCKET_TIME].to_pylist()
    edges = {window: (bisect_left(starts, window.start), bisect_left(starts, window.end)) for window in windows}
    return {window: rows.slice(first, end - first) for window, (first, end) in edges.items()}


def _within(rows: "pa.Table", window: Window) -> "pa.Table":
    return _cut(rows, [window])[window]


def _require_inside(rows: "pa.Table", window: Window) -> None:
    from vectorshift_orchestration.tables import BUCKET_TIME, first_outside

    stray = first_outside(rows[BUCKET_TIME].combine_chunks(), window)
    if stray >= 0:
        raise RowOutsideWindow(
            f"The service answered with a bucket that starts at {rows[BUCKET_TIME][stray]}, "
            f"outside of {window.label}. Nothing was written.",
            row=stray + 1,
        )


def _history(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    table: HealthTable,
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
            found[event.partition] = told_totals(event.metadata, table.spec)
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


def account_of(context: dg.AssetExecutionContext, name: str) -> "VectorShiftResource":
    """The account that a step uses."""
    return cast("VectorShiftResource", getattr(context.resources, name))
