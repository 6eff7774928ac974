"""Rows that replace those with the same key, wherever they are in the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.errors import UnstorableValue
from vectorshift_orchestration.storage.databases import Database
from vectorshift_orchestration.storage.identifiers import TableName

_PLACE = "\0place"  # no column of a table can have this name


def upsert(
    database: Database, table: TableName, batches: Iterable[pa.RecordBatch], keys: Sequence[str]
) -> None:
    """Delete the rows that have a key of the batches, insert the batches; the last of a key stays.

    Raises `UnstorableValue` for a row that lacks a key.
    """
    rows = 0
    for batch in batches:
        for name in keys:
            if batch.column(name).null_count:
                row = rows + pc.index(batch.column(name).is_null(), True).as_py() + 1
                raise UnstorableValue(
                    f"Row {row} for {table.sql} has no {name}, by which it would be found again. "
                    "No row was changed.",
                    row=row,
                    column=name,
                )
        rows += batch.num_rows
        last = _last_of_each(batch, keys)
        database.delete_keys(table, last.select(list(keys)))
        database.load(table, [last])


def _last_of_each(batch: pa.RecordBatch, keys: Sequence[str]) -> pa.RecordBatch:
    places = pa.array(range(batch.num_rows), pa.int64())
    found = pa.table([*(batch.column(name) for name in keys), places], [*keys, _PLACE])
    last = found.group_by(list(keys)).aggregate([(_PLACE, "max")]).column(f"{_PLACE}_max")
    if len(last) == batch.num_rows:
        return batch
    return batch.take(last.combine_chunks().sort())
