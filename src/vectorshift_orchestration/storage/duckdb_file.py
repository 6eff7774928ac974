"""Opening a DuckDB file, which one process can write at a time."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from vectorshift_orchestration.errors import StorageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LOCKED = "Could not set lock on file"
_POLL = 0.1
_ADDRESS = re.compile(r"[\w+.-]*:")
"""Names that mean more than a file to DuckDB or others: `:memory:`, `md:health`, `s3://...`."""


def database_file(path: "str | PathLike[str]") -> Path:
    """The absolute path of a DuckDB file; `~` is the home directory.

    Raises `StorageError` for a name that is not a local file, such as `:memory:`, whose tables would be gone
    with the process.
    """
    text = os.fspath(path)
    if not text.strip() or "\0" in text or _ADDRESS.match(text):
        raise StorageError(
            f"A DuckDB table is kept in a file of this machine, and {text!r} is none. Give the path of "
            "a file."
        )
    return Path(text).expanduser().absolute()


@contextmanager
def duckdb_file(
    path: "str | PathLike[str]", *, lock_timeout: float = 30.0
) -> "Iterator[DuckDBPyConnection]":
    """A connection to the DuckDB file at `path`, which is made with its folders when it is not there.

    DuckDB lets one process write a file at a time: while another has it, this waits, at most
    `lock_timeout` seconds. Raises `StorageError` when the file cannot be opened, and as `database_file`.
    """
    file = database_file(path)
    deadline = time.monotonic() + lock_timeout
    while (connection := _opened(file, may_wait=time.monotonic() < deadline)) is None:
        time.sleep(_POLL)
    with connection:
        yield connection


def _opened(file: Path, *, may_wait: bool) -> "DuckDBPyConnection | None":
    """The file, opened; None while another process has it and there is time to wait."""
    import duckdb

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return duckdb.connect(str(file))
    except (duckdb.Error, OSError) as problem:
        if may_wait and _LOCKED in str(problem):
            return None
        raise StorageError(
            f"DuckDB file {file} cannot be opened, so nothing was written: {problem}. If another "
            "process has it open, close that, or give its writers a pool of one slot."
        ) from problem
