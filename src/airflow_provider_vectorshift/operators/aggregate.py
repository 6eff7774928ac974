"""An operator: figures of a window, by bucket and slice, in a table, a file, or as its result."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift._arguments import inherited, is_literal
from airflow_provider_vectorshift._context import data_interval, window_of
from airflow_provider_vectorshift._landing import Place
from airflow_provider_vectorshift.errors import failing_fast
from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.operators._writing import WritingOperator
from vectorshift_orchestration.errors import SpecError, WindowError
from vectorshift_orchestration.values import as_json

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vectorshift.analytics import Query
    from vectorshift_orchestration.specs import AggregationSpec
    from vectorshift_orchestration.windows import Window

MOST_ROWS = 1_000
"""The most rows of a task's result; more belong in a table or a file."""

_SUFFIX = ".parquet"


class VectorShiftAggregateOperator(WritingOperator):
    """Measures a window and lands the figures in a table, a Parquet file, or both.

    It sends one request, however long the window, also for thirty days in buckets of a day. The
    rows replace those of the window in `table`, in one transaction, and the file appears in one
    step, so running it again leaves the same rows. A row has `bucket_start`, a column for each
    dimension, and one for each metric (`latency.p95` becomes `latency_p95`).

    The result (XCom) is small: `window`, `rows`, `table`, `deleted`, `uri`, `bytes`, `sha256`. The
    assets among `outlets` get it as the extra of their events. Without a table and a file it is the
    rows themselves, a list of dicts, as long as they are at most 1,000.

    Args:
        metrics: what to measure: `runs.sum`, `latency.p95`, `error_rate`, ...
        group_by: dimensions besides time: `pipeline_id`, `model_id`, ...
        interval: width of the time buckets (hour, day, week, month or year, in UTC); the window
            has to be made of whole ones. None measures the window as one, and `bucket_start` is its
            start; for a table it is the run's own interval then, so that no row stands for two.
        query: which events: a `Query`, what its `to_dict` gives, or None for all.
        destination: path or URI of a Parquet file, `s3://conn_id@bucket/key.parquet` for one with a
            connection.
        table: `name` or `schema.name`, created when it does not exist.
        sql_conn_id: connection to the table's database, see docs/databases.md.
        duckdb_path: DuckDB file that holds the table instead.
        lake: lake that holds it instead, `delta:FOLDER` or `iceberg:CATALOG`.
        source: a name that the rows bear in column `source_name`, as in `VectorShiftExportOperator`.
        replace_other: replace the rows of another query or account, as there.
        replace_characters: write U+FFFD for what no text holds, as there.
        start: start of the window, an aware datetime or ISO 8601 text; the data interval's by
            default.
        end: its end, exclusive; the data interval's by default.
        lookback: how many earlier windows to measure again, for late events: in buckets together with
            it, without them each by itself, in a request of its own. Needs a table then.
        vectorshift_conn_id: connection of type `vectorshift`.

    Raises, as `AirflowFailException` without retries: an unknown metric, dimension or interval, a
    refused key or query, a window that is missing, naive or cuts a bucket, a missing connection, a
    table that cannot take the rows, a result that is too long, mapped tasks with one target.
    Anything else fails the try, and retries apply. In every case no row and no file has changed.
    """

    template_fields: Sequence[str] = (
        *WritingOperator.template_fields,
        "metrics",
        "group_by",
        "interval",
    )

    def __init__(
        self,
        *,
        metrics: Sequence[str],
        group_by: Sequence[str] = (),
        interval: str | None = None,
        query: "Query | Mapping[str, Any] | None" = None,
        destination: str | os.PathLike[str] | None = None,
        table: str | None = None,
        sql_conn_id: str | None = None,
        duckdb_path: str | os.PathLike[str] | None = None,
        lake: str | None = None,
        source: str | None = None,
        replace_other: bool = False,
        replace_characters: bool = False,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        lookback: int | str = 0,
        vectorshift_conn_id: str = VectorShiftHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**inherited(locals()), **kwargs)
        self.metrics = as_json(metrics)
        self.group_by = as_json(group_by)
        self.interval = interval
        self._check_target()
        if is_literal([self.metrics, self.group_by, interval]):
            self._spec()

    def execute(self, context: "Context") -> dict[str, Any] | list[dict[str, Any]]:
        """Measure, and land the rows."""
        with failing_fast(self._name):
            spec, windows = self._spec(), self._windows(context)
            self._check_target()
            self._require_own_target(context)
            with self._client() as client:
                with self._checking("query="):
                    query = self._bound_query(client)
                if not self._has_target:
                    return self._listed(query, windows, spec)
                landed = self._landed(query, windows, spec)
            self._report(context, landed)
            return landed

    # --- the request ---

    def _spec(self) -> "AggregationSpec":
        from vectorshift_orchestration.specs import AggregationSpec

        with self._checking("metrics=, group_by= or interval="):
            group_by = self.group_by
            if self.interval is not None and not isinstance(group_by, str):
                group_by = tuple(dict.fromkeys(["time", *group_by]))
            return AggregationSpec(self.metrics, group_by, self.interval)

    @property
    def _has_target(self) -> bool:
        return self.place != Place()

    def _check_target(self) -> None:
        """Raise `SpecError` unless it is clear where to land; values that are not known yet pass."""
        if not self._has_target:
            return
        self.place.check(self._name)
        file = self.destination
        if isinstance(file, str) and is_literal(file) and not file.endswith(_SUFFIX):
            raise SpecError(
                f"{self._name}: destination= is a Parquet file, so its name ends in {_SUFFIX}, not as "
                f"in {file!r}."
            )

    def _windows(self, context: "Context") -> "list[Window]":
        """The windows to measure: one in buckets, or without buckets each interval.

        Raises `SpecError` for several intervals in one figure, which would replace the rows of
        each.
        """
        if self.interval is not None:
            return [self._window(context)]
        window = window_of(context, self.start, self.end)
        before = window.earlier(self.intervals_before)
        if before and self.destination is not None:
            raise SpecError(
                f"{self._name}: lookback= measures several intervals, and destination= names the file "
                "of one. Land in table=, or give interval= to have buckets in one file."
            )
        if self.table is not None:
            self._require_one_interval(context, window)
        return [*before, window]

    def _require_one_interval(self, context: "Context", window: "Window") -> None:
        try:
            first, last = data_interval(context)
        except WindowError:
            return  # a run without an interval has the start and end of its arguments: one window
        own = window_of(context, first, last)
        if window != own and window.start <= own.start and own.end <= window.end:
            raise SpecError(
                f"{self._name}: from {window.start.isoformat()} to {window.end.isoformat()} is more "
                "than the run's own interval, and without interval= it would be one row that "
                "replaces the rows of earlier runs. Give interval= for buckets, or "
                "lookback= to measure earlier intervals again, each by itself."
            )

    # --- landing ---

    def _landed(
        self, query: "Query", windows: "Sequence[Window]", spec: "AggregationSpec"
    ) -> dict[str, Any]:
        from vectorshift_orchestration.extract import aggregate
        from vectorshift_orchestration.landed import query_key_of, together
        from vectorshift_orchestration.tables import BUCKET_TIME

        landed = self.place.landing().write_measured(
            windows,
            lambda: {window: aggregate(query, window, spec) for window in windows},
            time_column=BUCKET_TIME,
            query_key=query_key_of(query.to_dict(), self.account),
        )
        total = together([landed[window] for window in windows])
        self.log.info("Landed %s rows of %s", total.rows, total.window.label)
        return total.to_json()

    def _listed(
        self, query: "Query", windows: "Sequence[Window]", spec: "AggregationSpec"
    ) -> list[dict[str, Any]]:
        from vectorshift_orchestration.extract import aggregate
        from vectorshift_orchestration.tables import json_rows

        rows = [row for window in windows for row in json_rows(aggregate(query, window, spec))]
        if len(rows) > MOST_ROWS:
            raise SpecError(
                f"{self._name}: the result has {len(rows):,} rows, and a task returns {MOST_ROWS:,} at "
                "most. Give table= or destination=, or slice by less."
            )
        return rows
