"""Delta and Iceberg tables: a window is replaced in one commit, readers see old or new, writers are fenced."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog import load_catalog
from upath import UPath

from tests.orchestration.rows import DAY, batch
from tests.processes import free_port
from vectorshift_orchestration.errors import (
    RowOutsideWindow,
    SchemaMismatch,
    StaleWriterError,
    StorageError,
    UnstorableValue,
    WindowTakenError,
)
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.storage.delta import DeltaLake
from vectorshift_orchestration.storage.iceberg import IcebergLake
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.storage.lake_address import lake_of
from vectorshift_orchestration.storage.sql import (
    begin_attempt,
    begin_attempts,
    committed,
    overwrite_window,
    overwrite_windows,
)
from vectorshift_orchestration.windows import Window

NOON = DAY.start + timedelta(hours=12)
YESTERDAY = Window(DAY.start - timedelta(days=1), DAY.start)
TOMORROW = Window(DAY.end, DAY.end + timedelta(days=1))
WEEK = Window(DAY.start - timedelta(days=3), DAY.end + timedelta(days=3))


class Tables:
    """A lake of either kind, and what another reader finds in it."""

    def __init__(self, kind, folder):
        self.kind, self.folder = kind, folder
        self.lake = self.opened()

    def opened(self):
        if self.kind == "delta":
            return DeltaLake(self.folder / "a lake")
        return IcebergLake(self._catalog())

    def _catalog(self):
        uri = f"sqlite:///{self.folder}/catalog.db"
        return load_catalog("c", type="sql", uri=uri, warehouse=f"file://{self.folder}/warehouse")

    def table(self, name="events"):
        if self.kind == "delta":
            return DeltaTable(self.folder / "a lake" / name).to_pyarrow_table()
        return self._catalog().load_table(("default", name)).scan().to_arrow()

    def rows(self, *columns):
        table = self.table().sort_by("at")
        return [tuple(row.values()) for row in table.select(columns or ["at", "n"]).to_pylist()]

    def write(self, batches, window=DAY, **options):
        return overwrite_window(
            options.pop("lake", self.lake), "events", window, batches, time_column="at", **options
        )


@pytest.fixture(params=["delta", "iceberg"])
def tables(request, tmp_path):
    return Tables(request.param, tmp_path)


def test_a_window_is_replaced_in_one_commit_and_its_neighbours_stay(tables):
    """Rows at both edges: the start is replaced, the end belongs to the next; an empty window is an answer."""
    assert tables.write([batch([DAY.start, NOON], n=[1, 2])]).deleted == 0
    tables.write([batch([DAY.end], n=[3])], TOMORROW)
    written = tables.write([batch([DAY.start], n=[4]), batch([NOON], n=[5])])
    assert (written.rows, written.deleted, written.columns_added) == (2, 2, ())
    assert tables.rows() == [(DAY.start, 4), (NOON, 5), (DAY.end, 3)]
    told = committed(tables.lake, "events", DAY)
    assert (told.window, told.rows) == (DAY, 2)
    written = tables.write(batch([], n=pa.array([], pa.int64())).schema.empty_table())
    assert (written.rows, written.deleted) == (0, 2)
    assert committed(tables.opened(), "events", DAY).rows == 0
    assert tables.rows() == [(DAY.end, 3)]


def test_values_are_exact(tables):
    """Amounts digit by digit, whole numbers to the ends of int64, microseconds, any zone, awkward texts."""
    fine = NOON + timedelta(microseconds=1)
    at = pa.array([fine] * 2, pa.timestamp("us", "Asia/Kathmandu"))
    amounts = [Decimal("99999999999999999999999999.999999999999"), Decimal("-0.000000000001")]
    texts = ["ü ✓ \N{GRINNING FACE} 'q\" \\ \n", ""]
    rows = pa.table(
        {
            "at": at,
            "n": [2**63 - 1, -(2**63)],
            "cost": pa.array(amounts, pa.decimal128(38, 12)),
            "s": pa.array(texts).dictionary_encode(),
            "f": [5e-324, None],
            "b": [True, None],
            "u": pa.array([2**64 - 1, None], pa.uint64()),
            "none": pa.nulls(2),
        }
    )
    for _ in range(2):
        tables.write(rows)
    found = tables.table().sort_by([("n", "descending")]).to_pydict()
    assert found["at"] == [fine] * 2
    assert (found["n"], found["cost"], found["s"]) == ([2**63 - 1, -(2**63)], amounts, texts)
    assert (found["f"], found["b"]) == ([5e-324, None], [True, None])
    assert found["u"] == [2**64 - 1, None]
    with pytest.raises(SchemaMismatch, match="list"):
        tables.write([batch([NOON], x=[[1]])])


def test_columns_are_added_and_never_dropped_or_retyped(tables):
    """New ones come at the end and are null before, missing ones are null, another type is refused."""
    tables.write([batch([NOON], n=[1], s=["a"], f=[0.5], m=pa.array([1], pa.decimal128(9, 2)))])
    added = tables.write([batch([DAY.end], x=[2.5], n=[2])], TOMORROW).columns_added
    assert added == ("x",)
    columns = ("n", "s", "f", "x")
    assert tables.rows(*columns) == [(1, "a", 0.5, None), (2, None, None, 2.5)]
    before = tables.rows(*columns)
    for column, error in (
        ({"s": [1]}, SchemaMismatch),
        ({"f": pa.array([Decimal("0.1")], pa.decimal128(9, 2))}, SchemaMismatch),
        ({"m": pa.array([Decimal("0.123")], pa.decimal128(9, 3))}, SchemaMismatch),
        ({"m": pa.array([Decimal("12345678.1")], pa.decimal128(38, 1))}, UnstorableValue),
    ):
        with pytest.raises(error, match="No row was changed"):
            tables.write([batch([NOON], **column)])
    assert tables.rows(*columns) == before


def test_what_fails_before_the_commit_leaves_the_old_rows(tables):
    """Batches that break, a row outside, and whoever says no at the last moment; its own error is reported."""

    def breaking():
        yield batch([NOON], n=[2])
        raise ConnectionResetError("cut")

    def stop():
        raise PermissionError("no")

    tables.write([batch([NOON], n=[1])], key="old")
    with pytest.raises(ConnectionResetError, match="cut"):
        tables.write(breaking())
    with pytest.raises(RowOutsideWindow, match="Row 2 for events"):
        tables.write([batch([NOON, DAY.end], n=[2, 3])])
    with pytest.raises(PermissionError, match="no"):
        tables.write([batch([NOON], n=[4])], before_commit=stop)
    assert tables.rows() == [(NOON, 1)]
    assert committed(tables.lake, "events", DAY).key == "old"


def test_a_writer_that_was_overtaken_gives_way(tables):
    """By the same window or one that overlaps it, and not by a neighbour's."""
    tables.write([batch([NOON], n=[1])])
    for overtaker, stale in ((DAY, True), (WEEK, True), (TOMORROW, False)):
        attempt = begin_attempt(tables.opened(), "events", DAY)
        tables.write([batch([overtaker.end - timedelta(hours=1)], n=[2])], overtaker)
        if stale:
            with pytest.raises(StaleWriterError):
                tables.write([batch([NOON], n=[3])], attempt=str(attempt))
        else:
            tables.write([batch([NOON], n=[3])], attempt=str(attempt))
    assert (NOON, 3) in tables.rows()


def test_whoever_commits_second_looks_again(tables, monkeypatch):
    """Between the look and the commit somebody else commits: another window is kept, the same one is a refusal."""
    tables.write([batch([NOON], n=[0])])
    other, replace, meanwhile = tables.opened(), type(tables.lake).replace, []

    def overtaken(lake, *args, **options):
        if lake is tables.lake and meanwhile:
            window = meanwhile.pop()
            tables.write([batch([window.start], n=[7])], window, lake=other)
        replace(lake, *args, **options)

    monkeypatch.setattr(type(tables.lake), "replace", overtaken)
    meanwhile.append(TOMORROW)
    tables.write([batch([NOON], n=[1])])
    assert tables.rows() == [(NOON, 1), (DAY.end, 7)]
    meanwhile.append(DAY)
    with pytest.raises(StaleWriterError):
        tables.write([batch([NOON], n=[2])])
    assert tables.rows() == [(DAY.start, 7), (DAY.end, 7)]


def test_many_writers_lose_and_double_nothing_and_readers_see_whole_windows(tables):
    """Four writers of windows side by side, each twice, while somebody reads."""
    windows = DAY.split(timedelta(hours=6))
    tables.write([batch([window.start for window in windows] * 10, n=[-1] * 40)])
    done, seen = threading.Event(), []

    def look():
        while not done.is_set():
            counts = tables.table().group_by(["at", "n"]).aggregate([([], "count_all")])
            seen.append(sorted(counts.column("count_all").to_pylist()))

    def write(number):
        lake = tables.opened()
        window = windows[number % 4]
        for mark in (number, number + 4):
            rows = [batch([window.start] * 5, n=[mark] * 5)] * 2
            with suppress(StaleWriterError):
                tables.write(rows, window, lake=lake)

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(look)
        try:
            list(pool.map(write, range(4)))
        finally:
            done.set()
        reader.result()
    assert len(seen) > 1
    assert all(counts == [10] * 4 for counts in seen)
    assert sorted(n for _, n in tables.rows()) == sorted([4, 5, 6, 7] * 10)


def test_windows_in_a_row_are_one_commit(tables):
    """A backfill's windows together; how many rows each had is reported."""
    days = [YESTERDAY, DAY, TOMORROW]
    parts = {
        window: pa.Table.from_batches(
            [batch([window.start] * count, n=pa.array([count] * count, pa.int64()))]
        )
        for count, window in enumerate(days)
    }
    for deleted in ([0, 0, 0], [0, 1, 2]):
        attempts = begin_attempts(tables.lake, "events", days, query_key="q")
        written = overwrite_windows(
            tables.lake, "events", parts, time_column="at", query_key="q", attempts=attempts
        )
        assert [each.rows for each in written.values()] == [0, 1, 2]
        assert [each.deleted for each in written.values()] == deleted
    assert [committed(tables.lake, "events", window).rows for window in days] == [0, 1, 2]


def test_another_query_does_not_replace_rows_unseen_and_sources_share_a_table(tables):
    """Refused before the work and before the rows go; a source replaces its own rows only."""
    tables.write([batch([NOON], n=[1])], query_key="a")
    with pytest.raises(WindowTakenError, match="another query"):
        begin_attempt(tables.lake, "events", WEEK, query_key="b")
    with pytest.raises(WindowTakenError):
        tables.write([batch([NOON], n=[2])], query_key="b")
    with pytest.raises(WindowTakenError):
        tables.write([batch([NOON], n=[2])], query_key="a", source="it's")
    tables.write([batch([NOON], n=[3])], query_key="b", source="it's", replace_other=True)
    for number in (4, 5):
        tables.write([batch([NOON], n=[number])], query_key="c", source="B")
    assert sorted(tables.rows("source_name", "n")) == [("B", 5), ("it's", 3)]
    assert committed(tables.lake, "events", DAY, source="B").rows == 1


def test_a_landing_lands_in_a_lake(tables, tmp_path):
    """Rows of health as they come, with a file beside them or without."""
    landing = Landing(
        table="events", connect=lambda: nullcontext(tables.lake), destination=tmp_path / "x.parquet"
    )
    rows = pa.Table.from_batches([batch([NOON], n=[1])])
    for deleted in (0, 1):
        landed = landing.write_measured([DAY], lambda: {DAY: rows}, time_column="at", query_key="q")
        assert (landed[DAY].rows, landed[DAY].deleted) == (1, deleted)
    assert (tmp_path / "x.parquet").exists()
    assert landing.committed(DAY).query_key == "q"


def test_a_delta_table_of_the_users_own_is_written_to(tmp_path):
    """Partitioned, with other columns; OPTIMIZE and whoever else commits in between are no other writer of ours."""
    path = tmp_path / "events"
    own = pa.Table.from_batches([batch([NOON, DAY.end], n=[1, 2], day=["22", "23"])])
    write_deltalake(path, own, partition_by=["day"])
    attempt = begin_attempt(DeltaLake(tmp_path), "events", DAY)
    DeltaTable(path).optimize.compact()
    rows = [batch([NOON] * 2, n=[3, 4], day=["22", "22"])]
    written = overwrite_window(
        DeltaLake(tmp_path), "events", DAY, rows, time_column="at", attempt=attempt
    )
    assert (written.rows, written.deleted) == (2, 1)
    assert sorted(DeltaTable(path).to_pyarrow_table().column("n").to_pylist()) == [2, 3, 4]


def test_a_table_without_instants_in_utc_is_refused(tmp_path):
    """A Delta table of times without a zone would be compared in another one."""
    naive = pa.table({"at": pa.array([NOON.replace(tzinfo=None)], pa.timestamp("us"))})
    write_deltalake(tmp_path / "events", naive)
    with pytest.raises(SchemaMismatch, match=r"Column 'at' of .* is timestamp"):
        overwrite_window(DeltaLake(tmp_path), "events", DAY, [batch([NOON])], time_column="at")


@pytest.fixture(scope="module")
def endpoint():
    """A bucket on an S3-compatible server, and its credentials in the environment.

    In a process of its own: delta-rs keeps the interpreter's lock while it waits for an answer.
    """
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "eu-west-1",
        }.items():
            environment.setenv(name, value)
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _make_bucket(url)
            yield url
        finally:
            server.terminate()
            server.wait(30)


def _make_bucket(url):
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError):
            UPath("s3://lake", endpoint_url=url, key="testing", secret="testing").mkdir()
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_a_lake_in_an_object_store(endpoint, kind, tmp_path, monkeypatch):
    """By one text and the environment; two writers of one window, of whom one gives way."""
    text = "delta:s3://lake/tables"
    if kind == "iceberg":
        for name, value in {
            "TYPE": "sql",
            "URI": f"sqlite:///{tmp_path}/catalog.db",
            "WAREHOUSE": "s3://lake/warehouse",
            "S3__ENDPOINT": endpoint,
        }.items():
            monkeypatch.setenv(f"PYICEBERG_CATALOG__PROD__{name}", value)
        text = "iceberg:prod"
    with closing(lake_of(text)) as first, closing(lake_of(text)) as second:
        attempts = [begin_attempt(each, "health.events", DAY) for each in (first, second)]
    lake = lake_of(text)
    rows = [batch([NOON], n=[1])]
    overwrite_window(lake, "health.events", DAY, rows, time_column="at", attempt=attempts[0])
    with pytest.raises(StaleWriterError):
        overwrite_window(lake, "health.events", DAY, rows, time_column="at", attempt=attempts[1])
    assert overwrite_window(lake, "health.events", DAY, rows, time_column="at").deleted == 1
    address = lake.address(TableName.parse("health.events"))
    assert address.startswith("s3://lake/")
    lake.close()
    catalog = str(tmp_path / "catalog.db")
    assert catalog not in {os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("s3://lake/tables", "is not a lake"),
        ("delta:", "is not a lake"),
        ("delta:s3://key@lake/tables", "credentials from the environment"),
        ("iceberg:nowhere", "Iceberg catalog 'nowhere' cannot be opened"),
    ],
)
def test_what_is_no_lake_is_told_so(text, why):
    """By its text, before anything is opened."""
    with pytest.raises(StorageError, match=why):
        lake_of(text)


@pytest.mark.parametrize("table", ["..", "a/b", "a\\b"])
def test_a_table_stays_in_its_folder(tmp_path, table):
    """A name that would lead elsewhere is refused."""
    with pytest.raises(StorageError):
        begin_attempt(DeltaLake(tmp_path), table, DAY)
