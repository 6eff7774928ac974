"""An export as Parquet: streamed, so that memory is bounded by one row group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from vectorshift_orchestration.storage.column_types import plain_batch, plain_schema
from vectorshift_orchestration.storage.destinations import (
    Destination,
    RemotePath,
    file_target,
    file_uri,
)
from vectorshift_orchestration.storage.disks import appearing
from vectorshift_orchestration.storage.files import Published, digest_of, publish

_GROUP_BYTES = 32 << 20
_GROUP_ROWS = 1 << 17


def write_parquet(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    destination: Destination,
    *,
    overwrite: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Published:
    """Write rows as one Parquet file (zstd) that appears at `destination` in one step.

    `schema` and `batches` are what `read_export` gives; no batches make a file with all columns
    and no rows. A row group has about 131,072 rows or 32 MiB, whichever comes first. `progress` is called
    with the number of rows written so far. Local files are written beside the destination,
    others in a temporary folder first. So that the files of all windows have one schema, a column of
    Arrow type null is text, times are in microseconds, and dictionary encodings are undone.

    Raises `PublishError` as `publish`, `UnstorableValue` for a time that is finer than a
    microsecond, and whatever the batches raise. Then no new file is there.
    """
    target = file_target(destination)
    if isinstance(target, RemotePath):
        with TemporaryDirectory(prefix="vectorshift-") as folder:
            local = Path(folder) / "part-0.parquet"
            write_parquet(schema, batches, local, progress=progress)
            return publish(local, destination, overwrite=overwrite)
    with appearing(target, overwrite=overwrite) as partial:
        _write(partial, schema, batches, progress)
        size, digest = digest_of(partial)
    return Published(file_uri(target), size, digest)


def _write(
    path: Path,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    progress: Callable[[int], None] | None,
) -> None:
    rows = 0
    schema = plain_schema(schema)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(_plain(batches)):
            writer.write_table(pa.Table.from_batches(group, schema))
            rows += sum(batch.num_rows for batch in group)
            if progress is not None:
                progress(rows)


def _plain(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in batches:
        yield plain_batch(batch, rows)
        rows += batch.num_rows


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, rows, size = [], 0, 0
    if group:
        yield group
