"""What an asset needs to know of a storage, and what the two kinds of databases share."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift_orchestration.exports import ExportRequest, Landed, Staged
    from vectorshift_orchestration.storage.sql import Written

Progress = Callable[[int], None]


class ExportStorage(Protocol):
    """A place for exported events."""

    kind: ClassVar[str]

    def locate(self, table: str, window: Window | None = None) -> str:
        """The address of a table, or of the part that holds a window, without any credential."""

    def land(
        self,
        staged: "Staged",
        request: "ExportRequest",
        table: str,
        progress: Progress | None = None,
    ) -> "Landed":
        """Make the staged events the only ones of `table` in the request's window, at once."""


class TableStorage(ExportStorage, Protocol):
    """A place for tables of health, and for exported events."""

    def overwrite(self, table: str, parts: "Mapping[Window, pa.Table]") -> "dict[Window, Written]":
        """Make each part the only rows of `table` in its window, each window at once."""


class Connects(Protocol):
    """A storage that is a database."""

    def connect(self) -> AbstractContextManager[Any]:
        """An open connection, closed afterwards."""


def overwrite_rows(
    storage: Connects, table: str, parts: "Mapping[Window, pa.Table]"
) -> "dict[Window, Written]":
    """`TableStorage.overwrite` of a database: one transaction for each window, in order.

    When one fails, those before it stay written and those from it on are as they were. Times of
    rows are in column `bucket_start`.
    """
    from vectorshift_orchestration.storage.sql import overwrite_window
    from vectorshift_orchestration.tables import BUCKET_TIME

    with storage.connect() as connection:
        return {
            window: overwrite_window(connection, table, window, rows, time_column=BUCKET_TIME)
            for window, rows in parts.items()
        }


def land_rows(
    storage: Connects,
    staged: "Staged",
    request: "ExportRequest",
    table: str,
    progress: Progress | None,
) -> "Landed":
    """`ExportStorage.land` of a database."""
    from vectorshift_orchestration.exports import land

    with storage.connect() as connection:
        return land(staged, request, table=table, connection=connection, progress=progress)
