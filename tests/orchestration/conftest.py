"""A real database for each test, a real service without events, and the count of the window laws."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import duckdb
import psycopg
import psycopg2
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests import mariadb, plain_driver
from tests.orchestration.service import (
    anyio_backend,
    blank,
    blank_session,
    client,
    pytest_terminal_summary,
)
from tests.postgres import Schemas, schemas
from vectorshift_orchestration.storage.databases import as_utc
from vectorshift_orchestration.storage.identifiers import TableName

__all__ = ["anyio_backend", "blank", "blank_session", "client", "pytest_terminal_summary"]

KINDS = ("duckdb", "postgres", "sqlite")
MYSQL_KINDS = tuple(mariadb.DRIVERS)
EVERY_KIND = (*KINDS, "psycopg2", "adbc", "plain", *MYSQL_KINDS)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres_schemas() -> Iterator[Schemas]:
    """A running PostgreSQL, one for the session."""
    with schemas() as made:
        yield made


@pytest.fixture
def postgres(postgres_schemas: Schemas) -> str:
    """A connection string whose search path is a schema of the test's own."""
    return postgres_schemas.new()


@dataclass
class Store:
    """One database, of any kind that windows are written to, and looks at it from outside."""

    kind: str
    connection: Any = field(repr=False)
    outside: Any = field(repr=False)
    connect: Callable[[], Any] = field(repr=False)

    def execute(self, statement: str) -> None:
        """Execute and commit a statement, over a connection from outside."""
        self.outside.execute(statement)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement, seen from outside."""
        return [tuple(row) for row in self.outside.execute(statement).fetchall()]

    def rows(self, table: str = "events") -> list[tuple[Any, ...]]:
        """All rows in the order of their columns; times as aware UTC in the first column."""
        found = self.query(f"SELECT * FROM {TableName.parse(table).sql}")
        return sorted(((as_utc(row[0]), *row[1:]) for row in found), key=repr)

    def tables(self) -> set[str]:
        """The names of all tables of the test."""
        statement = {
            "duckdb": "SELECT table_name FROM duckdb_tables()",
            "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
            **dict.fromkeys(
                MYSQL_KINDS,
                "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
            ),
        }.get(
            self.kind, "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()"
        )
        return {row[0] for row in self.query(statement)}


class PostgresSessions:
    """Connections that tests use one after the other, each test in a schema of its own."""

    def __init__(self, schemas: Schemas) -> None:
        from adbc_driver_postgresql import dbapi

        self._schemas = schemas
        conninfo = schemas.conninfo
        self._connect: dict[str, Callable[[], Any]] = {
            "postgres": lambda: psycopg.connect(conninfo),
            "psycopg2": lambda: psycopg2.connect(conninfo),
            "adbc": lambda: dbapi.connect(uri(conninfo)),
            "plain": lambda: plain_driver.Connection(conninfo),
        }
        self._outside = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
        self._opened: dict[str, Any] = {}

    def store(self, kind: str) -> Store:
        search_path = f"SET search_path TO {self._schemas.new_name()}"

        def connect() -> Any:
            return entered(self._connect[kind]())

        def entered(connection: Any) -> Any:
            connection.rollback()
            with closing(connection.cursor()) as cursor:
                cursor.execute(search_path)
            connection.commit()
            return connection

        if kind not in self._opened:
            self._opened[kind] = self._connect[kind]()
        self._outside.execute(search_path)
        return Store(kind, entered(self._opened[kind]), self._outside, connect)

    def close(self) -> None:
        for connection in (self._outside, *self._opened.values()):
            connection.close()


@pytest.fixture(scope="session")
def postgres_sessions(postgres_schemas: Schemas) -> Iterator[PostgresSessions]:
    """Connections to the session's PostgreSQL."""
    with closing(PostgresSessions(postgres_schemas)) as made:
        yield made


class MySqlOutside:
    """Statements as the other databases have them, over a connection that takes double quotes for names."""

    def __init__(self, port: int) -> None:
        self._connection = mariadb.by_pymysql(port, autocommit=True, sql_mode="ANSI_QUOTES")
        self.close = self._connection.close

    def execute(self, statement: str) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(statement)
        return cursor


class MySqlSessions:
    """Connections that tests use one after the other, each test in a database of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._outside = MySqlOutside(port)

    @contextmanager
    def store(self, kind: str) -> Iterator[Store]:
        name = f"t_{uuid4().hex[:12]}"
        self._outside.execute(f"CREATE DATABASE {name} CHARACTER SET latin1")
        self._outside.execute(f"USE {name}")

        def connect(**options: Any) -> Any:
            return mariadb.DRIVERS[kind](self.port, database=name, **options)

        try:
            with closing(connect()) as connection:
                yield Store(kind, connection, self._outside, connect)
        finally:
            self._outside.execute(f"DROP DATABASE {name}")

    def close(self) -> None:
        self._outside.close()


@pytest.fixture(scope="session")
def mysql_sessions() -> Iterator[MySqlSessions]:
    """Connections to the session's MariaDB."""
    with mariadb.server() as port, closing(MySqlSessions(port)) as made:
        yield made


class SnowflakeOutside:
    """Statements over a connection of its own."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, statement: str) -> Any:
        return self._connection.cursor().execute(statement)


class SnowflakeSessions:
    """Connections that tests use one after the other, each test in a schema of its own."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options

    @contextmanager
    def store(self) -> Iterator[Store]:
        schema = f"T_{uuid4().hex[:12].upper()}"

        def connect(**more: Any) -> Any:
            from tests import fake_snowflake  # whose library pins its neighbours

            return fake_snowflake.connect(self._options, schema, **more)

        with closing(connect()) as connection, closing(connect()) as outside:
            yield Store("snowflake", connection, SnowflakeOutside(outside), connect)


@pytest.fixture(scope="session")
def snowflake_sessions() -> Iterator[SnowflakeSessions]:
    """Connections to the session's server that answers as Snowflake does."""
    from tests import fake_snowflake  # whose library pins its neighbours

    with fake_snowflake.server() as options:
        yield SnowflakeSessions(options)


@contextmanager
def _store(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    if kind == "duckdb":
        with (
            closing(duckdb.connect(config={"threads": 1})) as root,
            closing(root.cursor()) as connection,
        ):
            yield Store(kind, connection, root, root.cursor)
    elif kind == "sqlite":
        path = folder / "warehouse.sqlite"
        with (
            closing(sqlite3.connect(path, timeout=10)) as connection,
            closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as outside,
        ):
            yield Store(kind, connection, outside, lambda: sqlite3.connect(path, timeout=10))
    elif kind in MYSQL_KINDS:
        with request.getfixturevalue("mysql_sessions").store(kind) as made:
            yield made
    else:
        yield request.getfixturevalue("postgres_sessions").store(kind)


def uri(conninfo: str) -> str:
    """The connection string as ADBC takes it."""
    parts = conninfo_to_dict(conninfo)
    password = f":{quote(str(parts['password']))}" if "password" in parts else ""
    return (
        f"postgresql://{parts['user']}{password}@{parts['host']}:{parts['port']}/{parts['dbname']}"
        f"?options={quote(str(parts.get('options', '')))}"
    )


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The same test in every kind of database."""
    with _store(request.param, tmp_path, request) as made:
        yield made
