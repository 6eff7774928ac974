"""The rows on their way into a table: checked, counted, and as tables keep them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, chain
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.errors import RowOutsideWindow, SchemaMismatch, StorageError
from vectorshift_orchestration.storage.column_types import plain, plain_batch
from vectorshift_orchestration.storage.databases import as_utc
from vectorshift_orchestration.storage.identifiers import listed
from vectorshift_orchestration.storage.parts import SOURCE
from vectorshift_orchestration.tables import first_outside
from vectorshift_orchestration.windows import Window

Batches: TypeAlias = "pa.Table | pa.RecordBatchReader | Iterable[pa.RecordBatch]"


@dataclass(slots=True)
class Span:
    """How many rows a window has, and the ends of their times in UTC (None without a row)."""

    rows: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def add(self, rows: int, first: datetime | str, last: datetime | str) -> None:
        """Count rows whose times have these ends."""
        first, last = as_utc(first), as_utc(last)
        self.rows += rows
        self.first = first if self.first is None else min(first, self.first)
        self.last = last if self.last is None else max(last, self.last)


class Incoming:
    """Batches of one window, or of several in a row, to be read once.

    `schema` has the column of the source, if there is one. With several windows, `lengths` says how
    many of the rows are of each, in order. After the last batch, `rows` is their number, and `sent`
    has the rows and times of each window.
    """

    def __init__(
        self,
        batches: Batches,
        schema: pa.Schema | None,
        *,
        table: str,
        windows: Sequence[Window],
        lengths: Sequence[int] | None = None,
        time_column: str,
        source: str | None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.rows = 0
        self.sent = [Span() for _ in windows]
        self._ends = None if lengths is None else list(accumulate(lengths))
        self._columns, self._batches = _opened(batches, schema)
        self._table, self._windows, self._time_column = table, windows, time_column
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
            loadable = plain_batch(batch, self.rows)
            self._note_times(loadable.column(self._time_column))
            if self._source is not None:
                whose = pa.repeat(pa.scalar(self._source, pa.string()), batch.num_rows)
                loadable = loadable.append_column(SOURCE, whose)
            yield loadable
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

    def _note_times(self, times: pa.Array) -> None:
        """Tell of each window's rows. Raises `RowOutsideWindow` for one that is not in its window."""
        for place, first, several in self._apart(times):
            if not len(several):
                continue
            ends = pc.min_max(several).as_py()
            window = self._windows[place]
            if several.null_count or not (
                window.start <= as_utc(ends["min"]) and as_utc(ends["max"]) < window.end
            ):
                stray = first_outside(several, window)
                row = self.rows + first + stray + 1
                raise RowOutsideWindow(
                    f"Row {row} for {self._table} has {self._time_column} {several[stray].as_py()}, "
                    f"outside of window {window.label}. No row was changed.",
                    row=row,
                )
            self.sent[place].add(len(several), ends["min"], ends["max"])

    def _apart(self, times: pa.Array) -> Iterator[tuple[int, int, pa.Array]]:
        """The times of a batch by window: its place, the first of them, and all of them."""
        if self._ends is None:
            yield 0, 0, times
            return
        first = 0
        for place, end in enumerate(self._ends):
            count = min(end - self.rows, len(times)) - first
            if count > 0:
                yield place, first, times.slice(first, count)
                first += count


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
