"""XLSX: the first sheet of a workbook, read row by row.

The archive is looked at before it is trusted: number of entries, sizes, names, checksums. The cells
are read as a stream (`sheet_cells`), so memory is bounded by one batch here too.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from xml.parsers.expat import ExpatError

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.errors import ExportFileError
from vectorshift_orchestration.formats import TextColumns
from vectorshift_orchestration.formats.sheet_cells import parts_of, shared_texts, sheet_rows

_ENTRIES = 1_000
_BYTES = 1 << 30
_RATIO = 100
_CELL_CHARACTERS = 32_767  # the format's own limit: a longer text was cut when it was written
_BATCH_ROWS = 4096
_READ_BYTES = 1 << 20
_DAMAGED = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,  # an entry that would begin before the file
    ValueError,
    LookupError,  # an encoding that nobody knows
    RuntimeError,  # an entry that would be encrypted
)


def open_text(path: Path) -> TextColumns:
    """Open an XLSX export. Raises `ExportFileError` here or while the batches are read."""
    with _readable(path), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_sizes(path, entries)
        for entry in entries:
            _check_entry(archive, entry)
    rows = _rows(path)
    names = [name or "" for name in next(rows, [])]
    return TextColumns(names, _batches(path, rows))


def _rows(path: Path) -> Iterator[list[str | None]]:
    """The header, then the rows."""
    with _readable(path), zipfile.ZipFile(path) as archive:
        sheet, shared = parts_of(path, archive)
        with shared_texts(path, archive, shared) as texts, archive.open(sheet) as source:
            yield from sheet_rows(path, source, texts)


def _batches(path: Path, rows: Iterator[list[str | None]]) -> Iterator[list[pa.Array]]:
    done = 0
    while batch := list(islice(rows, _BATCH_ROWS)):
        columns = [pa.array(cells, pa.string()) for cells in zip(*batch, strict=True)]
        for column in columns:
            long = pc.fill_null(pc.greater_equal(pc.utf8_length(column), _CELL_CHARACTERS), False)
            if pc.any(long).as_py():
                row = done + pc.index(long, True).as_py() + 1
                raise ExportFileError(
                    f"{path.name}: row {row} has a cell of {_CELL_CHARACTERS:,} characters, the "
                    "most that XLSX can hold, so it may have been cut. Export as CSV or JSON.",
                    path=path,
                    row=row,
                )
        done += len(batch)
        yield columns


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except ExpatError as problem:
        raise ExportFileError(
            f"{path.name} is not a readable workbook ({problem}). Export again.", path=path
        ) from None
    except _DAMAGED:
        raise ExportFileError(
            f"{path.name} is not a whole XLSX file: it was cut or damaged. Export again.", path=path
        ) from None


def _check_sizes(path: Path, entries: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse a bomb before anything is unpacked."""
    packed = sum(entry.compress_size for entry in entries)
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > _ENTRIES or unpacked > _BYTES or unpacked > _RATIO * max(packed, 1):
        raise ExportFileError(
            f"{path.name} unpacks to {unpacked:,} bytes from {packed:,} in {len(entries)} entries, "
            f"beyond the limits of {_BYTES:,} bytes, {_RATIO} times and {_ENTRIES} entries. "
            "Export as CSV or JSON.",
            path=path,
        )
    for entry in entries:
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or ".." in name.parts:
            raise ExportFileError(f"{path.name} holds an entry outside of itself.", path=path)


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Read an entry to its end, which checks its checksum."""
    with archive.open(entry) as source:
        while source.read(_READ_BYTES):
            pass
