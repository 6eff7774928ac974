"""Opening a DuckDB file that another process may be writing."""

import subprocess
import sys
import threading

import duckdb
import pytest

from vectorshift_orchestration import StorageError
from vectorshift_orchestration.storage.duckdb_file import duckdb_file


@pytest.fixture
def busy(tmp_path):
    """A DuckDB file that another process has open until it is told to end."""
    path = tmp_path / "busy.duckdb"
    script = (
        "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"open\n"
        yield path, lambda: other.communicate(b"\n")
        other.kill()


def test_missing_folders_are_made(tmp_path):
    """A file that is not there is made, with its folders."""
    with duckdb_file(str(tmp_path / "a" / "b.duckdb")) as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
    with duckdb.connect(str(tmp_path / "a" / "b.duckdb"), read_only=True) as again:
        assert again.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_busy_file_is_waited_for(busy):
    """A file that another process has open is opened once that process lets go."""
    path, end_other = busy
    release = threading.Timer(0.3, end_other)
    release.start()
    with duckdb_file(str(path), lock_timeout=60) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    release.join()


def test_busy_file_is_not_waited_for_for_ever(busy):
    """When it stays busy, the error names the file and what to do."""
    path, _ = busy
    with (
        pytest.raises(StorageError, match=r"busy\.duckdb cannot be opened.*one slot"),
        duckdb_file(str(path), lock_timeout=0.2),
    ):
        pass


def test_no_database(tmp_path):
    """A file that is not a DuckDB file is left as it is."""
    path = tmp_path / "text"
    path.write_text("not a database")
    with pytest.raises(StorageError, match="cannot be opened"), duckdb_file(str(path)):
        pass
    assert path.read_text() == "not a database"


@pytest.mark.parametrize("path", [":memory:", "md:health", "s3://bucket/health.duckdb", " ", ""])
def test_no_file_of_this_machine(path, tmp_path, monkeypatch):
    """What DuckDB would keep elsewhere, or nowhere, is refused, and no file of that name is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="Give the path of a file"), duckdb_file(path):
        pass
    assert list(tmp_path.iterdir()) == []
