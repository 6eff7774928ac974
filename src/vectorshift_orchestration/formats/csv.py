"""RFC 4180 CSV in UTF-8, with or without a byte order mark, `\\n` or `\\r\\n`.

Arrow parses it block by block and insists on a constant width. What Arrow lets pass is counted
on the way in: an odd number of quotes or a missing final newline means that the file was cut.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv

from vectorshift_orchestration.errors import ExportFileError
from vectorshift_orchestration.formats import TextColumns

_BLOCK_BYTES = 16 << 20  # a row must fit into one block
_ROW = re.compile(r"Row #(\d+): (?:Expected (\d+) columns, got (\d+))?")


def open_text(path: Path) -> TextColumns:
    """Open a CSV export. Raises `ExportFileError` here or while the batches are read."""
    names = _header(path)
    return TextColumns(names, _batches(path, names))


def _header(path: Path) -> list[str]:
    with path.open("rb") as file:
        line = file.readline(_BLOCK_BYTES)
    try:
        rows = list(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")], strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise ExportFileError(
            f"{path.name}: the first line is not a CSV header in UTF-8. Export again.", path=path
        ) from None
    return rows[0] if rows else []


def _batches(path: Path, names: list[str]) -> Iterator[list[pa.Array]]:
    with path.open("rb") as file:
        source = _Source(file)
        try:
            with pyarrow.csv.open_csv(
                pa.PythonFile(source, mode="r"),
                read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
                parse_options=pyarrow.csv.ParseOptions(
                    newlines_in_values=True, ignore_empty_lines=False
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                ),
            ) as reader:
                for batch in reader:
                    yield batch.columns
        except pa.ArrowInvalid as problem:
            raise _explained(path, str(problem)) from None
        if source.quotes % 2:
            raise ExportFileError(
                f"{path.name} ends inside a quoted field: it was cut. Export again.", path=path
            )
        if source.last != b"\n":
            raise ExportFileError(
                f"{path.name} does not end with a newline: it was cut. Export again.", path=path
            )


class _Source:
    """A file that counts its quotes and remembers its last byte while Arrow reads it."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.quotes = 0
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.quotes += data.count(b'"')
        self.last = data[-1:] or self.last
        return data

    def close(self) -> None:
        self.closed = True


def _explained(path: Path, problem: str) -> ExportFileError:
    """Arrow's message without the row's content, which is somebody's data."""
    found = _ROW.search(problem)
    if found is None and "straddling" in problem:
        return ExportFileError(
            f"{path.name} has a row of more than {_BLOCK_BYTES >> 20} MiB, or a quote that is "
            "never closed. Export again; if it stays, export as JSON.",
            path=path,
        )
    if found is None:
        return ExportFileError(f"{path.name} is not a CSV file. Export again.", path=path)
    row = int(found[1]) - 1  # Arrow counts the header
    what = "is not UTF-8" if found[2] is None else f"has {found[3]} columns instead of {found[2]}"
    return ExportFileError(
        f"{path.name}: row {row} {what}: the file is damaged or was cut. Export again.",
        path=path,
        row=row,
    )
