"""One transaction replaces one window: nothing lost, nothing doubled, nothing half done."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from tests.orchestration.rows import DAY, batch
from vectorshift_orchestration.errors import RowOutsideWindow, SchemaMismatch, StorageError
from vectorshift_orchestration.storage.ledger import LEDGER, committed
from vectorshift_orchestration.storage.sql import overwrite_window
from vectorshift_orchestration.windows import Window

NOON = DAY.start + timedelta(hours=12)
YESTERDAY = Window(DAY.start - timedelta(days=1), DAY.start)
TOMORROW = Window(DAY.end, DAY.end + timedelta(days=1))


def rows(connection, table="events"):
    return connection.execute(f"FROM {table} ORDER BY ALL").fetchall()


def test_a_window_is_replaced_and_its_neighbours_stay(connection):
    """Rows at both edges of the window: the start is replaced, the end belongs to the next."""
    overwrite_window(connection, "events", DAY, [batch([DAY.start], n=[1])], time_column="at")
    overwrite_window(connection, "events", TOMORROW, [batch([DAY.end], n=[2])], time_column="at")
    written = overwrite_window(
        connection, "events", DAY, [batch([DAY.start, NOON], n=[3, 4])], time_column="at"
    )
    assert (written.rows, written.deleted, written.columns_added) == (2, 1, ())
    assert [row[1] for row in rows(connection)] == [3, 4, 2]


def test_writing_twice_leaves_the_same_rows(connection):
    """The second run of the same window changes nothing but the ledger's time."""
    for _ in range(2):
        overwrite_window(connection, "events", DAY, [batch([NOON], n=[1])], time_column="at")
    assert len(rows(connection)) == 1
    assert len(rows(connection, LEDGER)) == 1


def test_an_empty_window_makes_the_table_and_empties_the_window(connection):
    """No rows is an answer: the columns exist, old rows of the window are gone."""
    shape = batch([], n=pa.array([], pa.int64())).schema
    overwrite_window(connection, "events", DAY, [], schema=shape, time_column="at")
    assert rows(connection) == []
    overwrite_window(connection, "events", DAY, [batch([NOON], n=[1])], time_column="at")
    written = overwrite_window(connection, "events", DAY, shape.empty_table(), time_column="at")
    assert (written.rows, written.deleted) == (0, 1)
    with pytest.raises(StorageError, match="no schema"):
        overwrite_window(connection, "events", DAY, [], time_column="at")


def test_tables_readers_and_iterables_are_all_taken(connection):
    """The three ways in which Arrow hands over rows give the same table."""
    one = batch([NOON], n=[1])
    forms = [
        pa.Table.from_batches([one]),
        pa.RecordBatchReader.from_batches(one.schema, [one]),
        iter([one]),
    ]
    for form in forms:
        assert overwrite_window(connection, "events", DAY, form, time_column="at").rows == 1
        assert rows(connection) == [(NOON.replace(tzinfo=None), 1)]


def test_a_batch_that_fails_half_way_leaves_the_old_rows(connection):
    """The source breaks after some rows were inserted: rows, columns and ledger are as before."""
    overwrite_window(connection, "events", DAY, [batch([NOON], n=[1])], time_column="at", key="old")
    before = rows(connection), rows(connection, LEDGER)

    def breaking():
        yield batch([NOON], n=[2], late=["x"])
        raise ConnectionResetError("cut")

    with pytest.raises(ConnectionResetError):
        overwrite_window(connection, "events", DAY, breaking(), time_column="at", key="new")
    assert (rows(connection), rows(connection, LEDGER)) == before
    assert committed(connection, "events", DAY).key == "old"
    overwrite_window(connection, "events", DAY, [batch([NOON], n=[3])], time_column="at")


def test_a_first_write_that_fails_leaves_no_table(connection):
    """Even the table itself belongs to the transaction."""

    def breaking():
        yield batch([NOON], n=[2])
        raise ConnectionResetError("cut")

    with pytest.raises(ConnectionResetError):
        overwrite_window(connection, "lake.events", DAY, breaking(), time_column="at")
    assert connection.execute("SHOW ALL TABLES").fetchall() == []


def test_the_last_word_before_the_commit_can_stop_it(connection):
    """`before_commit` runs when all rows are in, and its error undoes them."""
    seen = []

    def stop():
        seen.append(connection.execute("SELECT count(*) FROM events").fetchone())
        raise PermissionError("no")

    with pytest.raises(PermissionError):
        overwrite_window(
            connection, "events", DAY, [batch([NOON], n=[1])], time_column="at", before_commit=stop
        )
    assert seen == [(1,)]
    assert connection.execute("SHOW TABLES").fetchall() == []


@pytest.mark.parametrize(
    "stray",
    [DAY.end, DAY.start - timedelta(milliseconds=1), DAY.end + timedelta(days=400), None],
)
def test_a_row_outside_the_window_stops_everything(connection, stray):
    """A row at the end, before the start, far away or without a time: its number is named."""
    overwrite_window(connection, "events", DAY, [batch([NOON], n=[1])], time_column="at")
    batches = [batch([NOON, NOON], n=[2, 3]), batch([NOON, stray], n=[4, 5])]
    with pytest.raises(RowOutsideWindow, match="Row 4 for events has at") as caught:
        overwrite_window(connection, "events", DAY, batches, time_column="at")
    assert caught.value.row == 4
    assert [row[1] for row in rows(connection)] == [1]


def test_new_columns_are_added_and_missing_ones_are_null(connection):
    """Columns appear at the end, none is dropped or reordered, and order does not matter."""
    overwrite_window(connection, "events", DAY, [batch([NOON], n=[1], s=["a"])], time_column="at")
    late = pa.RecordBatch.from_pydict(
        {"x": [2.5], "n": [2], "at": pa.array([DAY.end], pa.timestamp("us", "UTC"))}
    )
    written = overwrite_window(connection, "events", TOMORROW, [late], time_column="at")
    assert written.columns_added == ("x",)
    assert [row[1:] for row in rows(connection)] == [(1, "a", None), (2, None, 2.5)]


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("n INTEGER", [1.5]),
        ("n VARCHAR", [1]),
        ("n DATE", [DAY.start]),
        ("n DOUBLE", [2**53 + 1]),
        ("n TIMESTAMPTZ", [DAY.start]),
    ],
)
def test_a_column_of_another_type_is_refused(connection, declared, values):
    """Nothing is rounded, cut or shifted to fit into a column of another type."""
    connection.execute(f'CREATE TABLE events ("at" TIMESTAMP, {declared})')
    with pytest.raises(SchemaMismatch, match="Column 'n'"):
        overwrite_window(connection, "events", DAY, [batch([NOON], n=values)], time_column="at")
    assert rows(connection) == []


def test_rows_without_a_time_column_are_refused(connection):
    """A time column that does not exist, or holds no instants, is an error before any change."""
    for name in ("nope", "n"):
        with pytest.raises(SchemaMismatch, match=name):
            overwrite_window(connection, "events", DAY, [batch([NOON], n=[1])], time_column=name)
    assert connection.execute("SHOW TABLES").fetchall() == []


def test_large_integers_are_exact(connection):
    """Integers beyond 2^53 and up to the ends of int64 arrive exactly."""
    exact = [2**53 + 1, 2**63 - 1, -(2**63)]
    overwrite_window(connection, "events", DAY, [batch([NOON] * 3, n=exact)], time_column="at")
    assert {row[1] for row in rows(connection)} == set(exact)


@pytest.mark.parametrize(
    "table", ["events", "lake.events", 'we"ird', "select", 'lake.drop table x; --"', "ün ï"]
)
def test_any_name_is_only_a_name(connection, table):
    """Schemas are made, and quotes, keywords and spaces in names are harmless."""
    overwrite_window(
        connection, table, DAY, [batch([NOON], **{'or"der; --': [1]})], time_column="at"
    )
    schema, _, name = table.rpartition(".")
    found = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE table_name <> ?", [LEDGER]
    )
    assert found.fetchall() == [(schema or "main", name)]
    assert committed(connection, table, DAY).rows == 1


@pytest.mark.parametrize("table", ["", "a.", "a.b.c.d", " . ", "a\0b"])
def test_names_that_are_none_are_refused(connection, table):
    """Empty parts and too many parts are errors, not guesses."""
    with pytest.raises(StorageError):
        overwrite_window(connection, table, DAY, [batch([NOON])], time_column="at")


def test_the_ledger_tells_what_was_committed(connection):
    """Key, rows and checksum of a window can be read back; other windows have none."""
    assert committed(connection, "events", DAY) is None
    overwrite_window(
        connection, "events", DAY, [batch([NOON])], time_column="at", key="k", sha256="ab"
    )
    commit = committed(connection, "events", DAY)
    assert (commit.window, commit.key, commit.rows, commit.sha256) == (DAY, "k", 1, "ab")
    assert datetime.now(UTC) - commit.committed_at < timedelta(minutes=1)
    assert committed(connection, "events", TOMORROW) is None
    assert committed(connection, "other", DAY) is None


def test_a_wider_window_takes_over_the_notes_of_those_in_it(connection):
    """A range that replaces whole days leaves one note; its neighbour keeps its own."""
    for window in (YESTERDAY, DAY, TOMORROW):
        overwrite_window(connection, "events", window, [batch([window.start])], time_column="at")
    both = Window(YESTERDAY.start, DAY.end)
    overwrite_window(connection, "events", both, [batch([NOON])], time_column="at")
    assert committed(connection, "events", DAY) is None
    assert committed(connection, "events", both).rows == 1
    assert committed(connection, "events", TOMORROW).rows == 1


def test_the_ledger_can_be_left_out(connection):
    """With ledger=False only the table itself is written."""
    overwrite_window(connection, "t", DAY, [batch([NOON])], time_column="at", ledger=False)
    assert connection.execute("SHOW TABLES").fetchall() == [("t",)]


def test_an_open_transaction_is_not_taken_over(connection):
    """Rows that somebody has not committed yet are neither committed nor rolled back by us."""
    connection.execute("CREATE TABLE mine (n INTEGER)")
    connection.begin()
    connection.execute("INSERT INTO mine VALUES (1)")
    with pytest.raises(StorageError, match="already open on this connection"):
        overwrite_window(connection, "events", DAY, [batch([NOON])], time_column="at")
    connection.commit()
    assert rows(connection, "mine") == [(1,)]


def test_of_two_writers_of_one_window_one_commits(connection):
    """Two transactions that both saw an empty window: the second fails, one set of rows stays."""
    overwrite_window(connection, "events", YESTERDAY, [batch([YESTERDAY.start])], time_column="at")
    inside, go = threading.Event(), threading.Event()
    results = []

    def slow():
        def wait():
            inside.set()
            go.wait(10)

        cursor = connection.cursor()
        try:
            overwrite_window(
                cursor, "events", DAY, [batch([NOON])], time_column="at", before_commit=wait
            )
            results.append("slow")
        except StorageError:
            results.append("lost")

    thread = threading.Thread(target=slow)
    thread.start()
    assert inside.wait(10)
    try:
        overwrite_window(
            connection.cursor(), "events", DAY, [batch([NOON])], time_column="at", key="fast"
        )
        results.append("fast")
    except StorageError:
        results.append("lost")
    go.set()
    thread.join(10)
    assert "lost" in results
    assert len(results) == 2
    assert len(rows(connection)) == 2


def test_the_zone_of_the_process_does_not_matter(tmp_path):
    """A writer that lives in Tokyo stores and replaces the same UTC hours."""
    script = (
        "import sys, duckdb, pyarrow as pa\n"
        "from vectorshift_orchestration.storage.sql import overwrite_window\n"
        "from vectorshift_orchestration.windows import Window\n"
        "day = Window.parse('2026-11-22T00:00:00Z', '2026-11-23T00:00:00Z')\n"
        "at = pa.array([day.start], pa.timestamp('us', 'Asia/Tokyo'))\n"
        "with duckdb.connect(sys.argv[1]) as db:\n"
        "    for _ in range(2):\n"
        "        overwrite_window(db, 'e', day, pa.table({'at': at}), time_column='at')\n"
        "    print(db.execute('FROM e').fetchall())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "tokyo.duckdb")],
        env={**os.environ, "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[(datetime.datetime(2026, 11, 22, 0, 0),)]"


def test_a_full_disk_changes_no_row(tmp_path):
    """The database file may not grow: the error is ours and the old rows are there afterwards."""
    path = tmp_path / "full.duckdb"
    with duckdb.connect(str(path)) as db:
        overwrite_window(db, "e", DAY, [batch([NOON], s=["old"])], time_column="at")
    script = (
        "import resource, signal, sys, duckdb, pyarrow as pa, os\n"
        "from vectorshift_orchestration.errors import StorageError\n"
        "from vectorshift_orchestration.storage.sql import overwrite_window\n"
        "from vectorshift_orchestration.windows import Window\n"
        "day = Window.parse('2026-11-22T00:00:00Z', '2026-11-23T00:00:00Z')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "noise = [os.urandom(64).hex() for _ in range(100_000)]\n"
        "at = pa.array([day.start] * len(noise), pa.timestamp('us', 'UTC'))\n"
        "db = duckdb.connect(sys.argv[1])\n"
        "try:\n"
        "    overwrite_window(db, 'e', day, pa.table({'at': at, 's': noise}), time_column='at')\n"
        "except StorageError as error:\n"
        "    print('refused:', 'was not changed' in str(error))\n"
        "os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "refused: True", done.stderr
    with duckdb.connect(str(path)) as db:
        assert [row[1] for row in rows(db, "e")] == ["old"]


def test_other_connections_are_named(tmp_path):
    """A connection that we cannot write to is refused by its type."""
    with pytest.raises(StorageError, match="not to PosixPath"):
        overwrite_window(Path(tmp_path), "e", DAY, [batch([NOON])], time_column="at")


def test_progress_counts_inserted_rows(connection):
    """The callback sees the rows after each batch."""
    seen = []
    batches = [batch([NOON] * 2), batch([NOON] * 3)]
    overwrite_window(connection, "e", DAY, batches, time_column="at", progress=seen.append)
    assert seen == [2, 5]
