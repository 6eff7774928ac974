"""Rows that were read and checked, kept aside so that they need not be read and checked again.

A table's database stays closed until its rows have been checked, and a file is parsed far more slowly
than its rows are copied. So they wait on the disk, as Arrow has them in memory.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile

import pyarrow as pa


class Spill:
    """Rows in a nameless file of `directory`, which is gone with this object or its process."""

    def __init__(self, directory: Path) -> None:
        self.replaced = 0
        """How many characters were replaced while the rows were read."""
        self._file = TemporaryFile(dir=directory)  # noqa: SIM115  # it lives as long as this object
        self._end = weakref.finalize(self, self._file.close)

    def keeping(
        self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """The same batches, each of which is kept before it is passed on."""
        writer = pa.ipc.new_stream(pa.PythonFile(self._file, "w"), schema)
        for batch in batches:
            writer.write_batch(batch)
            yield batch
        writer.close()  # not after an interruption, when the file may be gone

    def rows(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The schema and the batches that were kept, from the first one on each time."""
        self._file.seek(0)
        reader = pa.ipc.open_stream(pa.PythonFile(self._file, "r"))
        return reader.schema, iter(reader)

    def close(self) -> None:
        """Give up the file."""
        self._end()
