"""Tables in one DuckDB file."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
from pydantic import Field

from dagster_vectorshift._environment import resolved
from dagster_vectorshift.storage._protocol import PathText
from vectorshift.errors import ConfigurationError
from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift_orchestration.landing import Landing


class DuckDBStorage(dg.ConfigurableResource, dg.Resolvable):  # type: ignore[type-arg]  # yields itself
    """Tables in one DuckDB file.

    DuckDB lets one process write a file at a time. Assets that share a file belong in one pool of
    limit 1; against writers elsewhere, such as a shell that has the file open, a write waits.
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

    def landing(self, table: str, window: Window, format: str) -> "Landing":
        """The table; the file is open while it is asked or written, and no longer."""
        from vectorshift_orchestration.landing import Landing

        return Landing(table=table, connect=self.connect)

    def connect(self) -> AbstractContextManager[Any]:
        """A connection to the file (`duckdb.DuckDBPyConnection`), closed behind the block.

        Raises `StorageError` when it cannot be opened within `lock_timeout`, and
        `ConfigurationError` for a path that is not a local file.
        """
        from vectorshift_orchestration.storage.duckdb_file import duckdb_file

        return duckdb_file(self._file, lock_timeout=self.lock_timeout)

    @property
    def _file(self) -> Path:
        from vectorshift_orchestration.storage.duckdb_file import database_file

        try:
            return database_file(resolved(self.path))
        except StorageError as problem:
            raise ConfigurationError(
                f"{problem} Take ParquetStorage for an object store."
            ) from None
