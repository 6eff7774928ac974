"""Any other DB-API connection (PEP 249): rows bound in chunks, in the same transaction.

Names are in double quotes, as standard SQL has them. Instants are naive UTC. Of the database nothing
is assumed: it is tried before its first use (`trial.py`), tables are made in a transaction before, since
many commit DDL at once, and a row of `_vectorshift_locks` keeps the writers of one table apart.
`sqlite.py`, `mysql.py` and `snowflake.py` know more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import SchemaMismatch, StorageError
from vectorshift_orchestration.storage.column_types import inexact
from vectorshift_orchestration.storage.identifiers import (
    VALUE,
    TableName,
    bound,
    listed,
    marked,
    quoted,
)
from vectorshift_orchestration.storage.locks import Territory

LOCKS = "_vectorshift_locks"
_CHUNK_ROWS = 5_000
_NAIVE = pa.timestamp("us")
_DBMS_NAME = 17  # SQL_DBMS_NAME of ODBC
_REFUSED = {
    **dict.fromkeys(
        ("mysql", "mariadb", "singlestore"),
        "MySQL and MariaDB are written to by PyMySQL, mysqlclient or mysql-connector-python. "
        "Give a connection of one of these.",
    ),
    "clickhouse": "ClickHouse is not written to: it has no transaction around DELETE and INSERT, so "
    "readers would see a window without its rows. Publish Parquet files, and load or read those.",
}
"""By a part of the driver's name, or of the name that ODBC reports."""


class DbApi:
    """An open connection of a driver that PEP 249 describes."""

    time_type = "TIMESTAMP"
    transactional_ddl = False
    exact_texts = False
    is_tested = False

    def __init__(self, connection: Any) -> None:
        driver = driver_of(connection)
        _refuse(connection, driver)
        self._connection = connection
        self._style: str = driver.paramstyle
        self._trial = f"(tried) {driver.__name__} {getattr(driver, '__version__', '')}".strip()
        self._autocommit = False
        self.errors: tuple[type[Exception], ...] = (driver.Error,)

    def fold(self, name: str) -> str:
        return name.lower()

    def resolve(self, table: TableName) -> TableName:
        return table

    def is_open(self) -> bool:
        status = getattr(self._connection, "in_transaction", None)
        if status is None:
            info = getattr(self._connection, "info", None)
            status = getattr(info, "transaction_status", 0)
        return bool(status)

    def is_lost(self) -> bool:
        return True

    def begin(self, territory: Territory | None = None) -> None:
        if getattr(self._connection, "autocommit", False) is True:
            self._autocommit, self._connection.autocommit = True, False
        if territory is not None:
            self._wait(territory.table)

    def commit(self) -> None:
        self._connection.commit()
        self._restore()

    def rollback(self) -> None:
        with suppress(*self.errors):
            self._connection.rollback()
            self._restore()

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with closing(self._cursor()) as cursor:
            self._execute(cursor, statement, values)
            if not cursor.description:
                return []
            width = len(cursor.description)
            return [_by_position(row, width) for row in cursor.fetchall()]

    def changed(self, statement: str, values: Sequence[Any] = ()) -> int:
        with closing(self._cursor()) as cursor:
            self._execute(cursor, statement, values)
            return int(cursor.rowcount)

    def columns(self, table: TableName) -> dict[str, str] | None:
        try:
            with closing(self._cursor()) as cursor:
                self._execute(cursor, f"SELECT * FROM {table.sql} WHERE 1 = 0", ())
                cursor.fetchall()  # a result that is left makes some drivers refuse what comes next
                return {column[0]: "" for column in cursor.description}
        except self.errors:  # no portable way exists to check for it
            self._connection.rollback()
            return None

    def types(self, schema: pa.Schema) -> dict[str, str]:
        return {field.name: self._column_type(field) for field in schema}

    def accepts(self, incoming: str, present: str) -> bool:
        if not present or incoming.upper() == present.upper():
            return True
        return any(
            all(any(name in kind.upper() for name in names) for kind in (incoming, present))
            for names in (("INT",), ("CHAR", "TEXT"))
        )

    def create(self, table: TableName, types: dict[str, str], primary_key: Sequence[str]) -> None:
        kinds = {
            name: _keyed(kind) if name in primary_key else kind for name, kind in types.items()
        }
        columns = [f"{quoted(name)} {kind}" for name, kind in kinds.items()]
        if primary_key:
            columns.append(f"PRIMARY KEY ({listed(primary_key)})")
        self.run(f"CREATE TABLE {table.sql} ({', '.join(columns)})")
        if not self.transactional_ddl:
            self._connection.commit()

    def add_column(self, table: TableName, name: str, kind: str) -> None:
        self.run(f"ALTER TABLE {table.sql} ADD COLUMN {quoted(name)} {kind}")
        if not self.transactional_ddl:
            self._connection.commit()

    def instant(self, instant: datetime) -> Any:
        return instant.astimezone(UTC).replace(tzinfo=None)

    def instant_text(self, column: str) -> str:
        return column

    def load(self, table: TableName, batches: Iterable[pa.RecordBatch]) -> int:
        rows = 0
        for batch in batches:
            names = batch.schema.names
            self._many(
                f"INSERT INTO {table.sql} ({listed(names)}) "
                f"VALUES ({', '.join([VALUE] * len(names))})",
                batch,
                rows,
            )
            rows += batch.num_rows
            if rows == batch.num_rows:
                self._refuse_doubles(table, batch.schema)
        return rows

    def was_tried(self, table: TableName) -> bool:
        """Whether this version of the driver has passed a trial in the schema of the table."""
        locks = table.beside(LOCKS)
        self.begin()
        try:
            return self.columns(locks) is not None and bool(
                self.run(f"SELECT 1 FROM {locks.sql} WHERE table_name = {VALUE}", [self._trial])
            )
        finally:
            self.rollback()

    def note_trial(self, table: TableName) -> None:
        """Remember that it has."""
        locks = table.beside(LOCKS)
        self.begin()
        self._require_locks(locks)
        with suppress(*self.errors):  # another writer just did
            self.run(f"INSERT INTO {locks.sql} VALUES ({VALUE}, 0)", [self._trial])
        self.commit()

    def _wait(self, table: TableName) -> None:
        """Wait for other writers of the table: a changed row stays locked until they have ended."""
        locks, name = table.beside(LOCKS), self.fold(table.name)
        change = f"UPDATE {locks.sql} SET writes = writes + 1 WHERE table_name = {VALUE}"
        self._require_locks(locks)
        if not self.changed(change, [name]):
            with suppress(*self.errors):  # another writer just did
                self.run(f"INSERT INTO {locks.sql} VALUES ({VALUE}, 0)", [name])
            self._renew()
            self.changed(change, [name])

    def _require_locks(self, locks: TableName) -> None:
        if self.columns(locks) is None:
            keyed = pa.schema([("table_name", pa.string()), ("writes", pa.int64())])
            self.create(locks, self.types(keyed), ["table_name"])
            self._renew()

    def _renew(self) -> None:
        """Commit, and go on in another transaction."""
        self._connection.commit()

    def _refuse_doubles(self, table: TableName, schema: pa.Schema) -> None:
        """No portable way exists to read a column's type, but its values have one."""
        for field in schema:
            if not pa.types.is_decimal(field.type):
                continue
            ((least,),) = self.run(f"SELECT min({quoted(field.name)}) FROM {table.sql}")
            if isinstance(least, float):
                raise SchemaMismatch(
                    f"Column {field.name!r} of {table.sql} gives doubles, and the rows bring exact "
                    "decimals. No row was changed. Convert the column with ALTER TABLE, or write to "
                    "another table."
                )

    def _cursor(self) -> Any:
        return self._connection.cursor()

    def _restore(self) -> None:
        if self._autocommit:
            self._autocommit, self._connection.autocommit = False, True

    def _execute(self, cursor: Any, statement: str, values: Sequence[Any]) -> None:
        if values:
            cursor.execute(marked(statement, self._style), bound(values, self._style))
        else:
            cursor.execute(statement)

    def _many(self, statement: str, batch: pa.RecordBatch, row: int) -> None:
        text = marked(statement, self._style)
        with closing(self._cursor()) as cursor:
            for start in range(0, batch.num_rows, _CHUNK_ROWS):
                chunk = batch.slice(start, _CHUNK_ROWS)
                columns = [
                    self._values(chunk.column(n), n, row + start) for n in chunk.schema.names
                ]
                cursor.executemany(
                    text, [bound(r, self._style) for r in zip(*columns, strict=True)]
                )
                failpoint("sql.loading")

    def _values(self, column: pa.Array, name: str, row: int) -> list[Any]:
        kind = column.type
        if pa.types.is_timestamp(kind):
            return self._naive(column.cast(_NAIVE))
        values: list[Any] = column.to_pylist()
        return values

    def _naive(self, times: pa.Array) -> list[Any]:
        values: list[Any] = times.to_pylist()
        return values

    def _column_type(self, field: pa.Field) -> str:
        kind = field.type
        if pa.types.is_decimal(kind):
            return f"DECIMAL({kind.precision}, {kind.scale})"
        if pa.types.is_uint64(kind):
            return "DECIMAL(20, 0)"
        for fits, name in (
            (pa.types.is_signed_integer, "BIGINT"),
            (_is_short_unsigned, "BIGINT"),
            (pa.types.is_floating, "DOUBLE PRECISION"),
            (pa.types.is_string, "TEXT"),
            (pa.types.is_large_string, "TEXT"),
            (pa.types.is_boolean, "BOOLEAN"),
            (pa.types.is_timestamp, self.time_type),
            (pa.types.is_date, "DATE"),
        ):
            if fits(kind):
                return name
        raise inexact(field)


def _is_short_unsigned(kind: pa.DataType) -> bool:
    return bool(pa.types.is_unsigned_integer(kind) and kind.bit_width < 64)


def _keyed(kind: str) -> str:
    """Text in a key needs a length in some databases."""
    return "VARCHAR(255)" if kind == "TEXT" else kind


def driver_of(connection: Any) -> Any:
    """The module that PEP 249 describes, from where the connection's class was made."""
    for module in _homes(connection):
        if hasattr(module, "paramstyle") and hasattr(module, "Error"):
            return module
    raise StorageError(
        f"The driver of {type(connection).__name__} has no paramstyle, so values cannot be bound."
    )


def _refuse(connection: Any, driver: Any) -> None:
    name = driver.__name__.partition(".")[0]
    if callable(getattr(connection, "getinfo", None)):  # ODBC, which names the database behind it
        name = str(connection.getinfo(_DBMS_NAME))
    for family, why in _REFUSED.items():
        if family in name.lower():
            raise StorageError(f"{why} Nothing was changed.")


def _by_position(row: Any, width: int) -> tuple[Any, ...]:
    """A row of any class as the values of its columns, in order."""
    values: tuple[Any, ...] = ()
    if isinstance(row, tuple | list):
        values = tuple(row)
    elif isinstance(row, Mapping):
        values = tuple(row.values())  # fewer where two columns have one name
    elif not isinstance(row, str | bytes):
        with suppress(TypeError, LookupError):
            values = tuple(row[place] for place in range(width))
    if len(values) != width:
        raise StorageError(
            f"The connection gives rows as {type(row).__name__}, whose columns cannot be read by "
            "position. Give a connection without a row class of its own."
        )
    return values


def _homes(connection: Any) -> Iterator[Any]:
    for kind in type(connection).__mro__:
        parts = kind.__module__.split(".")
        for length in range(1, len(parts) + 1):
            module = sys.modules.get(".".join(parts[:length]))
            if module is not None:
                yield module
