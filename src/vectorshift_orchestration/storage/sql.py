"""Replace one window of a table, in one transaction, in any database that we can write to.

    begin_attempt -> (export, read) -> overwrite_window:
        lock -> fence -> fit columns -> DELETE -> load -> ledger row -> COMMIT

What differs between databases is in `databases.py` and the modules that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import pyarrow as pa

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import (
    CommitUnknownError,
    RowOutsideWindow,
    SchemaMismatch,
    StorageError,
)
from vectorshift_orchestration.storage import ledger as windows_ledger
from vectorshift_orchestration.storage.column_types import plain_batch
from vectorshift_orchestration.storage.columns import fit
from vectorshift_orchestration.storage.databases import Database, database_of, reading
from vectorshift_orchestration.storage.identifiers import TableName, listed, quoted
from vectorshift_orchestration.storage.ledger import Attempt
from vectorshift_orchestration.storage.locks import Territory
from vectorshift_orchestration.storage.transactions import (
    named,
    refusals,
    require_none_open,
    settle,
    transaction,
)
from vectorshift_orchestration.storage.upsert import upsert
from vectorshift_orchestration.tables import first_outside
from vectorshift_orchestration.windows import Window


@dataclass(frozen=True, slots=True)
class Written:
    """What one write did: rows now in the window, rows it had, columns the table gained."""

    rows: int
    deleted: int
    columns_added: tuple[str, ...]


def begin_attempt(connection: Any, table: str, window: Window) -> Attempt:
    """Note where the window stands before long work on it starts.

    Give the attempt, or its text, to `overwrite_window`: when somebody else has committed the
    window or one that overlaps it in between, that raises `StaleWriterError`. Raises `StorageError`
    when the database refuses or a transaction is open.
    """
    database = database_of(connection)
    target = TableName.parse(table)
    with refusals(database, named(target, window)):
        require_none_open(database, named(target, window))
        with reading(database):
            target = database.resolve(target)
            return windows_ledger.begin(database, target, window)


def overwrite_window(
    connection: Any,
    table: str,
    window: Window,
    batches: pa.Table | pa.RecordBatchReader | Iterable[pa.RecordBatch],
    *,
    time_column: str,
    schema: pa.Schema | None = None,
    mode: Literal["overwrite", "upsert"] = "overwrite",
    key_columns: Sequence[str] = (),
    ledger: bool = True,
    key: str | None = None,
    sha256: str | None = None,
    attempt: Attempt | str | None = None,
    reconnect: Callable[[], Any] | None = None,
    before_commit: Callable[[], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Written:
    """Make `batches` the only rows of `table` whose `time_column` lies in `window`.

    Inside one transaction: lock the window, create the table on first use, add the columns it
    lacks, delete the window, insert by column name, note the window in the ledger. Columns are
    never dropped or reordered; a column that the rows lack is null. Running it twice leaves the
    same rows. `mode="upsert"` deletes only the rows whose `key_columns` (`("span_id",)`) come
    again; of two rows with one key the later stays.

    `connection` is DuckDB, psycopg 3, ADBC to PostgreSQL, or another DB-API connection; no
    transaction may be open on it. `table` may be `schema.table`. `schema` is needed for a plain
    iterable, which may be empty. `time_column` holds instants: `span_start_time` for events,
    `bucket_start` for aggregations. `key` and `sha256` go into the ledger row. `attempt` is from
    `begin_attempt`; without it the attempt begins now. `reconnect` opens another connection to the
    same database, which is asked for the outcome when this one breaks on COMMIT. `before_commit` is
    called when everything is in place and may still stop it by raising. `progress` is called with
    the rows inserted so far.

    Raises `RowOutsideWindow` for a row whose time is missing or outside the window,
    `SchemaMismatch` when a column of the table has another type, `UnstorableValue` for a value that
    the database cannot hold, `StaleWriterError` when another writer was faster, and `StorageError`
    for anything the database refuses, a transaction that is already open included. After any of
    these, or the batches' own error, the rows are as they were. `CommitUnknownError` alone leaves
    it open: the connection broke on COMMIT, and `reconnect` was not given or did not succeed.
    """
    database = database_of(connection)
    target = TableName.parse(table)
    what = named(target, window)
    shape, rows = _opened(batches, schema)
    _require_columns(shape, table, time_column, mode, key_columns)
    checked = _inside(rows, shape, window, time_column, table, progress)
    with refusals(database, what):
        require_none_open(database, what)
        with reading(database):
            target = database.resolve(target)
            own = _attempt(database, target, window, attempt, ledger)
        if not database.transactional_ddl:
            with transaction(database, what, None):
                added = _fit(database, target, shape, ledger)
        try:
            with transaction(database, what, _territory(target, window, mode)):
                failpoint("sql.begun")
                if own is not None:
                    windows_ledger.fence(database, target, window, own)
                if database.transactional_ddl:
                    added = _fit(database, target, shape, ledger)
                if mode == "upsert":
                    deleted = _count(database, target, window, time_column)
                    upsert(database, target, checked, key_columns)
                    inserted = _count(database, target, window, time_column)
                else:
                    deleted = _delete(database, target, window, time_column)
                    failpoint("sql.deleted")
                    inserted = database.load(target, checked)
                if own is not None:
                    windows_ledger.record(
                        database, target, window, own, rows=inserted, key=key, sha256=sha256
                    )
                if before_commit is not None:
                    before_commit()
                failpoint("sql.before_commit")
        except CommitUnknownError as problem:
            if own is None:
                raise
            problem.attempt_token = str(own)
            if reconnect is None:
                raise
            settle(reconnect, target, window, own, problem)
    failpoint("sql.committed")
    return Written(inserted, deleted, added)


def _territory(table: TableName, window: Window, mode: str) -> Territory:
    """A key may be anywhere in the table, so an upsert keeps everybody out."""
    return Territory(table, None if mode == "upsert" else window)


def _attempt(
    database: Database,
    table: TableName,
    window: Window,
    given: Attempt | str | None,
    ledger: bool,
) -> Attempt | None:
    if not ledger:
        if given is not None:
            raise StorageError("An attempt is checked in the ledger: leave out ledger=False.")
        return None
    if given is None:
        return windows_ledger.begin(database, table, window)
    return given if isinstance(given, Attempt) else Attempt.parse(given)


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


def _require_columns(
    shape: pa.Schema, table: str, time_column: str, mode: str, key_columns: Sequence[str]
) -> None:
    listed(shape.names)
    if time_column not in shape.names or not pa.types.is_timestamp(shape.field(time_column).type):
        raise SchemaMismatch(
            f"The rows for {table} have no column of instants named {time_column!r}, so they "
            "belong to no window. Name the column that holds their time."
        )
    if mode not in ("overwrite", "upsert"):
        raise StorageError(f"A window is written by overwrite or by upsert, not by {mode!r}.")
    if (mode == "upsert") != bool(key_columns):
        raise StorageError("An upsert needs key_columns, such as ('span_id',), and only an upsert.")
    missing = [name for name in key_columns if name not in shape.names]
    if missing:
        raise SchemaMismatch(f"The rows for {table} have no key column {missing[0]!r}.")


def _inside(
    batches: Iterator[pa.RecordBatch],
    shape: pa.Schema,
    window: Window,
    time_column: str,
    table: str,
    progress: Callable[[int], None] | None,
) -> Iterator[pa.RecordBatch]:
    """The batches, as long as every row lies in the window and has the columns of the first."""
    done = 0
    for batch in batches:
        if batch.schema.names != shape.names:
            raise SchemaMismatch(
                f"After {done:,} rows for {table} a batch has columns {batch.schema.names}, not "
                f"{shape.names}. No row was changed."
            )
        times = batch.column(time_column)
        stray = first_outside(times, window)
        if stray >= 0:
            raise RowOutsideWindow(
                f"Row {done + stray + 1} for {table} has {time_column} "
                f"{times[stray].as_py()}, outside of window {window.label}. No row was changed.",
                row=done + stray + 1,
            )
        yield plain_batch(batch, done)
        done += batch.num_rows
        if progress is not None:
            progress(done)


def _fit(database: Database, table: TableName, shape: pa.Schema, ledger: bool) -> tuple[str, ...]:
    if ledger:
        windows_ledger.prepare(database, table)
    return fit(database, table, shape)


def _in_window(database: Database, window: Window, time_column: str) -> tuple[str, list[Any]]:
    column = quoted(time_column)
    edges = [database.instant(window.start), database.instant(window.end)]
    return f"{column} >= \0 AND {column} < \0", edges


def _delete(database: Database, table: TableName, window: Window, time_column: str) -> int:
    condition, edges = _in_window(database, window, time_column)
    return database.changed(f"DELETE FROM {table.sql} WHERE {condition}", edges)


def _count(database: Database, table: TableName, window: Window, time_column: str) -> int:
    condition, edges = _in_window(database, window, time_column)
    ((count,),) = database.run(f"SELECT count(*) FROM {table.sql} WHERE {condition}", edges)
    return int(count)
