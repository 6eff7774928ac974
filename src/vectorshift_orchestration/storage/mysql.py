"""MySQL and MariaDB: the same tables by whichever driver, in whichever session.

Instants are DATETIME(6) that holds UTC, which no zone of a session shifts, and texts are LONGTEXT that
tells case apart. Statements go out with their values in them as literals that carry their character set,
many rows at a time, because that is the fastest way that needs no right beside INSERT. For the transaction
the session is strict, so that the server refuses what it would cut, and its zone is UTC.

DDL commits at once, and the server locks rows: a row of `_vectorshift_locks` keeps the writers of one
table apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from typing import Any

import pyarrow as pa

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import SchemaMismatch, StorageError, UnstorableValue
from vectorshift_orchestration.storage.dbapi import DbApi, driver_of
from vectorshift_orchestration.storage.identifiers import (
    VALUE,
    TableName,
    as_text,
    listed,
    not_a_table,
    quoted,
    respelled,
)
from vectorshift_orchestration.storage.locks import Territory
from vectorshift_orchestration.storage.mysql_types import (
    TIME_TYPE,
    column_type,
    holds,
    literal,
    plain_type,
    rows_text,
)
from vectorshift_orchestration.storage.parts import SOURCE

_PIECE_BYTES = 1 << 20
_COLUMN_EXISTS = 1060
_SESSION = {
    "sql_mode": "'STRICT_ALL_TABLES'",
    "time_zone": "'+00:00'",
    "innodb_lock_wait_timeout": "3600",
}
"""What a session is given for a transaction; it gets its own back."""


class MySql(DbApi):
    """An open connection of PyMySQL, mysqlclient or mysql-connector-python."""

    exact_texts = True
    is_tested = True
    time_type = TIME_TYPE

    def __init__(self, connection: Any) -> None:
        driver = driver_of(connection)
        self._connection = connection
        self._plain_cursor = getattr(getattr(driver, "cursors", None), "Cursor", None)
        self._statement_before: str | None = None
        self.errors = (driver.Error,)

    def resolve(self, table: TableName) -> TableName:
        """With its database. Raises `StorageError` where none is chosen, and for a name of three parts."""
        if table.database is not None:
            raise StorageError(f"{table.sql}: MySQL knows database.table, and nothing around it.")
        ((database,),) = self.run("SELECT DATABASE()")
        if table.schema is None and database is None:
            raise StorageError(
                f"The connection has chosen no database: write database.{table.name}."
            )
        return TableName(table.name, table.schema or database)

    def is_open(self) -> bool:
        status = getattr(self._connection, "in_transaction", None)
        if status is not None:
            return bool(status)
        with suppress(*self.errors):  # MySQL does not say; its drivers could
            ((status,),) = self.run("SELECT @@in_transaction")
        return bool(status)

    def begin(self, territory: Territory | None = None) -> None:
        self._speak_utf8()
        names = ", ".join(f"@@SESSION.{name}" for name in _SESSION)
        ((mode, zone, seconds),) = self.run(f"SELECT {names}")
        if self._statement_before is None:
            self._statement_before = (
                f"SET SESSION sql_mode = {literal(mode)}, time_zone = {literal(zone)}, "
                f"innodb_lock_wait_timeout = {int(seconds)}"
            )
        assignments = ", ".join(f"{name} = {value}" for name, value in _SESSION.items())
        self.run(f"SET SESSION {assignments}")
        self._start()
        if territory is not None:
            self._wait(territory.table)

    def commit(self) -> None:
        self.run("COMMIT")
        self._restore()

    def rollback(self) -> None:
        with suppress(*self.errors):
            self.run("ROLLBACK")
            self._restore()

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        # Texts are bytes if the connection is set so.
        return [tuple(map(as_text, row)) for row in super().run(statement, values)]

    def columns(self, table: TableName) -> dict[str, str] | None:
        catalogue = self.run(
            "SELECT table_type, engine FROM information_schema.tables WHERE table_schema = \0 "
            "AND table_name = \0",
            [table.schema, table.name],
        )
        for kind, engine in catalogue:
            if kind != "BASE TABLE":
                raise not_a_table(table, kind.lower())
            if engine.lower() != "innodb":
                raise StorageError(
                    f"{table.sql} is kept by {engine}, which has no transactions, so a window could "
                    "be half replaced. Nothing was changed. Make it ENGINE=InnoDB."
                )
        rows = self.run(
            "SELECT column_name, column_type, collation_name FROM information_schema.columns "
            "WHERE table_schema = \0 AND table_name = \0 ORDER BY ordinal_position",
            [table.schema, table.name],
        )
        for name, _, collation in rows:
            if self.fold(name) == SOURCE and not str(collation).endswith("_bin"):
                raise SchemaMismatch(
                    f"Column {SOURCE!r} of {table.sql} is compared as {collation}, which takes texts "
                    "that differ for one. No row was changed. Give it COLLATE utf8mb4_bin."
                )
        return {name: plain_type(kind) for name, kind, _ in rows} or None

    def types(self, schema: pa.Schema) -> dict[str, str]:
        return {field.name: column_type(field) for field in schema}

    def accepts(self, incoming: str, present: str) -> bool:
        return holds(present, incoming)

    def create(self, table: TableName, types: dict[str, str], primary_key: Sequence[str]) -> None:
        columns = [
            f"{quoted(name)} {'varchar(255)' if name in primary_key and kind == 'longtext' else kind}"
            for name, kind in types.items()
        ]
        if primary_key:
            columns.append(f"PRIMARY KEY ({listed(primary_key)})")
        # CREATE DATABASE IF NOT EXISTS needs a right that a writer of existing ones may lack.
        query = "SELECT 1 FROM information_schema.schemata WHERE schema_name = \0"
        if not self.run(query, [table.schema]):
            self.run(f"CREATE DATABASE IF NOT EXISTS {table.schema_sql}")
        self.run(
            f"CREATE TABLE IF NOT EXISTS {table.sql} ({', '.join(columns)}) ENGINE=InnoDB "
            "DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )

    def add_column(self, table: TableName, name: str, kind: str) -> None:
        try:
            self.run(f"ALTER TABLE {table.sql} ADD COLUMN {quoted(name)} {kind}")
        except self.errors as problem:
            if problem.args[0] != _COLUMN_EXISTS:  # another writer just did
                raise

    def instant_text(self, column: str) -> str:
        return f"CAST({column} AS CHAR)"

    def load(self, table: TableName, batches: Iterable[pa.RecordBatch]) -> int:
        ((most,),) = self.run("SELECT @@max_allowed_packet")
        rows = 0
        for batch in batches:
            insert = f"INSERT INTO {table.sql} ({listed(batch.schema.names)}) VALUES "
            for count, text in rows_text(batch, rows, min(_PIECE_BYTES, int(most) // 4)):
                self._insert(respelled(insert, _spelled), text, rows, count, int(most))
                rows += count
                failpoint("sql.loading")
        return rows

    def _insert(self, insert: str, text: str, row: int, count: int, most: int) -> None:
        statement = (insert + text).encode()
        if len(statement) >= most:
            raise UnstorableValue(
                f"Rows {row + 1} to {row + count} have {len(statement):,} bytes, and the server takes "
                f"{most:,} at once. No row was changed. Raise its max_allowed_packet.",
                row=row + 1,
            )
        with closing(self._cursor()) as cursor:
            cursor.execute(statement)

    def _speak_utf8(self) -> None:
        """Texts in UTF-8 both ways: with another character set the server answers `?` for what that lacks."""
        variables = ("client", "connection", "results")
        (values,) = self.run(f"SELECT {', '.join(f'@@character_set_{each}' for each in variables)}")
        if set(values) == {"utf8mb4"}:
            return
        if hasattr(self._connection, "set_charset_collation"):
            self._connection.set_charset_collation("utf8mb4")
        else:
            self._connection.set_character_set("utf8mb4")

    def _start(self) -> None:
        # A snapshot that is older than the lock would not show what the last writer committed.
        self.run("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        self.run("START TRANSACTION")

    def _renew(self) -> None:
        self.run("COMMIT")
        self._start()

    def _restore(self) -> None:
        statement, self._statement_before = self._statement_before, None
        if statement is not None:
            self.run(statement)

    def _cursor(self) -> Any:
        # Not as the caller has set it: with rows as dicts, say, or left on the server.
        if self._plain_cursor is not None:
            return self._connection.cursor(self._plain_cursor)
        return self._connection.cursor(buffered=True, raw=False, dictionary=False)

    def _execute(self, cursor: Any, statement: str, values: Sequence[Any]) -> None:
        first, *rest = respelled(statement, _spelled).split(VALUE)
        encoded = [literal(value) + part for value, part in zip(values, rest, strict=True)]
        cursor.execute("".join([first, *encoded]).encode())


def _spelled(name: str) -> str:
    """An identifier as every session reads it; double quotes are for texts, where not ANSI_QUOTES says so."""
    return "`" + name.replace("`", "``") + "`"
