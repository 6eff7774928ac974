"""Files on a disk or in an object store: one for each partition."""

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import dagster as dg
from pydantic import Field

from dagster_vectorshift._documents import Document, resolved
from dagster_vectorshift.storage._protocol import PathText
from vectorshift_orchestration.storage.destinations import partition_path, uri_of
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift_orchestration.landing import Landing


class FileStorage(dg.ConfigurableResource, Document):  # type: ignore[type-arg]  # yields itself
    """Exports as the files they are, one for each partition: `<path>/<table>/dt=.../part-0.csv`.

    Whose they are is noted in `<path>/_vectorshift_windows`; another query does not replace them unseen.
    """

    kind: ClassVar[str] = "file"

    path: PathText = Field(
        description="A folder, or the URI of one in an object store, such as "
        "s3://bucket/vectorshift; credentials come from where fsspec finds them, never from here. "
        "~ is the home directory."
    )

    def locate(self, table: str, window: Window | None = None) -> str:
        """The URI of the folder that holds a table's files."""
        return uri_of(f"{resolved(self.path).removesuffix('/')}/{table}")

    def landing(self, table: str, window: Window, format: str) -> "Landing":
        """One file at a fixed name, which replaces the previous one."""
        from vectorshift_orchestration.landing import Landing
        from vectorshift_orchestration.storage.notes import note_path

        root = resolved(self.path)
        file = partition_path(root, table, window, format)
        return Landing(destination=file, note=note_path(root, table, window))


class ParquetStorage(FileStorage):
    """Tables as Parquet, one file for each partition: `<path>/<table>/dt=2026-11-22/part-0.parquet`.

    A file appears at once and whole; an empty window is a file with all columns and no rows. A
    folder belongs to one cadence of partitions: days and weeks in one folder would hold the same
    rows twice.
    """

    kind: ClassVar[str] = "parquet"

    def locate(self, table: str, window: Window | None = None) -> str:
        """The URI of a table's folder, or of the file that holds a window."""
        if window is None:
            return super().locate(table)
        return uri_of(partition_path(resolved(self.path), table, window, "parquet"))

    def landing(self, table: str, window: Window, format: str) -> "Landing":
        """One Parquet file, whatever the service exports."""
        return replace(super().landing(table, window, "parquet"), parquet=True)
