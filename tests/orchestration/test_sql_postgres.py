"""What only PostgreSQL does: its types and limits, its rights, its COPY."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import psycopg2
import pyarrow as pa
import pytest
from adbc_driver_postgresql import dbapi
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from tests.orchestration.conftest import uri
from tests.orchestration.rows import DAY, batch
from vectorshift_orchestration.errors import (
    SchemaMismatch,
    StaleWriterError,
    StorageError,
    UnstorableValue,
)
from vectorshift_orchestration.storage.databases import database_of
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.storage.locks import Territory
from vectorshift_orchestration.storage.sql import begin_attempt, overwrite_window
from vectorshift_orchestration.storage.transactions import transaction
from vectorshift_orchestration.windows import Window

DRIVERS = {
    "psycopg": psycopg.connect,
    "psycopg2": psycopg2.connect,
    "adbc": lambda conninfo: dbapi.connect(uri(conninfo)),
}
NOON = DAY.start + timedelta(hours=12)


@pytest.fixture
def connection(postgres):
    with psycopg.connect(postgres) as opened:
        yield opened


def write(connection, batches, table="events", **options):
    return overwrite_window(connection, table, DAY, batches, time_column="at", **options)


def fetch(connection, statement):
    result = connection.execute(statement).fetchall()
    connection.rollback()
    return result


def test_instants_are_timestamptz_whatever_the_session_thinks(connection, postgres):
    """A session in Kathmandu stores, deletes and finds the same instants."""
    connection.execute("SET TIME ZONE 'Asia/Kathmandu'; SET datestyle TO 'German, DMY'")
    connection.commit()
    for _ in range(2):
        write(connection, [batch([DAY.start, DAY.end - timedelta(milliseconds=1)])])
    with psycopg.connect(postgres) as other:
        result = other.execute('SELECT "at", pg_typeof("at")::text FROM events ORDER BY 1')
        assert result.fetchall()[0] == (DAY.start, "timestamp with time zone")
        assert committed(other, "events", DAY).rows == 2


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("n integer", [1.5]),
        ("n text", [1]),
        ("n timestamp", [DAY.start]),
        ("n double precision", [2**53 + 1]),
        ("n real", [0.1]),
        ("n numeric(10,1)", pa.array([Decimal("1.25")], pa.decimal128(10, 2))),
        ("n bpchar", ["trailing "]),
    ],
)
def test_a_column_of_another_type_is_refused(connection, declared, values):
    """Nothing is rounded, cut or shifted to fit into a column of another type."""
    connection.execute(f'CREATE TABLE events ("at" timestamptz, {declared})')
    connection.commit()
    with pytest.raises(SchemaMismatch, match="Column 'n'"):
        write(connection, [batch([NOON], n=values)])
    assert fetch(connection, "SELECT * FROM events") == []


@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        ("n smallint", [32767], [32768]),
        ("n varchar(3)", ["abc"], ["abcd"]),
        ("n numeric(6,3)", [Decimal("999.99")], [Decimal("1000.00")]),
    ],
)
@pytest.mark.parametrize("driver", ["psycopg", "adbc"])
def test_a_narrower_column_takes_what_fits(connection, postgres, declared, good, bad, driver):
    """A value that does not fit is refused by the database; nothing is cut."""
    from adbc_driver_postgresql import dbapi

    connection.execute(f'CREATE TABLE events ("at" timestamptz, {declared})')
    connection.commit()
    kind = pa.decimal128(10, 2) if isinstance(good[0], Decimal) else None
    with dbapi.connect(uri(postgres)) as adbc:
        writer = connection if driver == "psycopg" else adbc
        write(writer, [batch([NOON], n=pa.array(good, kind))])
        with pytest.raises(StorageError, match=r"was not changed|does not fit") as caught:
            write(writer, [batch([NOON], n=pa.array(bad, kind))])
    assert "\n" not in str(caught.value)  # COPY would tell the row after the first line
    assert [row[1] for row in fetch(connection, "SELECT * FROM events")] == good


def test_a_value_that_cannot_be_stored_is_named(connection):
    """NUL characters and nanoseconds: row and column are reported, and the old row stays."""
    write(connection, [batch([NOON], s=["old"])])
    with pytest.raises(UnstorableValue, match="Row 3 has a NUL") as caught:
        write(connection, [batch([NOON, NOON], s=["a", "b"]), batch([NOON], s=["c\0d"])])
    assert (caught.value.row, caught.value.column) == (3, "s")
    fine = pa.array([1], pa.timestamp("ns", "UTC"))
    with pytest.raises(UnstorableValue, match="finer"):
        write(connection, [batch([NOON], t=fine)])
    with pytest.raises(SchemaMismatch, match="list"):
        write(connection, [batch([NOON], many=[[1]])])
    assert fetch(connection, "SELECT s FROM events") == [("old",)]


def test_unsigned_integers_are_exact(connection):
    """uint64 beyond int64 becomes numeric."""
    write(connection, [batch([NOON], n=pa.array([2**64 - 1], pa.uint64()))])
    assert fetch(connection, "SELECT n FROM events") == [(Decimal(2**64 - 1),)]


def test_names_longer_than_the_server_keeps_are_refused(connection):
    """The server would cut them without an error, and two names could become one."""
    for names in ({"table": "t" * 64}, {"batches": [batch([NOON], **{"é" * 32: [1]})]}):
        with pytest.raises(StorageError, match="63 bytes"):
            write(connection, **{"batches": [batch([NOON])], **names})


def test_schemas_databases_and_the_search_path(connection):
    """A schema is made on first use; one table has one name, however it is written."""
    ((schema, database),) = fetch(connection, "SELECT current_schema(), current_database()")
    write(connection, [batch([NOON])])
    write(connection, [batch([NOON])], f"{schema}.events")
    write(connection, [batch([NOON])], f"{database}.{schema}.events")
    assert fetch(connection, "SELECT count(*) FROM _vectorshift_windows") == [(1,)]
    lake = f"{schema}_lake"
    try:
        write(connection, [batch([NOON])], f"{lake}.events")
        assert committed(connection, f"{lake}.events", DAY).rows == 1
    finally:
        connection.execute(f"DROP SCHEMA IF EXISTS {lake} CASCADE")
        connection.commit()
    with pytest.raises(StorageError, match="another database"):
        write(connection, [batch([NOON])], f"nope.{schema}.events")


def test_autocommit_and_row_factories_do_not_matter(postgres):
    """An autocommit connection stays one, and its rows may come as dicts."""
    with psycopg.connect(postgres, autocommit=True, row_factory=dict_row) as connection:
        write(connection, [batch([NOON], n=[1])])
        assert committed(connection, "events", DAY).rows == 1
        assert connection.autocommit
        assert connection.execute("SELECT n FROM events").fetchall() == [{"n": 1}]


def test_who_waits_for_the_lock_sees_what_was_committed_meanwhile(connection, postgres):
    """Even a session that asks for one snapshot of a transaction: it gives way."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    attempt = begin_attempt(connection, "events", DAY)
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = %s"
    pid = connection.info.backend_pid

    def let_the_other_wait():
        late.append(pool.submit(write, connection, [batch([NOON])], attempt=attempt))
        deadline = time.monotonic() + 20
        with psycopg.connect(postgres, autocommit=True) as look:
            while not look.execute(waiting, [pid]).fetchone():
                assert time.monotonic() < deadline, "it does not wait"

    late = []
    with ThreadPoolExecutor(1) as pool, psycopg.connect(postgres) as first:
        write(first, [batch([NOON, NOON])], before_commit=let_the_other_wait)
        with pytest.raises(StaleWriterError):
            late[0].result(20)
    assert write(connection, [batch([NOON])]).deleted == 2


def test_first_writers_at_once_make_one_table(postgres):
    """Eight days of a table that nobody has made yet, each with a column of its own."""
    start = threading.Barrier(8)

    def first(number):
        day = Window(DAY.start + timedelta(days=number), DAY.end + timedelta(days=number))
        rows = [batch([day.start], **{f"c{number}": [number]})]
        with psycopg.connect(postgres) as connection:
            start.wait(20)
            overwrite_window(connection, "events", day, rows, time_column="at")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(first, range(8)))
    with psycopg.connect(postgres) as look:
        names = {row[0] for row in look.execute("SELECT * FROM events").description}
        assert names == {"at", *(f"c{number}" for number in range(8))}
        assert look.execute("SELECT count(*) FROM events").fetchone() == (8,)


def test_an_open_transaction_is_not_taken_over(connection, postgres):
    """Rows that somebody has not committed yet are neither committed nor rolled back by us."""
    from adbc_driver_postgresql import dbapi

    connection.execute("CREATE TABLE mine (n integer)")
    connection.commit()
    with dbapi.connect(uri(postgres)) as adbc:
        for number, opened in enumerate((connection, adbc)):
            with opened.cursor() as cursor:
                cursor.execute(f"INSERT INTO mine VALUES ({number})")
            for attempt in (write, lambda c, _: begin_attempt(c, "events", DAY)):
                with pytest.raises(StorageError, match="already open on this connection"):
                    attempt(opened, [batch([NOON])])
            opened.commit()
    assert fetch(connection, "SELECT * FROM mine") == [(0,), (1,)]


def test_a_transaction_that_somebody_else_ends_is_noticed(connection):
    """`before_commit` that commits, rolls back or breaks the transaction cannot fake a success."""

    def swallow():
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT 1/0")

    for meddle, says in ((connection.rollback, "ended"), (swallow, "failed unseen")):
        with pytest.raises(StorageError, match=says):
            write(connection, [batch([NOON])], before_commit=meddle)
        assert fetch(connection, "SELECT to_regclass('events')") == [(None,)]


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_hint_of_the_server_is_reported(postgres_schemas, driver):
    """A publication for all tables wants a replica identity, which the server's hint says and its error does not."""
    name = f"t_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_schemas.conninfo, autocommit=True) as root:
        root.execute(f"CREATE DATABASE {name}")
        requested = make_conninfo(postgres_schemas.conninfo, dbname=name)
        with closing(DRIVERS[driver](requested)) as connection:
            write(connection, [batch([NOON])])
            with psycopg.connect(requested, autocommit=True) as other:
                other.execute("CREATE PUBLICATION everything FOR ALL TABLES")
            with pytest.raises(StorageError, match="set REPLICA IDENTITY using ALTER TABLE"):
                write(connection, [batch([NOON])])
        root.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_few_rights_are_enough(connection):
    """Where the tables exist, SELECT, INSERT, UPDATE and DELETE on them are all that is needed."""
    write(connection, [batch([NOON])])
    ((schema,),) = fetch(connection, "SELECT current_schema()")
    role = f"writer_{schema}"
    connection.execute(
        f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA {schema} TO {role};"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"
    )
    connection.execute(f"SET ROLE {role}")
    connection.commit()
    assert write(connection, [batch([NOON, NOON])]).rows == 2
    with pytest.raises(StorageError, match="permission denied"):
        write(connection, [batch([NOON])], "others")
    connection.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")
    connection.commit()


def test_connections_of_other_sorts_are_named(postgres):
    """A closed connection and an async one are refused; an autocommit ADBC one stays one."""
    from adbc_driver_postgresql import dbapi

    closed = psycopg.connect(postgres)
    closed.close()
    with pytest.raises(StorageError, match="closed"):
        write(closed, [batch([NOON])])

    async def awaited():
        async with await psycopg.AsyncConnection.connect(postgres) as connection:
            with pytest.raises(StorageError, match="AsyncConnection"):
                write(connection, [batch([NOON])])

    asyncio.run(awaited())
    with dbapi.connect(uri(postgres), autocommit=True) as adbc:
        write(adbc, [batch([NOON])])
        assert adbc.adbc_connection.get_option("adbc.connection.autocommit") == "true"


def test_a_closed_connection_is_an_error_of_ours(connection, postgres):
    """By either driver, and not the driver's own."""
    from adbc_driver_postgresql import dbapi

    closed = dbapi.connect(uri(postgres))
    closed.close()
    connection.close()
    for each in (connection, closed):
        with pytest.raises(StorageError):
            begin_attempt(each, "events", DAY)


def test_a_transaction_of_adbc_that_only_reads_is_committed(postgres):
    """One that changes no row, as when a lost COMMIT is looked up, was not ended by somebody else."""
    from adbc_driver_postgresql import dbapi

    territory = Territory(TableName("events", "public"), DAY)
    with dbapi.connect(uri(postgres)) as adbc:
        for _ in range(2):
            with transaction(database := database_of(adbc), "", territory):
                assert database.run("SELECT 1") == [(1,)]
