"""Replace one window of a table, in one transaction.

Times are stored as naive TIMESTAMP that holds UTC. DuckDB converts TIMESTAMPTZ through the time
zone of the session, so a process elsewhere would store and delete other hours, and setting the
zone needs an extension that an offline machine may not have (DAGSTER.md 0.7 and 2b).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import duckdb
import pyarrow as pa

from vectorshift_orchestration.errors import RowOutsideWindow, SchemaMismatch, StorageError
from vectorshift_orchestration.storage import ledger as windows_ledger
from vectorshift_orchestration.storage.identifiers import TableName, quoted
from vectorshift_orchestration.tables import first_outside
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_WHOLE = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"})
_TIME_TYPE = "TIMESTAMP"


@dataclass(frozen=True, slots=True)
class Written:
    """What one overwrite did: rows now in the window, rows it had, columns the table gained."""

    rows: int
    deleted: int
    columns_added: tuple[str, ...]


def overwrite_window(
    connection: DuckDBPyConnection,
    table: str,
    window: Window,
    batches: pa.Table | pa.RecordBatchReader | Iterable[pa.RecordBatch],
    *,
    time_column: str,
    schema: pa.Schema | None = None,
    ledger: bool = True,
    key: str | None = None,
    sha256: str | None = None,
    before_commit: Callable[[], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Written:
    """Make `batches` the only rows of `table` whose `time_column` lies in `window`.

    Inside one transaction: create the table on first use, add the columns it lacks, delete the
    window, insert by column name, note the window in the ledger. Columns are never dropped or
    reordered; a column that the rows lack is null. Running it twice leaves the same rows.

    `table` may be `schema.table`. `schema` is needed for a plain iterable, which may be empty.
    `time_column` holds instants: `span_start_time` for events, `bucket_start` for aggregations.
    `key` and `sha256` go into the ledger row. `before_commit` is called when everything is in
    place and may still stop it by raising. `progress` is called with the rows inserted so far.

    Raises `RowOutsideWindow` for a row whose time is missing or outside the window,
    `SchemaMismatch` when a column of the table has another type, and `StorageError` for anything
    the database refuses, a transaction that is already open included. After any error, these or
    the batches' own, the table is as it was. Only DuckDB connections are taken.
    """
    if not isinstance(connection, duckdb.DuckDBPyConnection):
        raise StorageError(
            f"Windows are written to DuckDB connections, not to {type(connection).__name__}."
        )
    target = TableName.parse(table)
    shape, rows = _opened(batches, schema)
    if time_column not in shape.names or not pa.types.is_timestamp(shape.field(time_column).type):
        raise SchemaMismatch(
            f"The rows for {table} have no column of instants named {time_column!r}, so they "
            "belong to no window. Name the column that holds their time."
        )
    checked = (_stored(batch) for batch in _inside(rows, window, time_column, table, progress))
    with _transaction(connection, target, window):
        added = _fit_table(connection, target, _stored_schema(shape))
        deleted = _delete(connection, target, window, time_column)
        inserted = sum(_insert(connection, target, batch) for batch in checked)
        if ledger:
            windows_ledger.record(connection, target, window, rows=inserted, key=key, sha256=sha256)
        if before_commit is not None:
            before_commit()
    return Written(inserted, deleted, added)


def _opened(
    batches: pa.Table | pa.RecordBatchReader | Iterable[pa.RecordBatch], schema: pa.Schema | None
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if isinstance(batches, pa.Table):
        return batches.schema, iter(batches.to_batches())
    if isinstance(batches, pa.RecordBatchReader):
        return batches.schema, iter(batches)
    rows = iter(batches)
    if schema is None:
        first = next(rows, None)
        if first is None:
            raise StorageError("No batch came and no schema was given, so the columns are unknown.")
        return first.schema, chain([first], rows)
    return schema, rows


def _inside(
    batches: Iterator[pa.RecordBatch],
    window: Window,
    time_column: str,
    table: str,
    progress: Callable[[int], None] | None,
) -> Iterator[pa.RecordBatch]:
    """The batches, as long as every row lies in the window."""
    done = 0
    for batch in batches:
        times = batch.column(time_column)
        stray = first_outside(times, window)
        if stray >= 0:
            raise RowOutsideWindow(
                f"Row {done + stray + 1} for {table} has {time_column} "
                f"{times[stray].as_py()}, outside of window {window.label}. No row was changed.",
                row=done + stray + 1,
            )
        yield batch
        done += batch.num_rows
        if progress is not None:
            progress(done)


def _stored_schema(schema: pa.Schema) -> pa.Schema:
    """The same columns with naive UTC times."""
    return pa.schema(
        [
            field.with_type(pa.timestamp(field.type.unit))
            if pa.types.is_timestamp(field.type)
            else field
            for field in schema
        ]
    )


def _stored(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.cast(_stored_schema(batch.schema))


@contextmanager
def _transaction(
    connection: DuckDBPyConnection, table: TableName, window: Window
) -> Iterator[None]:
    what = f"Window {window.label} of {table.sql}"
    if _is_open(connection):
        raise StorageError(
            f"{what} was not changed: a transaction is already open on this connection. Commit it "
            "or roll it back first, or give another connection."
        )
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException as problem:
        _roll_back(connection)
        if isinstance(problem, duckdb.Error):
            raise StorageError(f"{what} was not changed: {problem}") from problem
        raise


def _is_open(connection: DuckDBPyConnection) -> bool:
    """Whether a transaction is open: trying to begin another would abort the caller's."""
    asked = [connection.execute("SELECT txid_current()").fetchone() for _ in range(2)]
    return asked[0] == asked[1]


def _roll_back(connection: DuckDBPyConnection) -> None:
    with suppress(duckdb.Error):  # a failed commit has ended the transaction by itself
        connection.rollback()


@contextmanager
def _registered(connection: DuckDBPyConnection, rows: pa.Table) -> Iterator[str]:
    name = f"_vectorshift_{uuid4().hex}"
    connection.register(name, rows)
    try:
        yield quoted(name)
    finally:
        connection.unregister(name)


def _fit_table(
    connection: DuckDBPyConnection, table: TableName, schema: pa.Schema
) -> tuple[str, ...]:
    """Create the table or add what it lacks; returns the columns that an old table gained."""
    if table.schema_sql is not None:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.schema_sql}")
    with _registered(connection, schema.empty_table()) as incoming:
        wanted = _columns(connection, incoming)
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table.sql} AS FROM {incoming}")
    present = {name.lower(): kind for name, kind in _columns(connection, table.sql).items()}
    missing = [name for name in wanted if name.lower() not in present]
    for name in missing:
        connection.execute(f"ALTER TABLE {table.sql} ADD COLUMN {quoted(name)} {wanted[name]}")
    for name, kind in wanted.items():
        _check_type(table, name, kind, present.get(name.lower(), kind))
    return tuple(missing)


def _columns(connection: DuckDBPyConnection, relation: str) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE {relation}").fetchall()}


def _check_type(table: TableName, name: str, incoming: str, present: str) -> None:
    """DuckDB would round, cut or shift a value to make it fit, so other types are refused."""
    if incoming == present or (incoming in _WHOLE and present in _WHOLE):
        return
    raise SchemaMismatch(
        f"Column {name!r} of {table.sql} is {present}, and the rows bring {incoming}. No row was "
        f"changed. Convert the column with ALTER TABLE, or write to another table."
        + (f" Times are stored as {_TIME_TYPE} in UTC." if incoming.startswith(_TIME_TYPE) else "")
    )


def _delete(
    connection: DuckDBPyConnection, table: TableName, window: Window, time_column: str
) -> int:
    row = connection.execute(
        f"DELETE FROM {table.sql} WHERE {quoted(time_column)} >= ? AND {quoted(time_column)} < ?",
        [windows_ledger.naive(window.start), windows_ledger.naive(window.end)],
    ).fetchone()
    return cast(int, row[0]) if row else 0


def _insert(connection: DuckDBPyConnection, table: TableName, batch: pa.RecordBatch) -> int:
    with _registered(connection, pa.Table.from_batches([batch])) as incoming:
        connection.execute(f"INSERT INTO {table.sql} BY NAME SELECT * FROM {incoming}")
    return cast(int, batch.num_rows)
