"""What an asset needs to know of a storage, and what the two kinds of databases share."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

from pydantic import BeforeValidator

from dagster_vectorshift._documents import FROM_ENVIRONMENT
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift_orchestration.storage.sql import Written


def _written_out(path: Any) -> Any:
    """A `Path` or a `UPath` as text, which is what Dagster keeps of a resource."""
    if getattr(path, "storage_options", None):
        raise ValueError(
            "a UPath with storage options cannot be kept in a resource, because they may hold "
            "credentials. Set them in the environment or in ~/.config/fsspec."
        )
    is_path = isinstance(path, PathLike) or hasattr(path, "storage_options")
    return str(path) if is_path else path


PathText = Annotated[str, BeforeValidator(_written_out), FROM_ENVIRONMENT]
"""A path or a URI, which may be given as a `Path` or a `UPath`."""


class ExportStorage(Protocol):
    """A place for exported events."""

    kind: ClassVar[str]

    def locate(self, table: str, window: Window | None = None) -> str:
        """The address of a table, or of the part that holds a window, without any credential."""

    def landing(
        self, table: str, window: Window, format: str
    ) -> "AbstractContextManager[Mapping[str, Any]]":
        """The arguments of `export_job.resume` that say where the events of a window land."""


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


@contextmanager
def landing_rows(storage: Connects, table: str) -> Iterator[Mapping[str, Any]]:
    """`ExportStorage.landing` of a database."""
    with storage.connect() as connection:
        yield {"table": table, "connection": connection}
