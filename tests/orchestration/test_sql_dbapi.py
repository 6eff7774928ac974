"""Drivers that PEP 249 describes: their markers, their autocommit, and what SQLite cannot hold."""

from __future__ import annotations

import sqlite3
import sys
from collections import namedtuple
from contextlib import closing
from datetime import timedelta
from types import ModuleType

import pyarrow as pa
import pytest
from psycopg.rows import args_row, dict_row, scalar_row

from tests import plain_driver
from tests.orchestration.rows import DAY, batch
from vectorshift_orchestration.errors import (
    SchemaMismatch,
    StaleWriterError,
    StorageError,
    UnstorableValue,
)
from vectorshift_orchestration.storage.dbapi import DbApi
from vectorshift_orchestration.storage.identifiers import VALUE, bound, marked
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.storage.sql import begin_attempt, overwrite_window

NOON = DAY.start + timedelta(hours=12)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "warehouse.sqlite"


def write(connection, batches, **options):
    return overwrite_window(connection, "events", DAY, batches, time_column="at", **options)


@pytest.mark.parametrize(
    ("style", "text", "values"),
    [
        ("qmark", '"a?%" = ? AND b = ?', [1, 2]),
        ("format", '"a?%%" = %s AND b = %s', [1, 2]),
        ("pyformat", '"a?%%" = %s AND b = %s', [1, 2]),
        ("numeric", '"a?%" = :1 AND b = :2', [1, 2]),
        ("numeric_dollar", '"a?%" = $1 AND b = $2', [1, 2]),
        ("named", '"a?%" = :v1 AND b = :v2', {"v1": 1, "v2": 2}),
    ],
)
def test_values_are_marked_as_the_driver_wants(style, text, values):
    """Every paramstyle of PEP 249; what looks like a marker in a name stays a name."""
    assert marked(f'"a?%" = {VALUE} AND b = {VALUE}', style) == text
    assert bound([1, 2], style) == values
    with pytest.raises(StorageError, match="paramstyle"):
        marked("", "colon")


def test_a_driver_without_a_paramstyle_is_refused():
    """Something with cursor, commit and rollback is not yet a driver that can be written to."""

    class Homemade:
        cursor = commit = rollback = print

    with pytest.raises(StorageError, match="Homemade has no paramstyle"):
        write(Homemade(), [batch([NOON])])


@pytest.mark.parametrize("level", [None, "", "EXCLUSIVE"])
def test_sqlite_in_any_mode_and_class(path, level):
    """Autocommit or not, and a connection of the user's own class."""

    class Own(sqlite3.Connection):
        pass

    with closing(sqlite3.connect(path, isolation_level=level, factory=Own)) as connection:
        for number in (1, 2):
            write(connection, [batch([NOON], n=[number])])
        assert not connection.in_transaction
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT at, n FROM events").fetchall() == [
                ("2026-11-22 12:00:00.000000", 2)
            ]


def test_sqlite_refuses_what_it_would_change(path):
    """NaN would become NULL, and uint64 does not fit: both are named, and nothing is written."""
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(UnstorableValue, match="Row 3 has NaN") as caught:
            write(connection, [batch([NOON], f=[0.5]), batch([NOON] * 2, f=[1.0, float("nan")])])
        assert (caught.value.row, caught.value.column) == (3, "f")
        with pytest.raises(SchemaMismatch, match="uint64"):
            write(connection, [batch([NOON], n=pa.array([2**64 - 1], pa.uint64()))])
        with pytest.raises(UnstorableValue, match="finer"):
            write(connection, [batch([NOON], t=pa.array([1], pa.timestamp("ns")))])
        connection.execute('CREATE TABLE events ("at" TIMESTAMP, n TEXT)')
        with pytest.raises(SchemaMismatch, match="Column 'n'"):
            write(connection, [batch([NOON], n=[1])])
        assert connection.execute("SELECT * FROM events").fetchall() == []


def test_a_file_that_somebody_else_writes_to_is_a_typed_error(path):
    """SQLite's own time limit for the lock holds; open transactions of the caller are not joined."""
    with (
        closing(sqlite3.connect(path)) as first,
        closing(sqlite3.connect(path, timeout=0.05)) as second,
    ):
        write(first, [batch([NOON], n=[1])])
        first.execute("DELETE FROM events")
        with pytest.raises(StorageError, match="database is locked"):
            write(second, [batch([NOON], n=[2])])
        with pytest.raises(StorageError, match="already open"):
            write(first, [batch([NOON], n=[3])])
        first.rollback()
        assert first.execute("SELECT n FROM events").fetchall() == [(1,)]


class Row:
    """A row class of somebody's own: by position, or by name only."""

    def __init__(self, cursor, row):
        self.columns = dict(zip([column[0] for column in cursor.description], row, strict=True))

    def keys(self):
        return self.columns.keys()

    def __iter__(self):
        return iter(self.columns)

    def __getitem__(self, key):
        return self.columns[key]


ROW_CLASSES = {
    "dict": lambda cursor, row: Row(cursor, row).columns,
    "sqlite3.Row": sqlite3.Row,
    "named tuple": lambda cursor, row: namedtuple("R", ["x"] * len(row), rename=True)(*row),
    "by name": Row,
    "the first value": lambda cursor, row: row[0],
}


@pytest.mark.parametrize("factory", ROW_CLASSES.values(), ids=ROW_CLASSES)
def test_sqlite_rows_are_read_by_position(path, factory):
    """Whatever class the caller wants rows in, a writer that was too slow gives way."""
    with closing(sqlite3.connect(path)) as slow, closing(sqlite3.connect(path)) as fast:
        slow.row_factory, slow.text_factory = factory, bytes
        write(slow, [batch([NOON], n=[1])])
        attempt = begin_attempt(slow, "events", DAY)
        write(fast, [batch([NOON], n=[2])])
        with pytest.raises(StaleWriterError):
            write(slow, [batch([NOON], n=[3])], attempt=attempt)
        assert committed(slow, "events", DAY).rows == 1
        assert (slow.row_factory, slow.text_factory) == (factory, bytes)
        assert fast.execute("SELECT n FROM events").fetchall() == [(2,)]


@pytest.mark.parametrize(
    ("factory", "is_read"),
    [(dict_row, True), (scalar_row, False), (args_row(lambda *values: set(values)), False)],
)
def test_rows_of_any_driver_are_read_by_position_or_refused(postgres, factory, is_read):
    """A driver of which nothing is known gives dicts, or something whose columns cannot be known."""
    with closing(plain_driver.Connection(postgres)) as fast:
        write(fast, [batch([NOON], n=[1])])
        with closing(plain_driver.Connection(postgres, row_factory=factory)) as slow:
            if not is_read:
                with pytest.raises(StorageError, match="read by position"):
                    begin_attempt(slow, "events", DAY)
                return
            attempt = begin_attempt(slow, "events", DAY)
            write(fast, [batch([NOON], n=[2])])
            with pytest.raises(StaleWriterError):
                write(slow, [batch([NOON], n=[3])], attempt=attempt)
            assert committed(slow, "events", DAY).rows == 1


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("mariadb", "written to by PyMySQL, mysqlclient or mysql-connector-python"),
        ("cymysql.connections", "written to by PyMySQL"),
        ("clickhouse_driver.dbapi.connection", "no transaction around DELETE and INSERT"),
        ("clickhouse_connect.dbapi.connection", "no transaction around DELETE and INSERT"),
    ],
)
def test_what_would_change_rows_is_refused_before_anything_is_done(monkeypatch, module, why):
    """By the driver, also under a class of the caller's own."""
    package = ModuleType(module.partition(".")[0])
    package.paramstyle, package.Error = "pyformat", Exception
    monkeypatch.setitem(sys.modules, package.__name__, package)

    class Connection:
        __module__ = module
        cursor = commit = rollback = lambda self: pytest.fail("it was used")

    class Own(Connection):
        pass

    for connection in (Connection(), Own()):
        for attempt in (write, lambda c, _: begin_attempt(c, "events", DAY)):
            with pytest.raises(StorageError, match=why):
                attempt(connection, [batch([NOON])])


def test_the_database_behind_odbc_is_identified():
    """An ODBC connection tells by its driver's name nothing of the database."""

    class Odbc(sqlite3.Connection):
        def getinfo(self, what):
            return {17: "MariaDB"}[what]

    with closing(Odbc(":memory:")) as connection, pytest.raises(StorageError, match="MySQL"):
        DbApi(connection)


@pytest.mark.parametrize("fails", [False, True])
def test_the_drivers_autocommit_is_given_back(postgres, fails):
    """Autocommit is off during the transaction, and on again after it, or after its failure."""

    def stop():
        if fails:
            raise PermissionError("no")

    with closing(plain_driver.Connection(postgres)) as connection:
        connection.autocommit = True
        try:
            write(connection, [batch([NOON])], before_commit=stop)
        except PermissionError:
            assert fails
        assert connection.autocommit is True
