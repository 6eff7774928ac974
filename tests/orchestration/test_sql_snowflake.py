"""Snowflake's own connector against a server that answers it: names, types, staged files, transactions."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from fakesnow.transforms.stage import LOCAL_BUCKET_PATH

from tests.orchestration.rows import DAY, batch
from vectorshift_orchestration.errors import (
    SchemaMismatch,
    StaleWriterError,
    StorageError,
    WindowTakenError,
)
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.storage.snowflake import Snowflake
from vectorshift_orchestration.storage.sql import begin_attempt, overwrite_window
from vectorshift_orchestration.windows import Window

NOON = DAY.start + timedelta(hours=12)
TOMORROW = Window(DAY.end, DAY.end + timedelta(days=1))
MANY = 300  # rows that go through the stage

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:fakesnow")  # of DuckDB 2, in its code


@pytest.fixture(scope="module")
def store(snowflake_sessions):
    """One schema for the module: each statement takes a while, and each test has a table of its own."""
    with snowflake_sessions.store() as made:
        yield made


def write(connection, table, batches, window=DAY, **options):
    return overwrite_window(connection, table, window, batches, time_column="at", **options)


def rows_of(count, at=NOON, **columns):
    """A batch whose columns repeat their values."""
    columns = {name: (values * count)[:count] for name, values in columns.items()}
    times = [at + timedelta(microseconds=number) for number in range(count)]
    return batch(times, **columns)


@pytest.mark.parametrize("count", [3, MANY], ids=["in a statement", "staged"])
def test_values_arrive_as_they_are_under_the_names_that_users_write(store, count):
    """Microseconds, amounts of 38 digits, the ends of int64, NULL beside an empty text, any sign and name."""
    texts = ['it\'s \\ "q" %s ?\n\t✓ \N{GRINNING FACE}', "", None]
    amounts = [Decimal("12345678901234567890123456.789012345678"), Decimal("-0.000000000001"), None]
    values = {
        "n": [2**63 - 1, -(2**63), None],
        "s": texts,
        "f": [0.1, -1e300, None],
        "b": [True, False, None],
        "d": [date(2026, 3, 29), None, date(1, 1, 1)],
        "Mixed case": ["a", "b", "c"],
    }
    table = f"values_{count}"
    columns = {name: (column * count)[:count] for name, column in values.items()}
    rows = rows_of(count, **columns)
    zoned = rows.column("at").cast(pa.timestamp("us", "Asia/Kathmandu"))
    rows = rows.set_column(0, "at", zoned)
    for name, column in (
        ("p", pa.array((amounts * count)[:count], pa.decimal128(38, 12))),
        ("u", pa.array(([2**64 - 1, 0, None] * count)[:count], pa.uint64())),
    ):
        rows = rows.append_column(name, column)
    for deleted in (0, count):
        written = write(store.connection, table, [rows])
        assert (written.rows, written.deleted) == (count, deleted)
    columns = 'n, s, f, b, d, "Mixed case", p, u'
    found = store.query(f'SELECT "AT", {columns} FROM {table} ORDER BY 1')
    assert len(found) == count
    assert [row[0] for row in found[:2]] == [
        (NOON + timedelta(microseconds=number)).replace(tzinfo=None) for number in (0, 1)
    ]
    expected = zip(*values.values(), amounts, [2**64 - 1, 0, None], strict=True)
    assert [row[1:] for row in found[:3]] == list(expected)
    commit = committed(store.connection, table, DAY)
    assert (commit.window, commit.rows) == (DAY, count)


def test_a_window_is_replaced_with_its_note_or_not_at_all(store):
    """A neighbour stays; a source that breaks half way, once rows are staged, leaves rows, note and stage as they were."""
    write(store.connection, "events", [rows_of(2, DAY.end, n=[1])], TOMORROW)
    write(store.connection, "events", [rows_of(MANY, n=[1])], key="old")

    def breaking():
        yield rows_of(MANY, n=[2])
        raise ConnectionResetError("cut")

    with pytest.raises(ConnectionResetError):
        write(store.connection, "events", breaking(), replace_other=True)
    assert committed(store.connection, "events", DAY).key == "old"
    counted = store.query("SELECT count(*), sum(n) FROM events")
    assert counted == [(MANY + 2, MANY + 2)]
    assert not list(Path(LOCAL_BUCKET_PATH).rglob("*.parquet"))


def test_a_stale_writer_gives_way_and_an_open_transaction_is_not_joined(store):
    """The fence and the owner are kept in the ledger; what the caller has begun is neither committed nor undone."""
    table = "fenced"
    attempt = begin_attempt(store.connection, table, DAY, query_key="a")
    write(store.connection, table, [rows_of(1, n=[1])], query_key="a")
    with pytest.raises(StaleWriterError):
        write(store.connection, table, [rows_of(1, n=[2])], query_key="a", attempt=attempt)
    with pytest.raises(WindowTakenError):
        begin_attempt(store.connection, table, DAY, query_key="b")
    cursor = store.connection.cursor()
    cursor.execute("BEGIN")
    cursor.execute(f"DELETE FROM {table}")
    with pytest.raises(StorageError, match="already open"):
        write(store.connection, table, [rows_of(1, n=[3])], query_key="a")
    cursor.execute("ROLLBACK")
    assert store.query(f"SELECT n FROM {table}") == [(1,)]


def test_columns_are_added_and_those_that_would_change_values_are_refused(store):
    """Doubles for amounts, times of another kind, and a column that was made in quotes and is another one."""
    store.execute('CREATE TABLE own ("AT" TIMESTAMP_NTZ, amount FLOAT, stamped TIMESTAMP_TZ)')
    assert write(store.connection, "own", [rows_of(1, n=[1])]).columns_added == ("n",)
    amount = rows_of(1).append_column("amount", pa.array([Decimal("0.10")]))
    stamped = rows_of(1).append_column("stamped", pa.array([NOON], pa.timestamp("us", "UTC")))
    for rows, why in ((amount, "FLOAT, and the rows bring NUMBER"), (stamped, "TIMESTAMP_TZ")):
        with pytest.raises(SchemaMismatch, match=why):
            write(store.connection, "own", [rows])
    store.execute('CREATE TABLE quoted ("AT" TIMESTAMP_NTZ, "n" NUMBER(19, 0))')
    with pytest.raises(SchemaMismatch, match=r'Column "n" .* made in quotes'):
        write(store.connection, "quoted", [rows_of(1, n=[1])])
    with pytest.raises(SchemaMismatch, match="no exact column type"):
        write(store.connection, "own", [rows_of(1, x=[b"a"])])


def test_a_session_of_any_style_and_the_names_of_a_schema_elsewhere(store):
    """A paramstyle and autocommit of the user's own change nothing; a schema is made where it is named."""
    connection = store.connect(paramstyle="qmark", autocommit=False)
    try:
        for _ in range(2):
            written = write(connection, "Elsewhere.events", [rows_of(1, s=["? %s"])])
        assert (written.rows, written.deleted) == (1, 1)
        current = connection.cursor().execute("SELECT CURRENT_SCHEMA()").fetchone()
        assert current == store.query("SELECT CURRENT_SCHEMA()")[0]  # CREATE SCHEMA chose the other
    finally:
        connection.close()
    assert store.query("SELECT s FROM elsewhere.events") == [("? %s",)]


@pytest.mark.parametrize(
    ("present", "incoming", "fits"),
    [
        ("NUMBER(38,0)", "NUMBER(19,0)", True),
        ("NUMBER(10,2)", "NUMBER(38,12)", False),
        ("TIMESTAMP_NTZ(3)", "TIMESTAMP_NTZ(6)", False),
        ("TIMESTAMP_LTZ(9)", "TIMESTAMP_NTZ(6)", False),
        ("VARCHAR(10)", "VARCHAR", True),
        ("VARCHAR(10) COLLATE 'en-ci'", "VARCHAR", False),
    ],
)
def test_a_column_is_taken_when_it_keeps_or_refuses_each_value(store, present, incoming, fits):
    """What it would round, shift or take for another text is a mismatch."""
    assert Snowflake(store.connection).accepts(incoming, present) is fits
