"""RFC 4180 CSV in UTF-8, with or without a byte order mark, `\\n` or `\\r\\n`.

The file is read in blocks that end where a row ends, and Arrow parses each block by itself and
insists on a constant width. So a batch is as large as a block, and a block grows only for a row that
is larger. What Arrow would accept is checked here: an open quote and a missing final newline
(the file was cut), text beside a quoted field, and a carriage return that does not end a line.
"""

from __future__ import annotations

import csv
import re
import struct
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from vectorshift_orchestration.characters import ADVICE, Characters
from vectorshift_orchestration.errors import ExportFileError, ExportFormatError
from vectorshift_orchestration.formats import TextColumns, without_empty
from vectorshift_orchestration.tables import EVENT_ID, canonical_name

_DELIMITED = {"tabs": "\t", "semicolons": ";", "bars": "|"}
_TYPE = re.compile(  # of a column, as ClickHouse names it below the header
    r"(?:(?:Nullable|LowCardinality|Array|Map|Tuple|Variant|Nested|Enum\d*|Decimal\d*|FixedString"
    r"|DateTime64|DateTime|JSON|Object)\(.*\)"
    r"|String|U?Int\d+|B?Float\d+|Bool|UUID|Date|Date32|DateTime|JSON|IPv[46]|Dynamic)"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:")
_AGAIN = "Export again; if it stays so, export as JSON."
_BLOCK_BYTES = 2 << 20
_ROW_BYTES = 64 << 20
_NULLS = ["", "\\N", "<nil>"]
"""Null when it is not quoted: of most writers, of ClickHouse, and of Go's `fmt`."""
_MARK = b"\xef\xbb\xbf"
_WHOLE_ROW = re.compile(rb'(?:[^"\n]++|"[^"]*+")*+\n')  # doubled quotes close and open again
_WELL_FORMED = r'\A(?:(?:[^",\r\n]*|"(?:[^"]|"")*")(?:,|\r?\n))*\z'
"""Of RE2, which reads the bytes once, whatever they are."""
_ROW = re.compile(r"Row #(\d+): (?:Expected (\d+) columns, got (\d+))?")


def open_text(path: Path, characters: Characters | None = None) -> TextColumns:
    """Open a CSV export; with `characters` bytes that are not UTF-8 are replaced.

    Raises `ExportFileError` here or while the batches are read.
    """
    with path.open("rb") as file:
        line = file.readline(_BLOCK_BYTES)
        below = file.readline(_BLOCK_BYTES)
    names = _header(path, line)
    types = _fields(below) if below.endswith(b"\n") else []
    skipped = len(below) if types and all(map(_TYPE.fullmatch, types)) else 0
    return TextColumns(names, _batches(path, names, len(line) + skipped, characters))


def _fields(line: bytes) -> list[str]:
    """The fields of a line; none when it is not one of CSV in UTF-8."""
    try:
        text = line.removeprefix(_MARK).decode()
        rows = list(csv.reader([text.rstrip("\r\n")], strict=True))
    except (UnicodeDecodeError, csv.Error):
        return []
    return rows[0] if rows else []


def _header(path: Path, line: bytes) -> list[str]:
    names = _fields(line)
    if EVENT_ID not in map(canonical_name, names):
        _check_form(path, names, line.decode(errors="replace"))
    if not names and line.strip():
        raise ExportFileError(
            f"{path.name}: the first line is not a CSV header in UTF-8. {_AGAIN}", path=path
        )
    if not line.endswith(b"\n"):
        raise _cut_line(path)
    return names


def _check_form(path: Path, names: list[str], line: str) -> None:
    """Refuse a first line that is known to be another than one of names between commas."""
    for separator, mark in _DELIMITED.items():
        columns = [name.strip('" \r\n') for name in line.split(mark)]
        if EVENT_ID in map(canonical_name, columns):
            raise ExportFormatError(
                f"{path.name} has {separator} instead of commas between its columns. Export as JSON.",
                path=path,
            )
    if any(map(_TIME.match, names)):
        raise ExportFormatError(
            f"{path.name} begins with a row instead of the names of its columns, so what they mean "
            "is not known. Export as JSON.",
            path=path,
        )


def _batches(
    path: Path, names: list[str], start: int, characters: Characters | None
) -> Generator[list[pa.Array], None, None]:
    done = 0
    nulls: list[str] | None = None
    with path.open("rb") as file:
        file.seek(start)
        for block in _blocks(path, file):
            if not _is_well_formed(block):
                raise ExportFileError(
                    f"{path.name} is not a CSV file after row {done}: it has text beside a quoted "
                    f"field, or a lone carriage return. {_AGAIN}",
                    path=path,
                )
            try:
                if nulls is None and b"\\N" in block:
                    is_text = _has_another_null(path, names, start)
                    nulls = [null for null in _NULLS if not (is_text and null == "\\N")]
                decoded = characters.decoded(block) if characters else block
                table = _parsed(names, decoded, nulls or _NULLS)
            except pa.ArrowInvalid as problem:
                raise _explained(path, str(problem), done) from None
            done += table.num_rows
            yield [without_empty(column.combine_chunks()) for column in table.columns]


def _has_another_null(path: Path, names: list[str], start: int) -> bool:
    """Whether null is nothing or `<nil>` without quotes in this file, so that `\\N` is a text.

    ClickHouse quotes names and texts, and writes null as `\\N`. Go quotes neither, and a text that
    really is `\\N` looks like ClickHouse's null.
    """
    with path.open("rb") as file:
        if file.read(4).removeprefix(_MARK).startswith(b'"'):
            return False
        file.seek(start)
        for block in _blocks(path, file):
            try:
                table = _parsed(names, block, ["", "<nil>"])
            except pa.ArrowInvalid:
                return False  # reading the block reports what is wrong
            if any(column.null_count for column in table.columns):
                return True
    return False


def _parsed(names: list[str], block: bytes, nulls: Sequence[str] = _NULLS) -> pa.Table:
    return pyarrow.csv.read_csv(
        pa.BufferReader(block),
        read_options=pyarrow.csv.ReadOptions(
            use_threads=False, block_size=len(block) + 1, column_names=names
        ),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=list(nulls),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _blocks(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """The file in pieces of whole rows; twice as much each time a row does not fit."""
    rest = b""
    while read := file.read(max(_BLOCK_BYTES, len(rest))):
        data = rest + read
        end = _rows_end(data)
        rest = data[end:]
        if len(rest) > _ROW_BYTES:
            raise ExportFileError(
                f"{path.name} has a row of more than {_ROW_BYTES >> 20} MiB, or a quote that is "
                f"never closed. {_AGAIN}",
                path=path,
            )
        if end:
            yield data[:end]
    if rest.count(b'"') % 2:
        raise ExportFileError(
            f"{path.name} ends inside a quoted field: it was cut. {_AGAIN}", path=path
        )
    if rest:
        raise _cut_line(path)


def _rows_end(data: bytes) -> int:
    """Behind the last newline that is outside of quotes; `data` begins with a row."""
    end = data.rfind(b"\n") + 1
    if data.count(b'"', 0, end) % 2 == 0:
        return end
    end = 0
    while row := _WHOLE_ROW.match(data, end):
        end = row.end()
    return end


def _is_well_formed(block: bytes) -> bool:
    """Whether quotes are only where a field begins and ends, or doubled inside of one."""
    ends = pa.py_buffer(struct.pack("=ii", 0, len(block)))
    whole = pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(block)])
    return bool(pc.match_substring_regex(whole, _WELL_FORMED)[0].as_py())


def _cut_line(path: Path) -> ExportFileError:
    return ExportFileError(
        f"{path.name} does not end with a newline: it was cut. {_AGAIN}", path=path
    )


def _explained(path: Path, problem: str, done: int) -> ExportFileError:
    """Arrow's message without the row's content, which is user data."""
    match = _ROW.search(problem)
    if match is None:
        return ExportFileError(
            f"{path.name} is not a CSV file after row {done}. {_AGAIN}", path=path
        )
    row = done + int(match[1])
    reason = (
        f"has {match[3]} columns instead of {match[2]}: the file is damaged or was cut. {_AGAIN}"
    )
    if match[2] is None:
        reason = f"is not UTF-8: the file is damaged or was cut. {_AGAIN} {ADVICE}"
    return ExportFileError(
        f"{path.name}: row {row} {reason}",
        path=path,
        row=row,
    )
