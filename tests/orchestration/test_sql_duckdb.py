"""What only DuckDB does: its types, its one process, its files."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

from tests.orchestration.rows import DAY, batch
from vectorshift_orchestration.errors import SchemaMismatch, StorageError
from vectorshift_orchestration.storage.duckdb import DuckDB
from vectorshift_orchestration.storage.ledger import LEDGER, committed
from vectorshift_orchestration.storage.sql import overwrite_window

NOON = DAY.start + timedelta(hours=12)


def write(connection, batches, table="events", **options):
    return overwrite_window(connection, table, DAY, batches, time_column="at", **options)


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("n INTEGER", [1.5]),
        ("n VARCHAR", [1]),
        ("n DATE", [DAY.start]),
        ("n DOUBLE", [2**53 + 1]),
        ("n DECIMAL(38,11)", pa.array([Decimal("0.1")], pa.decimal128(38, 12))),
        ("n TIMESTAMPTZ", [DAY.start]),
    ],
)
def test_a_column_of_another_type_is_refused(connection, declared, values):
    """Nothing is rounded, cut or shifted to fit into a column of another type."""
    connection.execute(f'CREATE TABLE events ("at" TIMESTAMP, {declared})')
    with pytest.raises(SchemaMismatch, match="Column 'n'"):
        write(connection, [batch([NOON], n=values)])
    assert connection.execute("FROM events").fetchall() == []


def test_a_narrower_decimal_takes_what_fits(connection):
    """Fewer digits before the point are enough, or an error of the database; none are cut."""
    kind = pa.decimal128(38, 12)
    connection.execute('CREATE TABLE events ("at" TIMESTAMP, n DECIMAL(18,15))')
    write(connection, [batch([NOON], n=pa.array([Decimal("999.000000000001")], kind))])
    with pytest.raises(StorageError, match="out of range"):
        write(connection, [batch([NOON], n=pa.array([Decimal(1000)], kind))])
    assert connection.execute("SELECT n FROM events").fetchall() == [(Decimal("999.000000000001"),)]


def test_a_schema_is_made_and_names_in_other_cases_are_the_same(connection):
    """`lake.Events` and `lake.events` are one table with one note."""
    write(connection, [batch([NOON], n=[1])], "lake.Events")
    write(connection, [batch([NOON], N=[2])], "lake.events")
    assert connection.execute("SELECT n FROM lake.events").fetchall() == [(2,)]
    assert connection.execute(f"SELECT count(*) FROM lake.{LEDGER}").fetchall() == [(1,)]
    assert committed(connection, "LAKE.EVENTS", DAY).rows == 1


def test_an_open_transaction_is_not_taken_over(connection):
    """Rows that somebody has not committed yet are neither committed nor rolled back by us."""
    connection.execute("CREATE TABLE mine (n INTEGER)")
    connection.begin()
    connection.execute("INSERT INTO mine VALUES (1)")
    with pytest.raises(StorageError, match="already open on this connection"):
        write(connection, [batch([NOON])])
    connection.commit()
    assert connection.execute("FROM mine").fetchall() == [(1,)]


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
        write(db, [batch([NOON], s=["old"])], "e")
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
        assert [row[1] for row in db.execute("FROM e").fetchall()] == ["old"]


def test_a_catalog_that_is_attached_is_written_to(connection, tmp_path):
    """`lake.main.events` is the table of another file, whose ledger lies beside it."""
    other = str(tmp_path / "other.duckdb")
    connection.execute(f"ATTACH '{other}' AS lake")
    for deleted in (0, 1):
        written = write(connection, [batch([NOON], n=[1])], "lake.main.events")
        assert (written.rows, written.deleted) == (1, deleted)
    assert committed(connection, "lake.main.events", DAY).rows == 1
    connection.execute("DETACH lake")
    with duckdb.connect(other) as outside:
        assert outside.execute("SELECT n FROM events").fetchall() == [(1,)]


@pytest.mark.parametrize("kind", ["ducklake", "postgres", "motherduck"])
def test_a_catalog_of_another_kind_is_refused(connection, monkeypatch, kind):
    """Its extension is not here, so the answer of DuckDB's own view is: nothing is looked at or made."""
    plain = DuckDB.run

    def run(self, statement, values=()):
        asks = "FROM duckdb_databases()" in statement
        return [(kind,)] if asks else plain(self, statement, values)

    monkeypatch.setattr(DuckDB, "run", run)
    with pytest.raises(StorageError, match=f"lake is a catalog of type {kind}"):
        write(connection, [batch([NOON], n=[1])], "lake.main.events")
