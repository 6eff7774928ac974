"""Files on a disk or in an object store: one for each partition."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import dagster as dg
from pydantic import Field

from dagster_vectorshift.storage.protocol import Progress
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift_orchestration.exports import ExportRequest, Landed, Staged
    from vectorshift_orchestration.storage.sql import Written

_ROOT = (
    "A folder, or the URI of one in an object store, such as s3://bucket/vectorshift; credentials "
    "come from where fsspec finds them, never from here. ~ is the home directory."
)


class ParquetStorage(dg.ConfigurableResource):  # type: ignore[type-arg]  # yields itself
    """Tables as Parquet, one file for each partition: `<path>/<table>/dt=2026-11-22/part-0.parquet`.

    A file appears at once and whole. A folder belongs to one cadence of partitions: days and weeks
    in one folder would hold the same rows twice.
    """

    kind: ClassVar[str] = "parquet"

    path: str = Field(description=_ROOT)

    def locate(self, table: str, window: Window | None = None) -> str:
        """The URI of a table's folder, or of the file that holds a window."""
        return _uri(self.path, table, window, "parquet")

    def overwrite(self, table: str, parts: "Mapping[Window, pa.Table]") -> "dict[Window, Written]":
        """Write each window's rows as one file, which takes the place of the file before.

        An empty window is a file with all columns and no rows. Raises `PublishError`.
        """
        from vectorshift_orchestration.storage.destinations import partition_path
        from vectorshift_orchestration.storage.parquet import write_parquet
        from vectorshift_orchestration.storage.sql import Written

        written = {}
        for window, rows in parts.items():
            target = partition_path(_expanded(self.path), table, window, "parquet")
            write_parquet(rows.schema, rows.to_batches(), target)
            written[window] = Written(rows.num_rows, 0, ())
        return written

    def land(
        self,
        staged: "Staged",
        request: "ExportRequest",
        table: str,
        progress: Progress | None = None,
    ) -> "Landed":
        """Write the staged events as one Parquet file."""
        from vectorshift_orchestration.exports import Landed
        from vectorshift_orchestration.readers import read_export
        from vectorshift_orchestration.storage.destinations import partition_path
        from vectorshift_orchestration.storage.parquet import write_parquet

        target = partition_path(_expanded(self.path), table, request.window, "parquet")
        schema, batches = read_export(staged.path, request.format)
        published = write_parquet(schema, batches, target, progress=progress)
        return Landed(
            task_id=staged.task_id,
            window=request.window,
            rows=staged.rows,
            bytes=published.bytes,
            sha256=published.sha256,
            uri=published.uri,
        )


class FileStorage(dg.ConfigurableResource):  # type: ignore[type-arg]  # yields itself
    """Exports as the files they are, one for each partition: `<path>/<table>/dt=.../part-0.csv`."""

    kind: ClassVar[str] = "file"

    path: str = Field(description=_ROOT)

    def locate(self, table: str, window: Window | None = None) -> str:
        """The URI of the folder that holds a table's files."""
        return _uri(self.path, table, None, "")

    def land(
        self,
        staged: "Staged",
        request: "ExportRequest",
        table: str,
        progress: Progress | None = None,
    ) -> "Landed":
        """Publish the staged file. Raises `PublishError`."""
        from vectorshift_orchestration.exports import land
        from vectorshift_orchestration.storage.destinations import partition_path

        target = partition_path(_expanded(self.path), table, request.window, request.format.lower())
        return land(staged, request, destination=target, progress=progress)


def _expanded(path: str) -> str:
    from os.path import expanduser

    return expanduser(path) if path.startswith("~") else path


def _uri(path: str, table: str, window: Window | None, extension: str) -> str:
    from pathlib import Path

    from vectorshift_orchestration.storage.destinations import partition_path, resolved

    root = _expanded(path)
    target = resolved(
        f"{root.removesuffix('/')}/{table}"
        if window is None
        else partition_path(root, table, window, extension)
    )
    return target.as_uri() if isinstance(target, Path) else target.uri
