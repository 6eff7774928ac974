"""What `overwrite_window` needs from a database, and the dialect of each connection: `DIALECTS`.

Any other PEP 249 connection is spoken to by `dbapi.py`, once it has passed a trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Protocol, cast

import pyarrow as pa

from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.storage.locks import Territory

DIALECTS = (
    ({"duckdb", "_duckdb"}, "register", "duckdb", "DuckDB"),
    ({"psycopg"}, "pgconn", "psycopg", "Psycopg"),
    ({"psycopg2"}, "get_transaction_status", "psycopg2", "Psycopg2"),
    ({"adbc_driver_manager"}, "adbc_get_info", "adbc", "AdbcPostgres"),
    ({"sqlite3", "_sqlite3"}, "text_factory", "sqlite", "Sqlite"),
    ({"pymysql", "MySQLdb", "mysql"}, "get_server_info", "mysql", "MySql"),
    ({"snowflake"}, "get_query_status", "snowflake", "Snowflake"),
)
"""The drivers, what distinguishes their connection from their other classes, module and class."""


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
    def is_tested(self) -> bool:
        """Whether we are tested with it; any other is tried before its first use."""

    @property
    def time_type(self) -> str:
        """The column type that instants are stored in, for messages."""

    def fold(self, name: str) -> str:
        """The form in which two names of one column are equal."""

    def resolve(self, table: TableName) -> TableName:
        """The same table, named so that it means the same on any connection."""

    def is_open(self) -> bool:
        """Whether the caller has a transaction open, as far as the driver knows."""

    def is_lost(self) -> bool:
        """After a COMMIT that failed: whether it may have been done nevertheless."""

    def begin(self, territory: Territory | None = None) -> None:
        """Open a transaction; wait until no other writer is active in the territory."""

    def commit(self) -> None:
        """End the transaction and let others in."""

    def rollback(self) -> None:
        """Undo the transaction, if there is one, and let others in. Raises no driver's error."""

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement in which `VALUE` stands for each value; its rows."""

    def changed(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Execute a statement; the number of rows that it changed."""

    def columns(self, table: TableName) -> dict[str, str] | None:
        """Names and types of a table's columns in order, or None if the table does not exist.

        Raises `StorageError` for what is not a table, if the database says so.
        """

    def types(self, schema: pa.Schema) -> dict[str, str]:
        """The types of new columns. Raises `SchemaMismatch` for what cannot be stored exactly."""

    def accepts(self, incoming: str, present: str) -> bool:
        """Whether a column of type `present` takes every value of type `incoming`, or refuses it."""

    def create(self, table: TableName, types: dict[str, str], primary_key: Sequence[str]) -> None:
        """Create a table and its schema, unless another writer just did."""

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

    Raises `StorageError` for something that is not a connection, not one that blocks, or one to a
    database that would change what is written.
    """
    connection = getattr(connection, "driver_connection", None) or connection
    homes = {kind.__module__.partition(".")[0] for kind in type(connection).__mro__}
    for drivers, mark, module, name in DIALECTS:
        if homes & drivers and hasattr(connection, mark):
            dialect = getattr(import_module(f"{__package__}.{module}"), name)
            return cast(Database, dialect(connection))
    if all(callable(getattr(connection, verb, None)) for verb in ("cursor", "commit", "rollback")):
        from vectorshift_orchestration.storage.dbapi import DbApi

        return DbApi(connection)
    raise StorageError(
        "Windows are written to DuckDB, PostgreSQL (psycopg 3, psycopg2, ADBC), MySQL, MariaDB, "
        f"Snowflake, SQLite and other DB-API connections, not to {type(connection).__name__}.{_hint(homes)}"
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
