"""Tables in a PostgreSQL database."""

from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
from pydantic import Field

from dagster_vectorshift._documents import Secret
from dagster_vectorshift._environment import resolved
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift_orchestration.landing import Landing


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
        from vectorshift_orchestration.storage.postgres_url import address

        return address(resolved(self.url))

    def landing(self, table: str, window: Window, format: str) -> "Landing":
        """The table; a connection is open while it is asked or written, and no longer."""
        from vectorshift_orchestration.landing import Landing

        return Landing(table=table, connect=self.connect, reconnect=self.reconnect)

    def connect(self) -> AbstractContextManager[Any]:
        """A psycopg connection, closed behind the block.

        Raises `StorageError` when it cannot be opened; the message never holds the URL.
        """
        return closing(self.reconnect())

    def reconnect(self) -> Any:
        """Another connection, which the caller closes. Raises as `connect`."""
        from vectorshift_orchestration.storage.postgres_url import connected

        return connected(resolved(self.url), self.connect_timeout)
