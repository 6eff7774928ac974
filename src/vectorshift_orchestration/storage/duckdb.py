"""DuckDB: Arrow batches inserted by column name.

Times are stored as naive TIMESTAMP that holds UTC. DuckDB converts TIMESTAMPTZ through the time
zone of the session, so a process elsewhere would store and delete other hours, and setting the
zone needs an extension that an offline machine may not have.

One process at a time can write a DuckDB file, so the lock that keeps two writers apart is one of
this process. It covers a table, not a window: two transactions would not run faster than one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain
from typing import Any, cast
from uuid import uuid4

import duckdb
import pyarrow as pa

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.identifiers import (
    TableName,
    listed,
    marked,
    not_a_table,
    quoted,
)
from vectorshift_orchestration.storage.locks import Territory

_WHOLE = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"})
_TIMES = ("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP", "TIMESTAMP_NS")
"""Each holds every value of those before it."""

_DECIMAL = re.compile(r"DECIMAL\(\d+,(\d+)\)")
_writers: dict[tuple[str, ...], threading.RLock] = {}


class DuckDB:
    """An open DuckDB connection."""

    errors: tuple[type[Exception], ...] = (duckdb.Error,)
    transactional_ddl = True
    exact_texts = True
    is_tested = True
    time_type = "TIMESTAMP"

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._held: threading.RLock | None = None

    def fold(self, name: str) -> str:
        return name.lower()

    def resolve(self, table: TableName) -> TableName:
        """With its database: a schema of the same name would make the name ambiguous.

        Raises `StorageError` for a catalog of another kind, whose writers elsewhere nothing here keeps away.
        """
        ((database, schema),) = self.run("SELECT current_database(), current_schema()")
        database = table.database or database
        kinds = self.run(
            "SELECT type FROM duckdb_databases() WHERE lower(database_name) = lower(\0)", [database]
        )
        for (kind,) in kinds:
            if kind != "duckdb":
                raise StorageError(
                    f"{table.sql} was not changed: {database} is a catalog of type {kind}, and through "
                    "DuckDB tables are written in DuckDB's own files only. Give a connection of that "
                    "database's own driver, or land Parquet files."
                )
        return TableName(table.name, table.schema or schema, database)

    def is_open(self) -> bool:
        # Trying to begin another transaction would abort the caller's.
        ids = [self.run("SELECT txid_current()") for _ in range(2)]
        return ids[0] == ids[1]

    def is_lost(self) -> bool:
        return False  # the database is in this process: a COMMIT that failed was not done

    def begin(self, territory: Territory | None = None) -> None:
        if territory is not None:
            lock = _writers.setdefault(self._territory(territory.table), threading.RLock())
            lock.acquire()
            self._held = lock
        self._connection.begin()

    def commit(self) -> None:
        self._connection.commit()
        self._release()

    def rollback(self) -> None:
        with suppress(duckdb.Error):  # a failed commit has ended the transaction by itself
            self._connection.rollback()
        self._release()

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(marked(statement, "qmark"), list(values)).fetchall()

    def changed(self, statement: str, values: Sequence[Any] = ()) -> int:
        ((count,),) = self.run(statement, values)
        return cast(int, count)

    def columns(self, table: TableName) -> dict[str, str] | None:
        rows = self.run(
            "SELECT column_name, data_type, (database_name, schema_name, table_name) IN "
            "(SELECT (database_name, schema_name, view_name) FROM duckdb_views()) "
            "FROM duckdb_columns() WHERE lower(table_name) = \0 AND lower(schema_name) = \0 "
            "AND lower(database_name) = lower(coalesce(\0, current_database())) "
            "ORDER BY column_index",
            [table.name.lower(), (table.schema or "").lower(), table.database],
        )
        if any(is_view for *_, is_view in rows):
            raise not_a_table(table, "view")
        return {name: kind for name, kind, _ in rows} or None

    def types(self, schema: pa.Schema) -> dict[str, str]:
        with self._registered(_stored_schema(schema).empty_table()) as incoming:
            return {row[0]: row[1] for row in self.run(f"DESCRIBE {incoming}")}

    def accepts(self, incoming: str, present: str) -> bool:
        if incoming in _WHOLE and present in _WHOLE:
            return True
        if incoming in _TIMES and present in _TIMES:
            return _TIMES.index(incoming) <= _TIMES.index(present)
        new, old = _DECIMAL.fullmatch(incoming), _DECIMAL.fullmatch(present)
        # Digits before the point that do not fit are an error; those after it would be rounded.
        return new is not None and old is not None and int(old[1]) >= int(new[1])

    def create(self, table: TableName, types: dict[str, str], primary_key: Sequence[str]) -> None:
        columns = [f"{quoted(name)} {_column_type(kind)}" for name, kind in types.items()]
        if primary_key:
            columns.append(f"PRIMARY KEY ({listed(primary_key)})")
        self.run(f"CREATE SCHEMA IF NOT EXISTS {table.schema_sql}")
        self.run(f"CREATE TABLE IF NOT EXISTS {table.sql} ({', '.join(columns)})")

    def add_column(self, table: TableName, name: str, kind: str) -> None:
        self.run(
            f"ALTER TABLE {table.sql} ADD COLUMN IF NOT EXISTS {quoted(name)} {_column_type(kind)}"
        )

    def instant(self, instant: datetime) -> datetime:
        return instant.astimezone(UTC).replace(tzinfo=None)

    def instant_text(self, column: str) -> str:
        return column

    def load(self, table: TableName, batches: Iterable[pa.RecordBatch]) -> int:
        # A stream, not table by table: DuckDB holds each Arrow table it read until the transaction ends.
        stream = _Stream(batches)
        if stream.schema is None:
            return 0
        reader = pa.RecordBatchReader.from_batches(stream.schema, stream)
        try:
            with self._registered(reader) as incoming:
                insert = f"INSERT INTO {table.sql} BY NAME SELECT * FROM {incoming}"
                return self.changed(insert)
        except duckdb.Error:
            if stream.problem is not None:
                raise stream.problem from None
            raise

    def _territory(self, table: TableName) -> tuple[str, ...]:
        rows = self.run(
            "SELECT path FROM duckdb_databases() WHERE database_name = coalesce(\0, "
            "current_database())",
            [table.database],
        )
        path = str(rows[0][0] if rows else "")
        return path, (table.schema or "").lower(), table.name.lower()

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.release()

    @contextmanager
    def _registered(self, rows: pa.Table | pa.RecordBatchReader) -> Iterator[str]:
        name = f"_vectorshift_{uuid4().hex}"
        self._connection.register(name, rows)
        try:
            yield quoted(name)
        finally:
            with suppress(duckdb.Error):  # an aborted transaction refuses, and would hide its cause
                self._connection.unregister(name)


class _Stream:
    """Batches on their way into one statement; what they raise is kept, because DuckDB passes on only its text."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = iter(batches)
        self._first = next(self._batches, None)
        self.schema = None if self._first is None else _stored_schema(self._first.schema)
        self.problem: BaseException | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in chain([self._first], self._batches):
                yield batch.cast(self.schema)
                failpoint("sql.loading")
        except BaseException as problem:
            self.problem = problem
            raise


def _column_type(kind: str) -> str:
    """A new column takes times of any unit, whichever the first rows have."""
    return DuckDB.time_type if kind in _TIMES else kind


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


def _stored(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch.cast(_stored_schema(batch.schema))])
