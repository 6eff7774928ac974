"""The DuckDB file: it is waited for while somebody else has it, and made when it is missing."""

import subprocess
import sys
import threading
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from dagster_vectorshift import DuckDBStorage
from tests.dagster.landed import write
from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.windows import Window

DAY = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
ROWS = pa.table({"bucket_start": pa.array([DAY.start], pa.timestamp("us", "UTC")), "runs": [1]})


@pytest.fixture
def other_writer(tmp_path):
    """Another process that has the file open until its standard input ends."""
    path = tmp_path / "health.duckdb"
    script = (
        f"import duckdb, sys; c = duckdb.connect({str(path)!r});"
        "print('open', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"open\n"
    yield path, process.stdin.close
    process.communicate() if not process.stdin.closed else process.wait()
    process.stdout.close()


def test_a_file_that_stays_locked_is_an_error(other_writer):
    """When the other writer does not end in time, the error names the file and nothing is written."""
    path, _ = other_writer
    storage = DuckDBStorage(path=str(path), lock_timeout=0.2)
    with pytest.raises(StorageError, match=r"health\.duckdb cannot be opened"):
        write(storage, "health", DAY, ROWS)


def test_a_locked_file_is_waited_for(other_writer):
    """When the other writer ends, the write goes through."""
    path, end = other_writer
    written = {}
    storage = DuckDBStorage(path=str(path))
    writer = threading.Thread(target=lambda: written.update({DAY: write(storage, "h", DAY, ROWS)}))
    writer.start()
    end()
    writer.join()
    assert written[DAY].rows == 1


def test_missing_folders_are_made(tmp_path, monkeypatch):
    """The file's folders are made, and ~ is the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    storage = DuckDBStorage(path="~/a/b/health.duckdb")
    assert write(storage, "health", DAY, ROWS).rows == 1
    assert storage.locate("health") == (tmp_path / "a/b/health.duckdb").as_uri()


def test_a_file_that_is_not_a_database_is_an_error(tmp_path):
    """A path that cannot be a database is a typed error, at once."""
    path = tmp_path / "health.duckdb"
    path.write_text("not a database, but long enough to be looked at as one " * 100)
    with pytest.raises(StorageError, match="cannot be opened, so nothing was written"):
        write(DuckDBStorage(path=str(path)), "health", DAY, ROWS)
    with pytest.raises(StorageError, match="cannot be opened, so nothing was written"):
        write(DuckDBStorage(path=str(path / "below.duckdb")), "health", DAY, ROWS)
