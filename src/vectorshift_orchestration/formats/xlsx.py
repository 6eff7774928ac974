"""XLSX: the sheets of a workbook, one after the other, read row by row.

The archive is looked at before it is trusted: number of entries, sizes, names, checksums. The cells
are read as a stream (`sheet_cells`), so memory is bounded by one batch here too.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from xml.parsers.expat import ExpatError

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.errors import ExportFileError, ExportFormatError
from vectorshift_orchestration.formats import TextColumns
from vectorshift_orchestration.formats.sheet_cells import parts_of, shared_texts, sheet_rows

_ENTRIES = 1_000
_BYTES = 1 << 30
_RATIO = 100
_CELL_UNITS = 32_767
"""UTF-16 units that a cell holds: the format's own limit. A longer text was cut when it was written,
one unit earlier where the next character has two."""
_NIL = "<nil>"  # null, as Go's `fmt` writes it
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


def open_text(path: Path, _: object = None) -> TextColumns:
    """Open an XLSX export, whose texts are characters already. Raises `ExportFileError` here or while the batches are read."""
    with _readable(path), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_sizes(path, entries)
        for entry in entries:
            _check_entry(archive, entry)
    rows = _rows(path)
    names = [name or "" for name in next(rows, [])]
    return TextColumns(names, _batches(path, rows), rows)


def _rows(path: Path) -> Generator[list[str | None], None, None]:
    """The header, then the rows."""
    with _readable(path), zipfile.ZipFile(path) as archive:
        sheets, shared = parts_of(path, archive)
        header: list[str | None] | None = None
        with shared_texts(path, archive, shared) as texts:
            for sheet in sheets:
                with archive.open(sheet) as source:
                    rows = sheet_rows(path, source, texts)
                    top = next(rows, None)
                    if header is None and top is not None:
                        header = top
                        yield top
                    elif top not in (None, header):
                        raise ExportFormatError(
                            f"{path.name} has several sheets with different columns, so which of "
                            "them are events is not known. Export as CSV or JSON.",
                            path=path,
                        )
                    yield from rows


def _batches(path: Path, rows: Iterator[list[str | None]]) -> Generator[list[pa.Array], None, None]:
    done = 0
    while batch := list(islice(rows, _BATCH_ROWS)):
        columns = [pa.array(cells, pa.string()) for cells in zip(*batch, strict=True)]
        for column in columns:
            _check_lengths(path, column, done)
        done += len(batch)
        yield [pc.if_else(pc.equal(column, _NIL), None, column) for column in columns]


def _check_lengths(path: Path, column: pa.Array, done: int) -> None:
    """Refuse a text that may have been cut."""
    # A unit is at least one byte of UTF-8, so that shorter ones need not be counted.
    long = pc.greater_equal(pc.binary_length(column), _CELL_UNITS - 1)
    for index in pc.indices_nonzero(pc.fill_null(long, False)).to_pylist():
        if len(column[index].as_py().encode("utf-16-le")) // 2 >= _CELL_UNITS - 1:
            row = done + index + 1
            raise ExportFormatError(
                f"{path.name}: row {row} has a text as long as a cell of XLSX can be "
                f"({_CELL_UNITS:,} UTF-16 units), so it may have been cut. Export as CSV or JSON.",
                path=path,
                row=row,
            )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except ExpatError as problem:
        raise ExportFileError(
            f"{path.name} is not a readable workbook ({problem}). Export again; if it stays so, "
            "export as CSV or JSON.",
            path=path,
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
        raise ExportFormatError(
            f"{path.name} unpacks to {unpacked:,} bytes from {packed:,} in {len(entries)} entries, "
            f"beyond the limits of {_BYTES:,} bytes, {_RATIO} times and {_ENTRIES} entries. "
            "Export as CSV or JSON.",
            path=path,
        )
    for entry in entries:
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or ".." in name.parts:
            raise ExportFormatError(
                f"{path.name} holds an entry outside of itself. Export as CSV or JSON.", path=path
            )


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Read an entry to its end, which checks its checksum."""
    with archive.open(entry) as source:
        while source.read(_READ_BYTES):
            pass
