"""Snowflake: rows are staged as Parquet files in the user's own stage, and copied in one statement.

Names are what users write without quotes: Snowflake reads those in capitals, so `events` is the table EVENTS.
Instants are TIMESTAMP_NTZ(6) that holds UTC, which no zone of a session shifts. Statements go out with their
values in them as literals, so the driver's `paramstyle`, which the user may set, does not matter.

DDL commits at once, and an UPDATE locks what it changes: a row of `_vectorshift_locks` keeps the writers of
one table apart. Keys are not enforced, and nothing here needs them to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import SchemaMismatch, StorageError
from vectorshift_orchestration.storage.column_types import inexact, is_text
from vectorshift_orchestration.storage.dbapi import LOCKS, DbApi, driver_of
from vectorshift_orchestration.storage.identifiers import (
    VALUE,
    TableName,
    listed,
    quoted,
    respelled,
)
from vectorshift_orchestration.storage.locks import Territory

_DO_NOT_EXIST = (2003, 2043)
_FEW_ROWS, _FEW_BYTES = 100, 64 << 10
_FILE_BYTES = 256 << 20
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_NUMBER = re.compile(r"NUMBER\((\d+), ?(\d+)\)")
_TIME = re.compile(r"TIMESTAMP_NTZ\((\d)\)")
_TEXT = re.compile(r"VARCHAR(\(\d+\))?")
_MOST_DIGITS, _MOST_SCALE = 38, 37


class Snowflake(DbApi):
    """An open connection of Snowflake's connector."""

    exact_texts = True
    is_tested = True
    time_type = "TIMESTAMP_NTZ(6)"

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._has_begun = False
        self.errors = (driver_of(connection).Error,)

    def resolve(self, table: TableName) -> TableName:
        """With database and schema, spelled as Snowflake keeps them. Raises `StorageError` where none is chosen."""
        ((database, schema),) = self._current()
        for name in (database, schema):
            if name is not None and name != _stored_name(name):
                raise StorageError(
                    f"The connection has chosen {quoted(name)}, which was made in quotes and is another than "
                    f"{_stored_name(name)}. Choose a database and a schema whose names need no quotes."
                )
        database, schema = table.database or database, table.schema or schema
        if database is None or schema is None:
            raise StorageError(
                f"The connection has chosen no database or no schema: write database.schema.{table.name}."
            )
        return TableName(*(_stored_name(name) for name in (table.name, schema, database)))

    def is_open(self) -> bool:
        return self.run("SELECT CURRENT_TRANSACTION()") != [(None,)]

    def begin(self, territory: Territory | None = None) -> None:
        if (
            territory is not None
        ):  # a lone statement sees what is committed, and DDL commits at once
            self._require_locks(territory.table.beside(LOCKS))
            self._start()
            self._wait(territory.table)

    def commit(self) -> None:
        if self._has_begun:
            self.run("COMMIT")
            self._has_begun = False

    def rollback(self) -> None:
        if self._has_begun:
            self._has_begun = False
            with suppress(*self.errors):
                self.run("ROLLBACK")

    def columns(self, table: TableName) -> dict[str, str] | None:
        try:
            rows = self.run(f"DESCRIBE TABLE {table.sql}")
        except self.errors as problem:
            if getattr(problem, "errno", None) in _DO_NOT_EXIST:
                return None
            raise
        for name, *_ in rows:
            if name != _stored_name(name):
                raise SchemaMismatch(
                    f"Column {quoted(name)} of {table.sql} was made in quotes, and is another than {name}, "
                    f"which Snowflake reads as {_stored_name(name)}. No row was changed. "
                    f"ALTER TABLE ... RENAME COLUMN {quoted(name)} TO {name}, or write to another table."
                )
        return {name: kind for name, kind, *_ in rows}

    def accepts(self, incoming: str, present: str) -> bool:
        """Whether the column takes each value exactly, or refuses it: a text too long, a number out of range."""
        if _TEXT.fullmatch(incoming):
            return _TEXT.fullmatch(present) is not None
        for kind, place in ((_NUMBER, 2), (_TIME, 1)):
            new, old = kind.fullmatch(incoming), kind.fullmatch(present)
            if new and old:  # digits behind what a column keeps would be rounded
                return int(old[place]) >= int(new[place])
        return False

    def create(self, table: TableName, types: dict[str, str], primary_key: Sequence[str]) -> None:
        columns = [f"{quoted(name)} {kind}" for name, kind in types.items()]
        if primary_key:
            columns.append(f"PRIMARY KEY ({listed(primary_key)})")
        try:
            self.run(f"CREATE TABLE IF NOT EXISTS {table.sql} ({', '.join(columns)})")
        except self.errors as problem:
            # CREATE SCHEMA needs a right that a writer of existing ones may lack.
            if getattr(problem, "errno", None) not in _DO_NOT_EXIST:
                raise
            ((database, schema),) = self._current()
            self.run(f"CREATE SCHEMA IF NOT EXISTS {table.schema_sql}")
            if schema is not None:  # Snowflake makes the new one the session's
                self.run(f"USE SCHEMA {quoted(database)}.{quoted(schema)}")
            self.run(f"CREATE TABLE IF NOT EXISTS {table.sql} ({', '.join(columns)})")

    def add_column(self, table: TableName, name: str, kind: str) -> None:
        self.run(f"ALTER TABLE {table.sql} ADD COLUMN IF NOT EXISTS {quoted(name)} {kind}")

    def load(self, table: TableName, batches: Iterable[pa.RecordBatch]) -> int:
        rows, first = iter(batches), []
        for batch in rows:
            first.append(batch)
            if sum(each.num_rows for each in first) > _FEW_ROWS or batch.nbytes > _FEW_BYTES:
                return self._copy(table, chain(first, rows))
        return self._insert(table, first)

    def _insert(self, table: TableName, batches: Sequence[pa.RecordBatch]) -> int:
        """Few rows in a statement of their own, which takes less time than a file."""
        count = 0
        for batch in map(_staged, filter(len, batches)):
            lines = (f"({', '.join(map(_literal, row.values()))})" for row in batch.to_pylist())
            insert = self._spelled(
                f"INSERT INTO {table.sql} ({listed(batch.schema.names)}) VALUES "
            )
            with closing(self._cursor()) as cursor:
                cursor.execute(insert + ", ".join(lines))
            count += batch.num_rows
            failpoint("sql.loading")
        return count

    def _copy(self, table: TableName, batches: Iterable[pa.RecordBatch]) -> int:
        stage = f"@~/vectorshift/{uuid4().hex}/"
        count = 0
        try:
            with TemporaryDirectory(prefix="vectorshift-") as folder:
                for path, rows in _files(Path(folder), batches):
                    self.run(f"PUT 'file://{path.as_posix()}' {stage} AUTO_COMPRESS=FALSE")
                    path.unlink()
                    count += rows
                    failpoint("sql.loading")
            self.run(
                f"COPY INTO {table.sql} FROM {stage} FILE_FORMAT=(TYPE=PARQUET USE_LOGICAL_TYPE=TRUE) "
                "MATCH_BY_COLUMN_NAME=CASE_INSENSITIVE ON_ERROR=ABORT_STATEMENT"
            )
        finally:
            with suppress(*self.errors):  # it would hide what went wrong
                self.run(f"REMOVE {stage}")
        return count

    def _current(self) -> list[tuple[Any, ...]]:
        return self.run("SELECT CURRENT_DATABASE(), CURRENT_SCHEMA()")

    def _start(self) -> None:
        self.run("BEGIN")
        self._has_begun = True

    def _renew(self) -> None:
        if self._has_begun:
            self.commit()
            self._start()

    def _execute(self, cursor: Any, statement: str, values: Sequence[Any]) -> None:
        first, *rest = self._spelled(statement).split(VALUE)
        encoded = [_literal(value) + part for value, part in zip(values, rest, strict=True)]
        cursor.execute("".join([first, *encoded]))

    def _spelled(self, statement: str) -> str:
        return respelled(statement, lambda name: quoted(_stored_name(name)))

    def _column_type(self, field: pa.Field) -> str:
        kind = field.type
        if pa.types.is_decimal(kind):
            if not (kind.precision <= _MOST_DIGITS and 0 <= kind.scale <= _MOST_SCALE):
                raise inexact(field)
            return f"NUMBER({kind.precision},{kind.scale})"
        if pa.types.is_uint64(kind):
            return "NUMBER(20,0)"
        if pa.types.is_integer(kind):
            return "NUMBER(19,0)"
        if pa.types.is_floating(kind):
            return "FLOAT"
        if is_text(kind):
            return "VARCHAR"
        return super()._column_type(field)


def _stored_name(name: str) -> str:
    """A name as Snowflake keeps it: in capitals, unless only quotes can write it."""
    return name.upper() if _PLAIN_NAME.fullmatch(name) else name


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return f"'{value.isoformat(' ', 'microseconds')}'::TIMESTAMP_NTZ"
    if isinstance(value, float):
        return f"'{value!r}'::FLOAT"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "''")
        return f"'{escaped}'"
    if isinstance(value, date):
        return f"'{value.isoformat()}'::DATE"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)  # an exponent makes a double


def _files(folder: Path, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Path, int]]:
    """The rows as Parquet files of a size that Snowflake's servers share among them; each with its number of rows."""
    left = iter(batches)
    for number, first in enumerate(left):
        path, rows, size = folder / f"{number}.parquet", 0, 0
        with pq.ParquetWriter(path, _staged(first).schema) as writer:
            for batch in chain([first], left):
                writer.write_batch(_staged(batch))
                rows, size = rows + batch.num_rows, size + batch.nbytes
                if size >= _FILE_BYTES:
                    break
        yield path, rows


def _staged(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch as COPY reads it without doubt: naive times in UTC, whole numbers with a sign, names as they are kept."""
    fields = [
        field.with_name(_stored_name(field.name)).with_type(_staged_type(field.type))
        for field in batch.schema
    ]
    columns = [column.cast(field.type) for column, field in zip(batch.columns, fields, strict=True)]
    return pa.record_batch(columns, pa.schema(fields))


def _staged_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    if pa.types.is_uint64(kind):
        return pa.decimal128(20, 0)
    if pa.types.is_integer(kind):
        return pa.int64()
    return pa.float64() if pa.types.is_floating(kind) else kind
