"""PostgreSQL, whatever the driver: advisory locks, DELETE, COPY.

Instants are stored as timestamptz: the server keeps UTC, and what is sent carries its offset, so
the zone of a session changes nothing. Rows go as COPY text, which Arrow makes column by column. CSV
would not be safe: before version 18 the server takes a line of `\\.` in a quoted text for the end
of the data, and drops the rest in silence.

A pooler gives each transaction another session. So nothing is prepared, locks end with their
transaction, there are no temporary tables; and what is sent and read means the same under any
setting of a session, once the encoding is set for the transaction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import chain
from typing import Any, ClassVar, cast

import pyarrow as pa

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.identifiers import (
    TableName,
    as_text,
    listed,
    marked,
    not_a_table,
    quoted,
)
from vectorshift_orchestration.storage.locks import Lock, Territory, whole
from vectorshift_orchestration.storage.postgres_types import (
    TIME_TYPE,
    check_name,
    column_type,
    copy_text,
    holds,
)
from vectorshift_orchestration.storage.postgres_url import search_path

ENDED = "Somebody ended the transaction before its COMMIT, so the window was not written by it."
FAILED = "A statement of the transaction failed unseen, so its COMMIT would have undone everything."


_KINDS = {"v": "view", "m": "materialized view", "f": "foreign table", "S": "sequence"}

_IDLE, _INERROR, _UNKNOWN = 0, 3, 4
"""Of libpq's PGTransactionStatusType."""


class Postgres(ABC):
    """What every driver has in common."""

    transactional_ddl = True
    exact_texts = True
    is_tested = True
    time_type = TIME_TYPE

    @abstractmethod
    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As in `Database`."""

    def fold(self, name: str) -> str:
        return name

    def resolve(self, table: TableName) -> TableName:
        """With its schema: that of the table which the search path finds, else the first in it."""
        for part in table.parts:
            check_name(part)
        rows = self.run(
            "SELECT current_database()::text, coalesce((SELECT n.nspname FROM pg_class c JOIN "
            "pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(\0)), "
            "current_schema())::text",
            [quoted(table.name)],
        )
        ((database, schema),) = rows
        if table.database not in (None, database):
            raise StorageError(
                f"{table.sql} is in another database than the connection, which is to {database!r}."
            )
        if table.schema is None and schema is None:
            raise StorageError(f"The search path is empty: write schema.{table.name}.")
        return TableName(table.name, table.schema or schema)

    def columns(self, table: TableName) -> dict[str, str] | None:
        # The catalogue, because reading the table itself would lock it against ALTER TABLE.
        rows = self.run(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
            "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = \0 AND c.relname = \0 AND c.relkind IN ('r', 'p') "
            "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            [table.schema, table.name],
        )
        return {name: kind for name, kind in rows} or None

    def types(self, schema: pa.Schema) -> dict[str, str]:
        for field in schema:
            check_name(field.name)
        return {field.name: column_type(field) for field in schema}

    def accepts(self, incoming: str, present: str) -> bool:
        return holds(present, incoming)

    def create(self, table: TableName, types: dict[str, str], primary_key: Sequence[str]) -> None:
        # IF NOT EXISTS alone fails when two sessions create at the same moment.
        schema = TableName(table.schema or "")
        self._take(whole(schema))
        columns = [f"{quoted(name)} {kind}" for name, kind in types.items()]
        if primary_key:
            columns.append(f"PRIMARY KEY ({listed(primary_key)})")
        # CREATE SCHEMA IF NOT EXISTS needs a right that a writer of existing tables may lack.
        if not self.run("SELECT 1 FROM pg_namespace WHERE nspname = \0", [table.schema]):
            self.run(f"CREATE SCHEMA {table.schema_sql}")
        self.run(f"CREATE TABLE IF NOT EXISTS {table.sql} ({', '.join(columns)})")
        ((kind,),) = self.run(
            "SELECT c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = \0 AND c.relname = \0",
            [table.schema, table.name],
        )
        if kind not in ("r", "p"):
            raise not_a_table(table, _KINDS.get(kind, "relation of another kind"))

    def add_column(self, table: TableName, name: str, kind: str) -> None:
        self.run(f"ALTER TABLE {table.sql} ADD COLUMN IF NOT EXISTS {quoted(name)} {kind}")

    def instant(self, instant: datetime) -> Any:
        return instant

    def instant_text(self, column: str) -> str:
        return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"

    def _isolate(self, territory: Territory | None) -> None:
        # A snapshot that is older than the lock would not show what the last writer committed.
        self.run("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        # In UTC the ledger of a driver that made columns without a zone is read and compared rightly.
        self.run(
            "SELECT set_config('client_encoding', 'UTF8', true), set_config('TimeZone', 'UTC', true)"
        )
        if territory is not None:
            for lock in territory.locks():
                self._take(lock)

    def _take(self, lock: Lock) -> None:
        shared = "" if lock.exclusive else "_shared"
        self.run(f"SELECT pg_advisory_xact_lock{shared}(\0)", [lock.key])


class CopyingPostgres(Postgres):
    """An open connection of a driver on libpq, autocommit or not."""

    errors: ClassVar[tuple[type[Exception], ...]]
    _connection: Any

    def resolve(self, table: TableName) -> TableName:
        """As in `Postgres`; raises `StorageError` when a pooler kept a search path to itself."""
        path = search_path(self._connection.info.options or "")
        if table.schema is None and path is not None:
            ((default,),) = self.run("SELECT reset_val FROM pg_settings WHERE name = 'search_path'")
            if default != path:
                raise StorageError(
                    f"The connection's options ask for search_path={path}, and the session has "
                    f"{default}: a pooler in between, such as PgBouncer, does not pass options on. "
                    f"Write schema.{table.name}."
                )
        return super().resolve(table)

    def is_open(self) -> bool:
        return self._connection.info.transaction_status not in (_IDLE, _UNKNOWN)

    def is_lost(self) -> bool:
        return bool(self._connection.closed)

    def begin(self, territory: Territory | None = None) -> None:
        if self._connection.autocommit:
            self.run("BEGIN")
        self._isolate(territory)

    def commit(self) -> None:
        if self._connection.info.transaction_status == _IDLE:
            raise StorageError(ENDED)
        if self._connection.info.transaction_status == _INERROR:
            raise StorageError(FAILED)
        self._end("COMMIT")

    def rollback(self) -> None:
        with suppress(*self.errors):
            self._end("ROLLBACK")

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._cursor() as cursor:
            self._execute(cursor, marked(statement, "format"), tuple(values))
            if not cursor.description:
                return []
            # Texts are bytes out of a database without an encoding (SQL_ASCII).
            return [tuple(map(as_text, row)) for row in cursor.fetchall()]

    def changed(self, statement: str, values: Sequence[Any] = ()) -> int:
        with self._cursor() as cursor:
            self._execute(cursor, marked(statement, "format"), tuple(values))
            return cast(int, cursor.rowcount)

    def load(self, table: TableName, batches: Iterable[pa.RecordBatch]) -> int:
        incoming = iter(batches)
        first = next(incoming, None)
        if first is None:
            return 0
        rows = 0

        def pieces() -> Iterator[bytes]:
            nonlocal rows
            for batch in chain([first], incoming):
                yield from copy_text(batch, rows)
                rows += batch.num_rows
                failpoint("sql.loading")

        columns = listed(first.schema.names)
        self._copy(
            f"COPY {table.sql} ({columns}) FROM STDIN (FORMAT text, ENCODING 'UTF8')", pieces()
        )
        return rows

    @abstractmethod
    def _end(self, verb: str) -> None:
        """COMMIT or ROLLBACK."""

    @abstractmethod
    def _cursor(self) -> Any:
        """A cursor whose rows are tuples, as a context manager."""

    @abstractmethod
    def _execute(self, cursor: Any, statement: str, values: tuple[Any, ...]) -> None:
        """Execute a statement in the paramstyle `format`, unprepared."""

    @abstractmethod
    def _copy(self, statement: str, pieces: Iterator[bytes]) -> None:
        """Feed a COPY; raises what the pieces raise."""
