"""Parquet from an export, the deterministic names of windows, and the sweeper."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from tests.orchestration.rows import DAY, event, write_csv
from vectorshift_orchestration.errors import ExportFileError, PublishError, UnstorableValue
from vectorshift_orchestration.landing import ExportFile, Landing
from vectorshift_orchestration.readers import read_export
from vectorshift_orchestration.storage.destinations import partition_path
from vectorshift_orchestration.storage.disks import partial_name
from vectorshift_orchestration.storage.parquet import write_parquet
from vectorshift_orchestration.storage.sweeper import sweep
from vectorshift_orchestration.tables import EVENT_SCHEMA
from vectorshift_orchestration.windows import Window


@pytest.fixture
def export(tmp_path):
    return write_csv(tmp_path / "export.csv", [event(number, region="eu") for number in range(500)])


def rows_of(path):
    schema, batches = read_export(path, "CSV")
    return pa.Table.from_batches(batches, schema)


@pytest.mark.parametrize("remote", [False, True])
def test_parquet_holds_the_same_table(tmp_path, export, remote):
    """Schema, types and rows are those of the export; running again gives the same bytes."""
    root = UPath("memory://parquet") if remote else tmp_path
    target = root / "out" / "part-0.parquet"
    seen = []
    first = write_parquet(*read_export(export, "CSV"), target, progress=seen.append)
    second = write_parquet(*read_export(export, "CSV"), target)
    assert first == second
    assert seen[-1] == 500
    with target.open("rb") as file:
        written = pq.ParquetFile(file)
        assert written.read().equals(rows_of(export))
        assert written.metadata.row_group(0).column(0).compression == "ZSTD"
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_row_groups_are_bounded(tmp_path, export, monkeypatch):
    """Rows are written group by group, so that the file may be larger than the memory."""
    monkeypatch.setattr("vectorshift_orchestration.formats.csv._BLOCK_BYTES", 16_000)
    monkeypatch.setattr("vectorshift_orchestration.storage.parquet._GROUP_ROWS", 100)
    target = tmp_path / "out.parquet"
    write_parquet(*read_export(export, "CSV"), target)
    metadata = pq.read_metadata(target)
    sizes = [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)]
    assert len(sizes) > 3
    assert max(sizes) < 200
    assert sum(sizes) == 500


def test_an_empty_window_is_a_file_with_all_columns(tmp_path):
    """No rows, and still the whole schema."""
    path = write_csv(tmp_path / "empty.csv", [])
    write_parquet(*read_export(path, "CSV"), tmp_path / "empty.parquet")
    result = pq.read_table(tmp_path / "empty.parquet")
    assert (result.num_rows, result.schema) == (0, EVENT_SCHEMA)


def test_the_files_of_all_windows_have_one_schema(tmp_path):
    """Null today and text tomorrow, a unit of time, a categorical: nothing depends on the day."""
    at = pa.array([DAY.start], pa.timestamp("us", "UTC"))
    today = pa.table(
        {
            "at": at.cast(pa.timestamp("ns", "UTC")),
            "s": pa.nulls(1),
            "k": pa.array(["a"]).dictionary_encode(),
        }
    )
    tomorrow = pa.table({"at": at, "s": ["x"], "k": ["b"]})
    for name, rows in {"1": today, "2": tomorrow}.items():
        write_parquet(rows.schema, rows.to_batches(), tmp_path / f"{name}.parquet")
    schemas = [pq.read_schema(tmp_path / f"{name}.parquet") for name in "12"]
    assert schemas == [tomorrow.schema] * 2
    fine = pa.table({"at": pa.array([1], pa.timestamp("ns", "UTC"))})
    with pytest.raises(UnstorableValue, match="Row 1 has a time in column 'at'"):
        write_parquet(fine.schema, fine.to_batches(), tmp_path / "3.parquet")
    assert not (tmp_path / "3.parquet").exists()


def test_a_source_that_breaks_leaves_no_parquet(tmp_path, export):
    """An export that turns out to be cut leaves the old file and no temporary one."""
    target = tmp_path / "out" / "x.parquet"
    write_parquet(*read_export(export, "CSV"), target)
    before = target.read_bytes()
    export.write_bytes(export.read_bytes()[:-1])
    with pytest.raises(ExportFileError):
        write_parquet(*read_export(export, "CSV"), target)
    assert target.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_landing_may_convert(tmp_path, export):
    """`Landing(parquet=True)` publishes the rows; size and checksum stay those of the export."""
    file = ExportFile(export, "CSV", 1, "ab", 500)
    target = partition_path(tmp_path / "lake", "events", DAY, "parquet")
    done = Landing(destination=target, parquet=True).write_export(file, DAY)
    assert done.uri == f"file://{target}"
    assert pq.read_table(tmp_path / "lake/events/dt=2026-11-22/part-0.parquet").num_rows == 500
    assert (done.bytes, done.sha256) == (1, "ab")


# --- names -------------------------------------------------------------------------


def test_a_window_has_one_name_below_each_root():
    """The name depends on root, table, window and extension alone, and keeps the root's type."""
    name = "events/dt=2026-11-22/part-0.csv"
    assert partition_path("s3://lake/raw/", "events", DAY, "CSV") == f"s3://lake/raw/{name}"
    assert partition_path("file:///", "events", DAY, "csv") == f"file:///{name}"
    assert partition_path("/", "events", DAY, "csv") == f"/{name}"
    assert partition_path(Path("a"), "events", DAY, "csv") == Path("a") / name
    remote = partition_path(UPath("memory://lake"), "events", DAY, "csv")
    assert (type(remote), remote.path) == (type(UPath("memory://x")), f"/lake/{name}")
    hour = Window(DAY.start, DAY.start + timedelta(hours=1))
    assert partition_path("r", "a.b", hour, "json") == (
        "r/a.b/dt=20261122T000000Z-20261122T010000Z/part-0.json"
    )


@pytest.mark.parametrize(
    ("table", "extension"),
    [
        ("../x", "csv"),
        ("a/b", "csv"),
        ("..", "csv"),
        ("", "csv"),
        ("a\0b", "csv"),
        ("a\\b", "csv"),
        ("x" * 201, "csv"),
        ("events", "../csv"),
        ("events", ""),
        ("events.", "csv"),
        ("\u202eevents", "csv"),
    ],
)
def test_a_name_that_could_lead_elsewhere_is_refused(table, extension):
    """Separators, dots, control characters and endless names are not part of a path."""
    with pytest.raises(PublishError, match="cannot be part of a path"):
        partition_path("root", table, DAY, extension)
    with pytest.raises(PublishError, match="root is empty"):
        partition_path("", "events", DAY, "csv")


# --- leftovers -----------------------------------------------------------------------

OURS = (
    ".vs-0123456789abcdef0123456789abcdef.partial",
    ".vs-0123456789abcdef.csv.0a1b2c3d.part",
)
STAGED = ("vs-0123456789abcdef.csv", "vs-0123456789abcdef.xlsx")
FOREIGN = (
    "data.csv",
    ".vs-123.partial",
    "vs-0123456789abcdef0123456789abcdef.partial",
    ".vs-0123456789abcdef0123456789abcdef.partial.bak",
    ".report.csv.0a1b2c3d.part",
    ".vs-0123456789abcdef.exe.0a1b2c3d.part",
    ".vs-0123456789ABCDEF0123456789ABCDEF.partial",
)


@pytest.fixture
def littered(tmp_path):
    """A folder with our leftovers and foreign files, all two days old, and one file under way."""
    root = tmp_path / "lake"
    (root / "deep" / "er").mkdir(parents=True)
    for folder in (root, root / "deep" / "er"):
        for name in (*OURS, *STAGED, *FOREIGN):
            (folder / name).write_text("x")
            os.utime(folder / name, (time.time() - 48 * 3600,) * 2)
    under_way = root / partial_name()
    under_way.write_text("under way")
    os.utime(under_way, (time.time(),) * 2)  # by this process's clock, which `make clock` moves
    outside = tmp_path / OURS[0]
    outside.write_text("x")
    os.utime(outside, (0, 0))
    (root / "linked").mkdir()
    (root / "linked" / OURS[0]).symlink_to(outside)
    (root / "link").symlink_to(tmp_path, target_is_directory=True)
    return root


def names(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_only_our_old_leftovers_are_removed(littered):
    """Old ones by our names go; foreign, young, linked and whole files stay, to the last."""
    before, seen = names(littered), []
    removed = sweep(littered, progress=seen.append)
    gone = sorted(f"{folder}{name}" for folder in ("", "deep/er/") for name in OURS)
    assert sorted(removed) == sorted((littered / name).as_uri() for name in gone)
    assert names(littered) == [name for name in before if name not in gone]
    assert (littered.parent / OURS[0]).exists()
    assert seen[-1] >= len(before)
    assert sweep(littered) == []


def test_whole_exports_are_removed_only_on_request(littered):
    """A working folder may be emptied of staged files too; the age counts for them as well."""
    assert sweep(littered, older_than=timedelta(hours=49), staged=True) == []
    removed = sweep(littered.as_uri(), staged=True)
    assert len(removed) == 2 * len(OURS) + 2 * len(STAGED)
    assert sum(name.endswith(FOREIGN) for name in names(littered)) >= 2 * len(FOREIGN)


def test_leftovers_in_a_store_are_removed(tmp_path):
    """The same on any fsspec file system that tells how old its files are."""
    root = UPath("memory://swept")
    for name in (*OURS, *FOREIGN):
        (root / "a" / name).write_text("x")
    assert sweep(root) == []
    removed = sweep(root, older_than=timedelta(0))
    assert sorted(removed) == sorted(f"memory:///swept/a/{name}" for name in OURS)
    assert sorted(path.name for path in (root / "a").iterdir()) == sorted(FOREIGN)


def test_a_sweep_that_cannot_be_is_an_error(tmp_path):
    """A root that is not a folder, and a negative age."""
    with pytest.raises(PublishError, match="not a folder"):
        sweep(tmp_path / "nothing")
    with pytest.raises(PublishError, match="0 or more"):
        sweep(tmp_path, older_than=timedelta(seconds=-1))


def test_what_a_killed_copy_leaves_is_known(tmp_path):
    """The names that publishing really uses are the names that the sweeper looks for."""
    (tmp_path / partial_name()).write_text("x")
    assert len(sweep(tmp_path, older_than=timedelta(0))) == 1
