"""The rows on their way into a table: checked, counted, and as tables keep them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.errors import RowOutsideWindow, SchemaMismatch, StorageError
from vectorshift_orchestration.storage.column_types import plain, plain_batch
from vectorshift_orchestration.storage.identifiers import listed
from vectorshift_orchestration.storage.parts import SOURCE
from vectorshift_orchestration.tables import first_outside
from vectorshift_orchestration.windows import Window

Batches: TypeAlias = "pa.Table | pa.RecordBatchReader | Iterable[pa.RecordBatch]"


class Incoming:
    """Batches of one window, to be read once. `schema` has the column of the source, if there is one.

    After the last batch, `rows` is their number, and `first` and `last` are the ends of their times
    (None without a row).
    """

    def __init__(
        self,
        batches: Batches,
        schema: pa.Schema | None,
        *,
        table: str,
        window: Window,
        time_column: str,
        source: str | None,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.rows = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._columns, self._batches = _opened(batches, schema)
        self._table, self._window, self._time_column = table, window, time_column
        self._source, self._progress = source, progress
        self._check_columns()
        self.schema = self._columns
        if source is not None:
            self.schema = self._columns.append(pa.field(SOURCE, pa.string()))

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches. Raises `RowOutsideWindow`, and `SchemaMismatch` for other columns than the first's."""
        for batch in self._batches:
            _require_batch(batch)
            if batch.schema.names != self._columns.names:
                raise SchemaMismatch(
                    f"After {self.rows:,} rows for {self._table} a batch has columns "
                    f"{batch.schema.names}, not {self._columns.names}. No row was changed."
                )
            kept = plain_batch(batch, self.rows)
            self._check_times(kept.column(self._time_column))
            if self._source is not None:
                whose = pa.repeat(pa.scalar(self._source, pa.string()), batch.num_rows)
                kept = kept.append_column(SOURCE, whose)
            self._note_times(kept.column(self._time_column))
            yield kept
            self.rows += batch.num_rows
            if self._progress is not None:
                self._progress(self.rows)

    def _check_columns(self) -> None:
        names = self._columns.names
        listed(names)
        if self._source is not None and SOURCE in names:
            raise SchemaMismatch(
                f"The rows for {self._table} have a column {SOURCE!r} already, which source= would "
                "write. Rename it."
            )
        time = self._time_column
        if time not in names or not pa.types.is_timestamp(plain(self._columns.field(time).type)):
            raise SchemaMismatch(
                f"The rows for {self._table} have no column of instants named {time!r}, so they "
                "belong to no window. Name the column that holds their time."
            )

    def _check_times(self, times: pa.Array) -> None:
        stray = first_outside(times, self._window)
        if stray >= 0:
            row = self.rows + stray + 1
            raise RowOutsideWindow(
                f"Row {row} for {self._table} has {self._time_column} {times[stray].as_py()}, "
                f"outside of window {self._window.label}. No row was changed.",
                row=row,
            )

    def _note_times(self, times: pa.Array) -> None:
        ends = pc.min_max(times).as_py()
        first, last = ends["min"], ends["max"]
        if first is not None:
            self.first = first if self.first is None else min(first, self.first)
            self.last = last if self.last is None else max(last, self.last)


def _opened(
    batches: Batches, schema: pa.Schema | None
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if isinstance(batches, pa.Table):
        return batches.schema, iter(batches.to_batches())
    if isinstance(batches, pa.RecordBatchReader):
        return batches.schema, iter(batches)
    if hasattr(batches, "__arrow_c_stream__"):  # a data frame of pandas or polars
        return _opened(pa.RecordBatchReader.from_stream(batches), schema)
    if not isinstance(batches, Iterable):
        _require_batch(batches)
    rows = iter(batches)
    if schema is None:
        first = next(rows, None)
        if first is None:
            raise StorageError("No batch came and no schema was given, so the columns are unknown.")
        _require_batch(first)
        return first.schema, chain([first], rows)
    return schema, rows


def _require_batch(batch: object) -> None:
    if not isinstance(batch, pa.RecordBatch):
        raise StorageError(
            f"Rows come as Arrow batches, not as {type(batch).__name__}. Give a pyarrow.Table, a "
            "reader, an iterable of record batches, or a data frame."
        )
