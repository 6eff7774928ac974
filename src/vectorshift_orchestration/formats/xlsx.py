"""XLSX: the first sheet of a workbook.

The archive is looked at before it is trusted: number of entries, sizes, names, checksums, and
where the cells lie, because the reader allocates the whole rectangle that they span. It holds one
sheet in memory, at most some hundred MiB by these limits; CSV and JSON have no such cost.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import python_calamine

from vectorshift_orchestration.errors import ExportFileError
from vectorshift_orchestration.formats import TextColumns

_ENTRIES = 1_000
_BYTES = 1 << 30
_RATIO = 100
_CELL_CHARACTERS = 32_767  # the format's own limit: a longer text was cut when it was written
_BATCH_ROWS = 8192
_SCAN_BYTES = 1 << 20
_OVERLAP = 32  # longer than what is looked for, which may lie across two pieces
_DAMAGED = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,  # an entry that would begin before the file
    ValueError,
    RuntimeError,  # an entry that would be encrypted
)
_CELL = re.compile(rb"""\br=["']([A-Za-z]*)(\d+)["']""")
_COLUMN_LETTERS = 2  # 702 columns


def open_text(path: Path) -> TextColumns:
    """Open an XLSX export. Raises `ExportFileError` here or while the batches are read."""
    _check_archive(path)
    try:
        with python_calamine.CalamineWorkbook.from_path(path) as book:
            rows = book.get_sheet_by_index(0).iter_rows()
            header = next(rows, [])
    except (python_calamine.CalamineError, IndexError) as problem:
        raise ExportFileError(
            f"{path.name} is not a readable workbook ({type(problem).__name__}). Export again.",
            path=path,
        ) from None
    names = [str(cell) for cell in header]
    return TextColumns(names, _batches(path, rows))


def _batches(path: Path, rows: Iterator[Sequence[Any]]) -> Iterator[list[pa.Array]]:
    done = 0
    while batch := list(islice(rows, _BATCH_ROWS)):
        columns = [_text_array(cells) for cells in zip(*batch, strict=True)]
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


def _text_array(cells: Sequence[Any]) -> pa.Array:
    try:
        texts = pa.array(cells, pa.string())
    except pa.ArrowTypeError:
        texts = pa.array([_text(cell) for cell in cells], pa.string())
    return pc.if_else(pc.equal(texts, ""), None, texts)


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _check_archive(path: Path) -> None:
    """Refuse an archive that is cut, corrupt, or a bomb, before the workbook reader sees it."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_sizes(path, entries)
            for entry in entries:
                _check_entry(path, archive, entry)
    except _DAMAGED:
        raise ExportFileError(
            f"{path.name} is not a whole XLSX file: it was cut or damaged. Export again.", path=path
        ) from None


def _check_sizes(path: Path, entries: Sequence[zipfile.ZipInfo]) -> None:
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


def _check_entry(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Read an entry to its end, which checks its checksum, and see how far its cells reach."""
    is_sheet = entry.filename.startswith("xl/worksheets/")
    lines = reach = 0
    tail = b""
    with archive.open(entry) as source:
        while read := source.read(_SCAN_BYTES):
            data = tail + read
            if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
                raise ExportFileError(f"{path.name} declares XML entities. Refused.", path=path)
            if is_sheet:
                lines += data.count(b"<row") - tail.count(b"<row")
                reach = max(reach, _reach(path, data))
            tail = data[-_OVERLAP:]
    if is_sheet and reach > lines + 1:
        raise _scattered(path)


def _reach(path: Path, data: bytes) -> int:
    """The last row that a cell in this piece of a sheet claims to be in."""
    reach = 0
    for letters, number in _CELL.findall(data):
        if len(letters) > _COLUMN_LETTERS:
            raise _scattered(path)
        reach = max(reach, int(number))
    return reach


def _scattered(path: Path) -> ExportFileError:
    return ExportFileError(
        f"{path.name} has cells far outside of its rows and columns; reading it could take all "
        "memory. Export as CSV or JSON.",
        path=path,
    )
