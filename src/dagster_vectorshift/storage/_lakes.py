"""Tables of a lake: Delta in a folder, Iceberg in a catalog."""

from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
from pydantic import Field

from dagster_vectorshift._documents import Document, resolved
from dagster_vectorshift.storage._protocol import PathText
from vectorshift_orchestration.storage.identifiers import ICEBERG_NAMESPACE, TableName
from vectorshift_orchestration.storage.lake_address import lake_of
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift_orchestration.landing import Landing


class _LakeStorage(dg.ConfigurableResource, Document):  # type: ignore[type-arg]  # yields itself
    """Tables of a lake; a window is replaced in one commit."""

    def locate(self, table: str, window: Window | None = None) -> str:
        """The table's address without credentials, for metadata."""
        with self.connect() as lake:
            return str(lake.address(TableName.parse(table)))

    def landing(self, table: str, window: Window, format: str) -> "Landing":
        """The table, which is read again for each commit."""
        from vectorshift_orchestration.landing import Landing

        return Landing(table=table, connect=self.connect)

    def connect(self) -> AbstractContextManager[Any]:
        """The lake. Raises `StorageError` for a library or a catalog that is missing."""
        return closing(lake_of(self._lake))

    @property
    def _lake(self) -> str:
        raise NotImplementedError


class DeltaStorage(_LakeStorage):
    """Delta Lake tables below a folder, each in a folder of its name; extra `[delta]`."""

    kind: ClassVar[str] = "delta"

    path: PathText = Field(
        description="A folder, or the URI of one in an object store, such as s3://bucket/lake; "
        "credentials come from where delta-rs finds them (AWS_ACCESS_KEY_ID, ...), never from here."
    )

    @property
    def _lake(self) -> str:
        return f"delta:{resolved(self.path)}"


class IcebergStorage(_LakeStorage):
    """Iceberg tables of a catalog; extra `[iceberg]`."""

    kind: ClassVar[str] = "iceberg"

    catalog: str = Field(
        description="The name of a catalog in pyiceberg's configuration: ~/.pyiceberg.yaml, or "
        "PYICEBERG_CATALOG__NAME__URI and the like in the environment."
    )

    def qualified(self, table: str) -> str:
        """The table with catalog and namespace; as it is written where only a run knows the catalog."""
        if isinstance(self.catalog, dg.EnvVar):
            return table
        return TableName.parse(table).within(ICEBERG_NAMESPACE, self.catalog).dotted

    @property
    def _lake(self) -> str:
        return f"iceberg:{resolved(self.catalog)}"
