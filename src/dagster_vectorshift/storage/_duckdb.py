"""Tables in one DuckDB file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import dagster as dg
from pydantic import Field

from dagster_vectorshift.storage._protocol import PathText
from vectorshift.errors import ConfigurationError
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from vectorshift_orchestration.landing import Landed, Landing


class DuckDBStorage(dg.ConfigurableResource, dg.Resolvable):  # type: ignore[type-arg]  # yields itself
    """Tables in one DuckDB file.

    DuckDB lets one process write a file at a time. Assets that share a file belong in one pool of
    limit 1; against writers elsewhere, such as a shell that has the file open, `overwrite` waits.
    """

    kind: ClassVar[str] = "duckdb"

    path: PathText = Field(
        description="The database file; ~ is the home directory, missing folders are made. Give an "
        "absolute path: a relative one is resolved where the run executes."
    )
    lock_timeout: float = Field(
        default=30.0, description="Seconds to wait while another process has the file open."
    )

    def locate(self, table: str, window: Window | None = None) -> str:
        """The file as a URI, for metadata."""
        from vectorshift_orchestration.storage.destinations import file_uri

        return file_uri(self._file)

    def overwrite(self, table: str, parts: "Mapping[Window, pa.Table]") -> "dict[Window, Landed]":
        """Make each part the only rows of `table` in its window, each window in one transaction.

        A window is all old or all new at any moment, and noted in the ledger with its rows. Windows
        are written in order; when one fails, those before it stay written and those from it on are
        as they were. Times of rows are in column `bucket_start`.

        Raises `ConfigurationError` for a path that is no local file, `StorageError` when the file stays locked or the database refuses, `SchemaMismatch`
        when the table's columns do not fit, `RowOutsideWindow` for a stray row.
        """
        from vectorshift_orchestration.tables import BUCKET_TIME

        return self.landing(table).write_rows(parts, time_column=BUCKET_TIME)

    def landing(self, table: str, window: Window | None = None, format: str = "") -> "Landing":
        """Where rows land: the table, whose database is open while it is asked or written."""
        from vectorshift_orchestration.landing import Landing

        return Landing(table=table, connect=self.connect)

    @contextmanager
    def connect(self) -> "Iterator[DuckDBPyConnection]":
        """An open connection to the file, closed afterwards.

        Raises `StorageError` when it cannot be opened within `lock_timeout`.
        """
        from vectorshift_orchestration.storage.duckdb_file import duckdb_file

        with duckdb_file(self._file, lock_timeout=self.lock_timeout) as connection:
            yield connection

    @property
    def _file(self) -> Path:
        from vectorshift_orchestration.errors import StorageError
        from vectorshift_orchestration.storage.duckdb_file import database_file

        try:
            return database_file(self.path)
        except StorageError as problem:
            raise ConfigurationError(
                f"{problem} Take ParquetStorage for an object store."
            ) from None
