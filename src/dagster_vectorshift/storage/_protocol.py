"""What an asset needs to know of a storage."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol, TypeAlias

from pydantic import BeforeValidator

from dagster_vectorshift._documents import FROM_ENVIRONMENT
from vectorshift_orchestration.storage.destinations import as_text
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift_orchestration.landing import Landing

PathText: TypeAlias = Annotated[str, BeforeValidator(as_text), FROM_ENVIRONMENT]
"""A path or a URI, which may be given as a `Path` or a `UPath`."""


class ExportStorage(Protocol):
    """A place for exported events."""

    kind: ClassVar[str]

    def locate(self, table: str, window: Window | None = None) -> str:
        """The address of a table, or of the part that holds a window, without any credential."""

    def landing(self, table: str, window: Window, format: str) -> "Landing":
        """Where the rows of a window land. `format` is the service's, PARQUET for rows of health."""


class TableStorage(ExportStorage, Protocol):
    """A place for tables of health as well: its landings take rows, not only files of the service."""
