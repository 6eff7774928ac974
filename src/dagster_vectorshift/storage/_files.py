"""Files on a disk or in an object store: one for each partition."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import dagster as dg
from pydantic import Field

from dagster_vectorshift.storage._protocol import PathText
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift_orchestration.landing import Landed, Landing

_ROOT = (
    "A folder, or the URI of one in an object store, such as s3://bucket/vectorshift; credentials "
    "come from where fsspec finds them, never from here. ~ is the home directory."
)


class ParquetStorage(dg.ConfigurableResource, dg.Resolvable):  # type: ignore[type-arg]  # yields itself
    """Tables as Parquet, one file for each partition: `<path>/<table>/dt=2026-11-22/part-0.parquet`.

    A file appears at once and whole. A folder belongs to one cadence of partitions: days and weeks
    in one folder would hold the same rows twice.
    """

    kind: ClassVar[str] = "parquet"

    path: PathText = Field(description=_ROOT)

    def locate(self, table: str, window: Window | None = None) -> str:
        """The URI of a table's folder, or of the file that holds a window."""
        return _uri(self.path, table, window, "parquet")

    def overwrite(self, table: str, parts: "Mapping[Window, pa.Table]") -> "dict[Window, Landed]":
        """Write each window's rows as one file, which takes the place of the file before.

        An empty window is a file with all columns and no rows. Raises `PublishError`.
        """
        from vectorshift_orchestration.tables import BUCKET_TIME

        written: dict[Window, Landed] = {}
        for window, rows in parts.items():
            landing = self.landing(table, window)
            written |= landing.write_rows({window: rows}, time_column=BUCKET_TIME)
        return written

    def landing(self, table: str, window: Window, format: str = "") -> "Landing":
        """Where the rows of a window land: one Parquet file."""
        from vectorshift_orchestration.landing import Landing
        from vectorshift_orchestration.storage.destinations import partition_path

        target = partition_path(self.path, table, window, "parquet")
        return Landing(destination=target, parquet=True)


class FileStorage(dg.ConfigurableResource, dg.Resolvable):  # type: ignore[type-arg]  # yields itself
    """Exports as the files they are, one for each partition: `<path>/<table>/dt=.../part-0.csv`."""

    kind: ClassVar[str] = "file"

    path: PathText = Field(description=_ROOT)

    def locate(self, table: str, window: Window | None = None) -> str:
        """The URI of the folder that holds a table's files."""
        return _uri(self.path, table, None, "")

    def landing(self, table: str, window: Window, format: str) -> "Landing":
        """Where an export lands: as the file it is."""
        from vectorshift_orchestration.landing import Landing
        from vectorshift_orchestration.storage.destinations import partition_path

        return Landing(destination=partition_path(self.path, table, window, format))


def _uri(path: str, table: str, window: Window | None, extension: str) -> str:
    from pathlib import Path

    from vectorshift_orchestration.storage.destinations import file_uri, partition_path, resolved

    target = resolved(
        f"{path.removesuffix('/')}/{table}"
        if window is None
        else partition_path(path, table, window, extension)
    )
    return file_uri(target) if isinstance(target, Path) else target.uri
