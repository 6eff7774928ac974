"""One transaction replaces one window, in every kind of database: nothing lost, doubled, half done."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.orchestration.conftest import EVERY_KIND, MYSQL_KINDS
from tests.orchestration.rows import DAY, batch
from vectorshift_orchestration.errors import (
    RowOutsideWindow,
    SchemaMismatch,
    StorageError,
    UnstorableValue,
)
from vectorshift_orchestration.storage.databases import as_utc
from vectorshift_orchestration.storage.ledger import LEDGER, committed
from vectorshift_orchestration.storage.sql import overwrite_window
from vectorshift_orchestration.windows import Window

NOON = DAY.start + timedelta(hours=12)
YESTERDAY = Window(DAY.start - timedelta(days=1), DAY.start)
TOMORROW = Window(DAY.end, DAY.end + timedelta(days=1))

in_every_kind = pytest.mark.parametrize("store", EVERY_KIND, indirect=True)


@pytest.fixture
def write(store):
    """Write batches over the store's connection."""
    connection = store.connection

    def write(batches, window=DAY, table="events", **options):
        return overwrite_window(connection, table, window, batches, time_column="at", **options)

    write.connection = connection
    return write


@in_every_kind
def test_a_window_is_replaced_and_its_neighbours_stay(store, write):
    """Rows at both edges of the window: the start is replaced, the end belongs to the next."""
    write([batch([DAY.start], n=[1])])
    write([batch([DAY.end], n=[2])], TOMORROW)
    written = write([batch([DAY.start, NOON], n=[3, 4])])
    assert (written.rows, written.deleted, written.columns_added) == (2, 1, ())
    assert store.rows() == [(DAY.start, 3), (NOON, 4), (DAY.end, 2)]


@in_every_kind
def test_writing_twice_leaves_the_same_rows(store, write):
    """The second run of the same window changes nothing but the ledger's own columns."""
    for _ in range(2):
        write([batch([NOON], n=[1])])
    assert store.rows() == [(NOON, 1)]
    assert len(store.query(f"SELECT * FROM {LEDGER}")) == 1


def test_an_empty_window_makes_the_table_and_empties_the_window(store, write):
    """No rows is an answer: the columns exist, old rows of the window are gone."""
    shape = batch([], n=pa.array([], pa.int64())).schema
    write([], schema=shape)
    assert store.rows() == []
    write([batch([NOON], n=[1])])
    written = write(shape.empty_table())
    assert (written.rows, written.deleted) == (0, 1)
    with pytest.raises(StorageError, match="no schema"):
        write([])


def test_tables_readers_and_iterables_are_all_taken(store, write):
    """The three ways in which Arrow hands over rows give the same table."""
    one = batch([NOON], n=[1])
    forms = [
        pa.Table.from_batches([one]),
        pa.RecordBatchReader.from_batches(one.schema, [one]),
        iter([one]),
    ]
    for form in forms:
        assert write(form).rows == 1
        assert store.rows() == [(NOON, 1)]


@in_every_kind
def test_a_batch_that_fails_half_way_leaves_the_old_rows(store, write):
    """The source breaks after some rows were inserted: rows and ledger are as before."""
    write([batch([NOON], n=[1])], key="old")
    before = store.rows(), store.query(f"SELECT * FROM {LEDGER}")

    def breaking():
        yield batch([NOON], n=[2])
        yield batch([NOON], n=[3])
        raise ConnectionResetError("cut")

    with pytest.raises(ConnectionResetError):
        write(breaking(), key="new", replace_other=True)
    assert (store.rows(), store.query(f"SELECT * FROM {LEDGER}")) == before
    assert committed(write.connection, "events", DAY).key == "old"
    write([batch([NOON], n=[3])])
    assert store.rows() == [(NOON, 3)]


@in_every_kind
def test_a_first_write_that_fails_leaves_no_row(store, write):
    """Where the database can undo DDL, even the table itself belongs to the transaction."""

    def breaking():
        yield batch([NOON], n=[2])
        raise ConnectionResetError("cut")

    with pytest.raises(ConnectionResetError):
        write(breaking())
    if store.kind in ("plain", *MYSQL_KINDS):
        assert store.rows() == []
    else:
        assert store.tables() == set()


def test_the_last_word_before_the_commit_can_stop_it(store, write):
    """`before_commit` runs when all rows are in, and its error undoes them."""
    write([batch([NOON], n=[1])])
    seen = []

    def stop():
        if store.kind == "duckdb":  # its cursors are connections of their own
            seen.append(write.connection.execute("SELECT count(*) FROM events").fetchone())
        else:
            with closing(write.connection.cursor()) as cursor:
                cursor.execute("SELECT count(*) FROM events")
                seen.append(tuple(cursor.fetchone()))
        raise PermissionError("no")

    with pytest.raises(PermissionError):
        write([batch([NOON, NOON], n=[1, 2])], before_commit=stop)
    assert seen == [(2,)]
    assert store.rows() == [(NOON, 1)]


def test_a_row_outside_the_window_stops_everything(store, write):
    """A row at the end, before the start, far away or without a time: its number is named."""
    write([batch([NOON], n=[1])])
    early, far = DAY.start - timedelta(milliseconds=1), DAY.end + timedelta(days=400)
    for stray in (DAY.end, early, far, None):
        batches = [batch([NOON, NOON], n=[2, 3]), batch([NOON, stray], n=[4, 5])]
        with pytest.raises(RowOutsideWindow, match="Row 4 for events has at") as caught:
            write(batches)
        assert caught.value.row == 4
    assert store.rows() == [(NOON, 1)]


@in_every_kind
def test_new_columns_are_added_and_missing_ones_are_null(store, write):
    """Columns appear at the end, none is dropped or reordered, and order does not matter."""
    write([batch([NOON], n=[1], s=["a"])])
    late = pa.RecordBatch.from_pydict(
        {"x": [2.5], "n": [2], "at": pa.array([DAY.end], pa.timestamp("us", "UTC"))}
    )
    assert write([late], TOMORROW).columns_added == ("x",)
    assert store.rows() == [(NOON, 1, "a", None), (DAY.end, 2, None, 2.5)]


def test_batches_of_different_columns_are_refused(store, write):
    """A batch that lacks a column, or has another one, is not half understood."""
    for other in (batch([NOON], n=[1], s=["a"]), batch([NOON])):
        with pytest.raises(SchemaMismatch, match="No row was changed"):
            write([batch([NOON], n=[1]), other])
    assert "events" not in store.tables() or store.rows() == []


@in_every_kind
def test_values_arrive_as_they_are(store, write):
    """Integers to the ends of int64, decimals, floats, dates, and every awkward text."""
    texts = ['q"\\.\n\\.\n', "tab\tcr\r\\N", "", None, "ü ✓ \U0001f600", "%s ? $1 :v1"]
    rows = batch(
        [NOON] * 6,
        n=[2**53 + 1, 2**63 - 1, -(2**63), 0, 1, None],
        s=texts,
        d=pa.array([Decimal("12345678901234567890.123456")] * 5 + [None], pa.decimal128(30, 6)),
        f=[0.1, 5e-324, 1.7976931348623157e308, -0.0, 1e22, None],
        b=[True, False, None, True, False, None],
        day=pa.array([date(2024, 2, 29)] * 6),
    )
    write([rows.slice(0, 3), rows.slice(3)])
    columns = "n, s, d, f, b, day"
    found = store.query(f"SELECT {columns} FROM events ORDER BY n, s")
    expected = rows.drop_columns(["at"]).to_pylist()
    for row in expected:
        if store.kind == "sqlite":  # which has neither decimals nor dates
            row["d"] = row["d"] and str(row["d"])
            row["day"] = row["day"].isoformat()
    assert sorted(found, key=repr) == sorted((tuple(row.values()) for row in expected), key=repr)


AMOUNTS = [
    Decimal(text)
    for text in ("0", "0.1", "-0.000000000001", "99999999999999999999999999.999999999999")
]


@in_every_kind
def test_amounts_are_exact(store, write):
    """Money of 38 digits is stored, added to a table, and written again, digit by digit."""
    write([batch([NOON] * 4, n=[0, 1, 2, 3])])
    money = pa.array(AMOUNTS, pa.decimal128(38, 12))
    for _ in range(2):
        write([batch([NOON] * 4, n=[0, 1, 2, 3], cost=money)])
    found = store.query("SELECT cost FROM events ORDER BY n")
    if store.kind == "sqlite":  # text, in plain digits
        assert [len(cost.partition(".")[2]) for (cost,) in found] == [12] * 4
    assert [Decimal(cost) for (cost,) in found] == AMOUNTS


@in_every_kind
def test_a_column_of_doubles_takes_no_amounts(store, write):
    """Money is never rounded into a column that an earlier version made."""
    write([batch([NOON], cost=[0.5])])
    with pytest.raises(SchemaMismatch, match="exact decimals"):
        write([batch([NOON], cost=pa.array([Decimal("0.1")], pa.decimal128(38, 12)))])
    assert store.query("SELECT cost FROM events") == [(0.5,)]


@in_every_kind
def test_times_are_instants_whatever_zone_they_come_in(store, write):
    """Tokyo, naive UTC and UTC columns hold the same instant; microseconds are kept."""
    at = NOON + timedelta(microseconds=1)
    for kind in (pa.timestamp("us", "Asia/Tokyo"), pa.timestamp("us"), pa.timestamp("ns", "UTC")):
        plain = at.replace(tzinfo=None) if kind.tz is None else at
        table = pa.table({"at": pa.array([plain], pa.timestamp("us", kind.tz)).cast(kind)})
        write(table)
        assert store.rows() == [(at,)]


@in_every_kind
def test_a_column_without_a_value_today_takes_text_tomorrow(store, write):
    """All null, and nobody said of what type: text, where the table has no other column for it."""
    for rows in ([None], ["a"]):
        write([batch([NOON], s=pa.array(rows))])
        assert store.rows() == [(NOON, *rows)]
    write([batch([NOON], s=["a"], n=[1])])
    write([batch([NOON], s=["b"], n=pa.nulls(1))])
    assert store.rows() == [(NOON, "b", None)]


@in_every_kind
def test_times_of_any_unit_go_into_one_column(store, write):
    """Seconds made the table, then come nanoseconds, milliseconds, microseconds."""
    for unit in ("s", "ns", "ms", "us"):
        at = pa.array([NOON], pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, "UTC"))
        write(pa.table({"at": at, "t": at}))
        assert [tuple(map(as_utc, row)) for row in store.rows()] == [(NOON, NOON)]
    fine = pa.array([None, 1], pa.timestamp("ns", "UTC"))
    with pytest.raises(
        UnstorableValue, match="Row 3 has a time in column 't' that is finer"
    ) as told:
        write([batch([NOON], t=[NOON]), batch([NOON] * 2, t=fine)])
    assert (told.value.row, told.value.column) == (3, "t")


@in_every_kind
@pytest.mark.parametrize(
    ("values", "stored"),
    [
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.RunEndEncodedArray.from_arrays([1, 2], ["a", "b"]), ["a", "b"]),
        (pa.array([1, 2], pa.uint8()).dictionary_encode(), [1, 2]),
        (pa.array([Decimal("0.10"), None], pa.decimal32(5, 2)), [Decimal("0.10"), None]),
        (pa.array([Decimal("0.10"), None], pa.decimal64(12, 2)), [Decimal("0.10"), None]),
        (pa.array([Decimal("0.10"), None], pa.decimal256(30, 2)), [Decimal("0.10"), None]),
        (pa.array([date(2024, 2, 29), None], pa.date64()), [date(2024, 2, 29), None]),
        (pa.array([0.1, None], pa.float32()), [0.10000000149011612, None]),
        (pa.array([0.5, None], pa.float16()), [0.5, None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_encodings_of_arrow_are_undone(store, write, values, stored):
    """Categoricals, views, narrow decimals and milliseconds of a date: what counts is the value."""
    write([batch([NOON] * 2, v=values)])
    if store.kind == "sqlite":
        stored = [str(v) if isinstance(v, Decimal | date) else v for v in stored]
    assert sorted((row[1] for row in store.rows()), key=repr) == sorted(stored, key=repr)
    if stored[0] == "a":  # a value of tomorrow that is not among today's
        write([batch([NOON], v=pa.array(["c"]))])
        assert store.rows() == [(NOON, "c")]


FRAMES = {
    "pandas": lambda: pd.DataFrame({"at": pd.to_datetime([NOON]), "v": pd.Categorical(["a"])}),
    "polars, categorical": lambda: pl.DataFrame({"at": [NOON], "v": ["a"]}).cast(
        {"v": pl.Categorical}
    ),
    "polars, enum": lambda: pl.DataFrame({"at": [NOON], "v": ["a"]}).cast({"v": pl.Enum(["a"])}),
    "encoded times": lambda: pa.table(
        {"at": pa.array([NOON], pa.timestamp("us", "UTC")).dictionary_encode(), "v": ["a"]}
    ),
}


@in_every_kind
@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_data_frames_are_taken_by_their_values(store, write, frame):
    """A frame of pandas or polars as it is, its categoricals as text; and times in any encoding."""
    write(frame())
    assert store.rows() == [(NOON, "a")]


@pytest.mark.parametrize("rows", [[{"at": NOON}], [pa.table({"at": [NOON]})], ["a"], 5])
def test_what_is_not_arrow_is_refused(store, write, rows):
    """Dicts, and tables among batches, are refused in a sentence."""
    with pytest.raises(StorageError, match="Rows come as Arrow batches, not as"):
        write(rows)
    assert store.tables() == set()


def test_rows_without_a_time_column_are_refused(store, write):
    """A time column that does not exist, or holds no instants, is an error before any change."""
    with pytest.raises(SchemaMismatch, match="'at'"):
        write([pa.RecordBatch.from_pydict({"n": [1]})])
    with pytest.raises(SchemaMismatch, match="'at'"):
        write([pa.RecordBatch.from_pydict({"at": [1]})])
    assert store.tables() == set()


NAMES = [
    'we"ird',
    "select",
    'x"; DROP TABLE events; --',
    "ün ï ✓",
    "a%sb%%c",
    "q?q$1:v1",
    "back\\slash'quote",
    "new\nline",
    "{braces}",
    "CamelCase",
]


@in_every_kind
def test_any_name_is_only_a_name(store, write):
    """Quotes, keywords, markers and SQL in names of tables and columns are harmless."""
    for name in NAMES:
        rows = pa.RecordBatch.from_pydict(
            {name: pa.array([NOON], pa.timestamp("us", "UTC")), f"{name}2": ["x"]}
        )
        overwrite_window(write.connection, name, DAY, [rows], time_column=name)
        overwrite_window(write.connection, name, DAY, [rows], time_column=name)
        assert store.rows(name) == [(NOON, "x")]
        assert committed(write.connection, name, DAY).rows == 1
    assert store.tables() - {"_vectorshift_locks"} == {*NAMES, LEDGER}


def test_names_that_are_none_are_refused(store, write):
    """Empty parts, too many parts and NUL are errors, not guesses."""
    for table in ("", "a.", "a.b.c.d", " . ", "a\0b"):
        with pytest.raises(StorageError):
            write([batch([NOON])], table=table)
    with pytest.raises(StorageError):
        write([batch([NOON], **{"a\0b": [1]})])
    assert store.tables() == set()


def test_two_columns_of_one_name_are_refused(store, write):
    """The second would hide the first."""
    twice = pa.RecordBatch.from_arrays(
        [pa.array([NOON], pa.timestamp("us", "UTC")), pa.array([1]), pa.array([2])],
        names=["at", "n", "n"],
    )
    with pytest.raises(SchemaMismatch, match="'n'"):
        write([twice])


@in_every_kind
def test_the_ledger_records_what_was_committed(store, write):
    """Key, rows, checksum and attempt can be read back; other windows have none."""
    assert committed(write.connection, "events", DAY) is None
    write([batch([NOON])], key="k", sha256="ab")
    write([batch([NOON])], key="k", sha256="cd")
    commit = committed(write.connection, "events", DAY)
    assert (commit.window, commit.key, commit.rows, commit.sha256) == (DAY, "k", 1, "cd")
    assert len(commit.attempt_token) == 65
    assert datetime.now(UTC) - commit.committed_at < timedelta(minutes=1)
    assert committed(write.connection, "events", TOMORROW) is None
    assert committed(write.connection, "other", DAY) is None


def test_a_wider_window_takes_over_the_notes_of_those_in_it(store, write):
    """A range that replaces whole days leaves one note; its neighbour keeps its own."""
    for window in (YESTERDAY, DAY, TOMORROW):
        write([batch([window.start])], window)
    both = Window(YESTERDAY.start, DAY.end)
    write([batch([NOON])], both)
    assert committed(write.connection, "events", DAY) is None
    assert committed(write.connection, "events", both).rows == 1
    assert committed(write.connection, "events", TOMORROW).rows == 1


def test_progress_counts_inserted_rows(write):
    """The callback sees the rows after each batch."""
    seen = []
    write([batch([NOON] * 2), batch([NOON] * 3)], progress=seen.append)
    assert seen == [2, 5]


def test_other_connections_are_named(tmp_path):
    """A connection that we cannot write to is refused by its type."""
    with pytest.raises(StorageError, match="not to PosixPath"):
        overwrite_window(Path(tmp_path), "e", DAY, [batch([NOON])], time_column="at")


@in_every_kind
def test_an_old_ledger_gains_the_new_columns(store, write):
    """A ledger from before attempts is taken on: its windows count as never contested."""
    kind = "TIMESTAMPTZ" if store.kind in ("postgres", "psycopg2", "adbc") else "TIMESTAMP"
    kind = "DATETIME(6)" if store.kind in MYSQL_KINDS else kind
    store.execute(
        f"CREATE TABLE {LEDGER} (table_name VARCHAR(200), window_start {kind}, window_end {kind}, "
        f"request_key VARCHAR(200), row_count BIGINT, sha256 VARCHAR(200), committed_at {kind})"
    )
    assert committed(write.connection, "events", DAY) is None
    write([batch([NOON], n=[1])])
    assert committed(write.connection, "events", DAY).rows == 1
