"""Tables in a database: one DuckDB file, or PostgreSQL."""

from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
from pydantic import Field

from dagster_vectorshift._documents import Document, Secret, resolved
from dagster_vectorshift.storage._protocol import PathText
from vectorshift.errors import ConfigurationError
from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.destinations import file_uri
from vectorshift_orchestration.storage.duckdb_file import database_file, duckdb_file
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.storage.postgres_url import address, connected, schema_and_database
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift_orchestration.landing import Landing


class DuckDBStorage(dg.ConfigurableResource, Document):  # type: ignore[type-arg]  # yields itself
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
        return file_uri(self._file)

    def qualified(self, table: str) -> str:
        """The table with database and schema, for the catalog; as it is where only a run knows the file."""
        if isinstance(self.path, dg.EnvVar):
            return table
        database = self._file.name.lstrip(".").partition(".")[0]
        return TableName.parse(table).within("main", database).dotted

    def landing(self, table: str, window: Window, format: str) -> "Landing":
        """The table; the file is open only while it is read or written."""
        from vectorshift_orchestration.landing import Landing

        return Landing(table=table, connect=self.connect)

    def connect(self) -> AbstractContextManager[Any]:
        """A connection to the file (`duckdb.DuckDBPyConnection`), closed behind the block.

        Raises `StorageError` when it cannot be opened within `lock_timeout`, and
        `ConfigurationError` for a path that is not a local file.
        """
        return duckdb_file(self._file, lock_timeout=self.lock_timeout)

    @property
    def _file(self) -> Path:
        try:
            return database_file(resolved(self.path))
        except StorageError as problem:
            raise ConfigurationError(
                f"{problem} Take ParquetStorage for an object store."
            ) from None


class PostgresStorage(dg.ConfigurableResource, Document):  # type: ignore[type-arg]  # yields itself
    """Tables in a PostgreSQL database.

    Give the URL as `dg.EnvVar`, because it holds a password. Metadata names host, port and database
    only, and so does an error that says what cannot be reached.
    """

    kind: ClassVar[str] = "postgres"

    url: Secret = Field(
        repr=False,
        json_schema_extra={"dagster__is_secret": True},
        description="The connection URL, postgresql://user:password@host:5432/database. Always "
        'dg.EnvVar("..."), never the URL itself.',
    )
    connect_timeout: int = Field(default=10, description="Seconds to connect.")

    def locate(self, table: str, window: Window | None = None) -> str:
        """The database without user, password and options, for metadata."""
        return address(resolved(self.url))

    def qualified(self, table: str) -> str:
        """The table with database and schema, for the catalog; as it is where only a run knows the URL.

        A schema that is not written is the first of the URL's search path, or `public`.
        """
        if isinstance(self.url, dg.EnvVar):
            return table
        return TableName.parse(table).within(*schema_and_database(self.url)).dotted

    def landing(self, table: str, window: Window, format: str) -> "Landing":
        """The table; a connection is open only while it is read or written."""
        from vectorshift_orchestration.landing import Landing

        return Landing(table=table, connect=self.connect, reconnect=self.reconnect)

    def connect(self) -> AbstractContextManager[Any]:
        """A psycopg connection, closed behind the block.

        Raises `StorageError` when it cannot be opened; the message never holds the URL.
        """
        return closing(self.reconnect())

    def reconnect(self) -> Any:
        """Another connection, which the caller closes. Raises as `connect`."""
        return connected(resolved(self.url), self.connect_timeout)
