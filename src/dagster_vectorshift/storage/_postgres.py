"""Tables in a PostgreSQL database."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
from pydantic import Field

from dagster_vectorshift._documents import Secret
from dagster_vectorshift._environment import resolved
from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift_orchestration.landing import Landed, Landing

_SHOWN = ("host", "port", "dbname")


class PostgresStorage(dg.ConfigurableResource, dg.Resolvable):  # type: ignore[type-arg]  # yields itself
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
        parts = self._parts()
        host, port, name = (parts.get(key, "") for key in _SHOWN)
        # A folder of sockets is no host name.
        host = "" if str(host).startswith("/") else str(host)
        return f"postgresql://{host}{f':{port}' if host and port else ''}/{name}"

    def overwrite(self, table: str, parts: "Mapping[Window, pa.Table]") -> "dict[Window, Landed]":
        """Make each part the only rows of `table` in its window, each window in one transaction.

        Raises `StorageError` when the database cannot be reached or refuses, `SchemaMismatch` when
        the table's columns do not fit, `RowOutsideWindow` for a stray row.
        """
        from vectorshift_orchestration.tables import BUCKET_TIME

        return self.landing(table).write_rows(parts, time_column=BUCKET_TIME)

    def landing(self, table: str, window: Window | None = None, format: str = "") -> "Landing":
        """Where rows land: the table, whose database is open while it is asked or written."""
        from vectorshift_orchestration.landing import Landing

        return Landing(table=table, connect=self.connect, reconnect=self.reconnect)

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """An open psycopg connection, closed afterwards.

        Raises `StorageError` when it cannot be opened; the message never holds the URL.
        """
        with closing(self.reconnect()) as connection:
            yield connection

    def reconnect(self) -> Any:
        """Another connection, which the caller closes. Raises as `connect`."""
        import psycopg

        self._parts()
        try:
            return psycopg.connect(resolved(self.url), connect_timeout=self.connect_timeout)
        except psycopg.OperationalError as problem:
            raise StorageError(
                f"The database {self.locate('')} cannot be reached, so nothing was written: {problem}"
            ) from None

    def _parts(self) -> dict[str, Any]:
        """The parts of the URL. An unreadable one is not repeated: it may hold the password."""
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict

        try:
            return conninfo_to_dict(resolved(self.url))
        except ProgrammingError:
            raise StorageError(
                "The storage's URL cannot be read. It should look like "
                "postgresql://user:password@host:5432/database, with special characters quoted."
            ) from None
