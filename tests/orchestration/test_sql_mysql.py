"""What only MySQL and MariaDB do: sessions that cut and shift, collations, engines, packets; by three drivers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta

import pyarrow as pa
import pytest

from tests import mariadb
from tests.orchestration.conftest import MYSQL_KINDS
from tests.orchestration.rows import DAY, batch
from vectorshift_orchestration.errors import (
    SchemaMismatch,
    StaleWriterError,
    StorageError,
    UnstorableValue,
)
from vectorshift_orchestration.storage.ledger import LEDGER, committed
from vectorshift_orchestration.storage.sql import begin_attempt, overwrite_window
from vectorshift_orchestration.windows import Window

NOON = DAY.start + timedelta(hours=12)
FINE = NOON + timedelta(microseconds=1)
LAST = DAY.end - timedelta(microseconds=1)
TEXTS = ["ü ✓ \N{GRINNING FACE}", "NUL \0, quote ', \\' and \"", "x" * 70_000]

by_each = pytest.mark.parametrize("store", MYSQL_KINDS, indirect=True)
by_one = pytest.mark.parametrize("store", ["pymysql"], indirect=True)

DICTS = {
    "pymysql": lambda: {"cursorclass": __import__("pymysql").cursors.DictCursor},
    "mysqlclient": lambda: {"cursorclass": __import__("MySQLdb").cursors.SSDictCursor},
    "mysql-connector": lambda: {"use_unicode": False},
}
HOSTILE = (
    "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT', time_zone = '+05:45'",
    "SET SESSION autocommit = 1, tx_isolation = 'SERIALIZABLE'",
)


def write(connection, batches, window=DAY, table="events", **options):
    return overwrite_window(connection, table, window, batches, time_column="at", **options)


def executed(connection, *statements):
    """The first value of the last statement's row."""
    found = None
    for statement in statements:
        with closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            found = cursor.fetchone() if cursor.description else None
    connection.rollback()
    return found and found[0]


@by_each
def test_a_hostile_session_changes_nothing(store):
    """Whatever zone, mode, character set and row class the connection has, which it gets back."""
    options = {"charset": "latin1"} | DICTS[store.kind]()
    with closing(store.connect(**options)) as connection:
        for statement in HOSTILE:
            with closing(connection.cursor()) as cursor:
                cursor.execute(statement)
        for _ in range(2):
            attempt = begin_attempt(connection, "ün ✓", DAY)
            rows = [batch([DAY.start, FINE, LAST], s=TEXTS)]
            assert write(connection, rows, table="ün ✓", attempt=attempt).rows == 3
        assert committed(connection, "ün ✓", DAY).rows == 3
        with closing(connection.cursor()) as cursor:
            cursor.execute("SELECT CONCAT(@@time_zone, @@sql_mode) AS told")
            told = str(cursor.fetchall())
        assert "+05:45" in told
        assert "NO_BACKSLASH_ESCAPES" in told
    assert [row[1] for row in store.rows("ün ✓")] == TEXTS
    assert [row[0] for row in store.rows("ün ✓")] == [DAY.start, FINE, LAST]


@by_each
def test_a_stale_writer_gives_way_and_an_open_transaction_is_not_joined(store):
    """The fence holds, and what the caller has begun is neither committed nor undone."""
    write(store.connection, [batch([NOON], n=[1])])
    attempt = begin_attempt(store.connection, "events", DAY)
    with closing(store.connect()) as other:
        write(other, [batch([NOON], n=[2])])
    with pytest.raises(StaleWriterError):
        write(store.connection, [batch([NOON], n=[3])], attempt=attempt)
    with closing(store.connection.cursor()) as cursor:
        cursor.execute("DELETE FROM events")
    with pytest.raises(StorageError, match="already open"):
        write(store.connection, [batch([NOON], n=[4])])
    store.connection.rollback()
    assert [row[1] for row in store.rows()] == [2]


@by_each
def test_two_writers_of_a_table_wait_for_each_other(store):
    """First writers of a new table at the same moment, then of the same window: no row is lost or doubled."""
    windows = Window(DAY.start, DAY.end).split(timedelta(hours=6))

    def run(number):
        window = windows[number % len(windows)]
        with closing(store.connect()) as connection:
            for _ in range(3):
                with suppress(StaleWriterError):  # somebody else was faster in this window
                    write(connection, [batch([window.start] * 5, n=[number] * 5)], window)

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(run, range(5))) == [None] * 5
    assert len(store.rows()) == 20


@by_one
def test_tables_are_made_for_texts_that_differ_in_case_alone(store):
    """Sources and keys that a collation would take for one stay apart, also those that differ in accents."""
    for source in ("a", "A", "\N{LATIN SMALL LETTER A WITH DIAERESIS}"):
        write(store.connection, [batch([NOON], n=[1])], source=source)
    assert len(store.rows()) == 3
    assert len(store.query(f"SELECT * FROM {LEDGER}")) == 3


@by_one
def test_a_table_that_would_change_rows_is_refused(store):
    """No transactions, a source that is compared loosely, times of the session's zone or of whole seconds, a view."""
    for table, columns, why in (
        ("a", "(at DATETIME(6)) ENGINE=MyISAM", "MyISAM, which has no transactions"),
        ("b", "(at DATETIME(6), source_name VARCHAR(100))", "takes texts that differ for one"),
        ("c", "(at TIMESTAMP(6))", "is timestamp\\(6\\), and the rows bring datetime"),
        ("d", "(at DATETIME)", "is datetime, and the rows bring datetime\\(6\\)"),
    ):
        store.execute(f"CREATE TABLE {table} {columns}")
        with pytest.raises((StorageError, SchemaMismatch), match=why):
            write(store.connection, [batch([NOON])], table=table, source="x")
        assert store.query(f"SELECT * FROM {table}") == []
    store.execute("CREATE VIEW v AS SELECT * FROM c")
    with pytest.raises(StorageError, match="is a view"):
        write(store.connection, [batch([NOON])], table="v")


@by_one
def test_what_does_not_fit_a_column_of_the_users_own_is_refused_and_not_cut(store):
    """Strict, also where the server is not: a text that is too long, a number out of range."""
    store.execute("SET GLOBAL sql_mode = ''")
    store.execute('CREATE TABLE events ("at" DATETIME(6), n SMALLINT, s VARCHAR(3))')
    with closing(store.connect()) as connection:
        write(connection, [batch([NOON], n=[1], s=["abc"])])
        for column in ({"n": [40_000]}, {"s": ["abcd"]}):
            with pytest.raises(StorageError, match=r"Out of range|too long"):
                write(connection, [batch([NOON], **column)])
        assert [row[1:] for row in store.rows()] == [(1, "abc")]
        with pytest.raises(UnstorableValue, match="Row 2 has inf in column 'f'"):
            write(connection, [batch([NOON] * 2, f=[1.0, float("inf")])])
        with pytest.raises(SchemaMismatch, match="binary"):
            write(connection, [batch([NOON], x=pa.array([b"a"]))])


@by_one
def test_a_row_that_is_longer_than_a_packet_is_reported(store):
    """The server would cut the connection; long rows below that go one by one."""
    ((most,),) = store.query("SELECT @@max_allowed_packet")
    write(store.connection, [batch([NOON] * 3, s=["x" * (most // 3)] * 3)])
    with pytest.raises(UnstorableValue, match="Raise its max_allowed_packet"):
        write(store.connection, [batch([NOON] * 2, s=["y", "x" * most])])
    assert len(store.rows()) == 3


@by_one
def test_a_table_is_named_with_its_database_or_the_connection_has_one(store, mysql_sessions):
    """Without a database the sentence says so; a new database is made, and every driver finds it."""
    with closing(mariadb.by_pymysql(mysql_sessions.port)) as connection:
        with pytest.raises(StorageError, match=r"write database\.events"):
            write(connection, [batch([NOON])])
        with pytest.raises(StorageError, match="nothing around it"):
            write(connection, [batch([NOON])], table="a.b.events")
        try:
            write(connection, [batch([NOON])], table="t_new.events")
            with closing(mariadb.by_connector(mysql_sessions.port)) as other:
                assert write(other, [batch([NOON])], table="t_new.events").deleted == 1
        finally:
            store.execute("DROP DATABASE t_new")
