"""What `overwrite_window` asks of a database, and which answer goes with which connection.

One class for each kind of connection: `duckdb.py`, `psycopg.py`, `psycopg2.py` and `adbc.py` (all
three PostgreSQL, which is `postgres.py`), and `dbapi.py` (any other PEP 249 connection).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow as pa

from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.storage.locks import Territory


class Database(Protocol):
    """A database behind the caller's connection. Methods raise the driver's own errors."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises."""

    @property
    def transactional_ddl(self) -> bool:
        """Whether a table that is made in a transaction goes away with it."""

    @property
    def exact_texts(self) -> bool:
        """Whether texts that differ, in case alone even, are never taken for one."""

    @property
    def time_type(self) -> str:
        """The column type that instants are stored in, for messages."""

    def fold(self, name: str) -> str:
        """The form in which two names of one column are equal."""

    def resolve(self, table: TableName) -> TableName:
        """The same table, named so that it means the same on any connection."""

    def is_open(self) -> bool:
        """Whether the caller has a transaction open, as far as the driver tells."""

    def is_lost(self) -> bool:
        """After a COMMIT that failed: whether it may have been done nevertheless."""

    def begin(self, territory: Territory | None = None) -> None:
        """Open a transaction; wait until nobody else writes in the territory."""

    def commit(self) -> None:
        """End the transaction and let others in."""

    def rollback(self) -> None:
        """Undo the transaction, if there is one, and let others in. Raises no driver's error."""

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement in which `VALUE` stands for each value; its rows."""

    def changed(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Execute a statement; the number of rows that it changed."""

    def columns(self, table: TableName) -> dict[str, str] | None:
        """Names and types of a table's columns in order, or None when there is no table.

        Raises `StorageError` for what is not a table, where the database tells.
        """

    def types(self, schema: pa.Schema) -> dict[str, str]:
        """The types of new columns. Raises `SchemaMismatch` for what cannot be stored exactly."""

    def accepts(self, incoming: str, present: str) -> bool:
        """Whether a column of type `present` takes every value of type `incoming`, or refuses it."""

    def create(self, table: TableName, types: dict[str, str], primary_key: Sequence[str]) -> None:
        """Make a table and its schema, unless somebody else just did."""

    def add_column(self, table: TableName, name: str, kind: str) -> None:
        """Give a table another column, at its end."""

    def instant(self, instant: datetime) -> Any:
        """An aware instant as a value to bind."""

    def instant_text(self, column: str) -> str:
        """An expression for a column of instants whose value is one that `as_utc` reads."""

    def load(self, table: TableName, batches: Iterable[pa.RecordBatch]) -> int:
        """Insert rows by column name, fast; returns their number."""


def database_of(connection: Any) -> Database:
    """The database behind a connection, which may be SQLAlchemy's `raw_connection()`.

    Raises `StorageError` for something that is no connection, not one that blocks, or one to a
    database that would change what is written.
    """
    connection = getattr(connection, "driver_connection", None) or connection
    homes = {kind.__module__.partition(".")[0] for kind in type(connection).__mro__}
    if homes & {"duckdb", "_duckdb"} and hasattr(connection, "register"):
        from vectorshift_orchestration.storage.duckdb import DuckDB

        return DuckDB(connection)
    if "psycopg" in homes and hasattr(connection, "pgconn"):
        from vectorshift_orchestration.storage.psycopg import Psycopg

        return Psycopg(connection)
    if "psycopg2" in homes and hasattr(connection, "get_transaction_status"):
        from vectorshift_orchestration.storage.psycopg2 import Psycopg2

        return Psycopg2(connection)
    if "adbc_driver_manager" in homes and hasattr(connection, "adbc_get_info"):
        from vectorshift_orchestration.storage.adbc import AdbcPostgres

        return AdbcPostgres(connection)
    if homes & {"sqlite3", "_sqlite3"} and hasattr(connection, "text_factory"):
        from vectorshift_orchestration.storage.sqlite import Sqlite

        return Sqlite(connection)
    if all(callable(getattr(connection, verb, None)) for verb in ("cursor", "commit", "rollback")):
        from vectorshift_orchestration.storage.dbapi import DbApi

        return DbApi(connection)
    raise StorageError(
        "Windows are written to DuckDB, PostgreSQL (psycopg 3, psycopg2, ADBC) and other DB-API "
        f"connections, not to {type(connection).__name__}.{_hint(homes)}"
    )


def _hint(homes: set[str]) -> str:
    if "sqlalchemy" in homes:
        return " Give engine.raw_connection()."
    return ""


@contextmanager
def reading(database: Database) -> Iterator[None]:
    """Read, in the caller's transaction or in one that is closed again."""
    if database.is_open():
        yield
        return
    database.begin()
    try:
        yield
    finally:
        database.rollback()


def as_utc(value: datetime | str) -> datetime:
    """An instant as a database gives it back: naive values and text are UTC."""
    instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
