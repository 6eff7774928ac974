"""Opening the database that a table is in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vectorshift_orchestration.errors import StorageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@contextmanager
def duckdb_file(path: str) -> "Iterator[DuckDBPyConnection]":
    """A connection to the DuckDB file at `path`, made with its folders when it is not there.

    A DuckDB file has one writing process at a time, so keep the block short. Raises `StorageError`
    when the file cannot be opened.
    """
    import duckdb

    file = Path(path).expanduser().absolute()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(str(file))
    except (duckdb.Error, OSError) as problem:
        raise StorageError(
            f"DuckDB file {file} could not be opened: {problem}. No row was changed. If another "
            "process has it open, close that, or give the tasks that write it a pool of one slot."
        ) from problem
    with connection:
        yield connection
