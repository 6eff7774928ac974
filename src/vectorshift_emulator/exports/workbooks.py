"""XLSX files, row by row: sheets, cells, and the limits of the format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlsxwriter import Workbook
from xlsxwriter.exceptions import XlsxWriterException

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from xlsxwriter.worksheet import Worksheet

MAX_ROWS = 1_048_576
"""Rows of a worksheet, its header included (limit of the file format)."""
MAX_TEXT = 32_767
"""UTF-16 units of a cell (limit of the file format, as Excel and excelize count)."""

_OPTIONS = {
    "constant_memory": True,
    "nan_inf_to_errors": True,
    "default_date_format": "yyyy-mm-dd hh:mm:ss.000",
}
_BATCH = 5_000


class _Double(float):
    """A number with all of its digits: XlsxWriter would write sixteen, and a double has up to 17."""

    def __format__(self, spec: str) -> str:
        return repr(float(self))


class ExportError(Exception):
    """An export file cannot be written. The text says why and what to do."""


def check(rows: int, sheet_rows: int | None) -> None:
    """Refuse rows that do not fit.

    Args:
        rows: the number of rows.
        sheet_rows: how many a sheet takes before the next one begins; None is one sheet.

    Raises:
        ExportError: they do not fit into a sheet.
    """
    if min(rows, sheet_rows or rows) > MAX_ROWS - 1:
        raise ExportError(
            f"{rows} rows do not fit into an XLSX sheet of {MAX_ROWS} rows with a header: "
            "narrow the filters or export CSV or JSON"
        )


def write(
    cursor: DuckDBPyConnection,
    part: Path,
    *,
    null: str | None,
    sheet_rows: int | None,
    cuts: bool,
) -> None:
    """Write every row that the cursor has ready.

    Args:
        null: the text for null; None leaves the cell empty.
        sheet_rows: rows of a sheet before the next one begins, each under the same header.
        cuts: whether a text that is too long for a cell is cut.

    Raises:
        ExportError: a text is too long, or the file cannot be written.
    """
    header = [column[0] for column in cursor.description]
    rows = _rows(cursor)
    try:
        with Workbook(str(part), _OPTIONS | {"tmpdir": str(part.parent)}) as book:
            # A fixed date: the same rows make the same bytes, and so the same ETag.
            book.set_properties({"created": datetime(2000, 1, 1)})  # noqa: DTZ001 - XLSX has no zone
            number, more = 1, True
            while more:
                sheet = book.add_worksheet("events" if number == 1 else f"events {number}")
                written = _fill(sheet, header, islice(rows, sheet_rows), null=null, cuts=cuts)
                number, more = number + 1, written == sheet_rows
    except XlsxWriterException as error:
        raise ExportError(f"the XLSX file cannot be written: {error}") from error


def _fill(
    sheet: Worksheet,
    header: Sequence[str],
    rows: Iterator[Sequence[Any]],
    *,
    null: str | None,
    cuts: bool,
) -> int:
    """Write the header and the rows into a sheet, and return how many rows."""
    for place, name in enumerate(header):
        sheet.write_string(0, place, name)
    number = 0
    for number, row in enumerate(rows, start=1):
        for place, value in enumerate(row):
            content = null if value is None else value
            if isinstance(content, str):
                sheet.write_string(
                    number, place, _fitting(content, number, header[place], cuts=cuts)
                )
            elif isinstance(content, float):
                sheet.write(number, place, _Double(content))
            elif content is not None:
                sheet.write(number, place, content)
    return number


def _fitting(text: str, row: int, column: str, *, cuts: bool) -> str:
    """The text, cut where that is what the service does with one too long for a cell."""
    units = len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2
    if units <= MAX_TEXT:
        return text
    if cuts:
        return text.encode("utf-16-le")[: 2 * MAX_TEXT].decode("utf-16-le", errors="ignore")
    raise ExportError(
        f"row {row}, column {column}: a text of {units} characters "
        f"does not fit into an XLSX cell of {MAX_TEXT}: export CSV or JSON"
    )


def _rows(cursor: DuckDBPyConnection) -> Iterator[Sequence[Any]]:
    while batch := cursor.fetchmany(_BATCH):
        yield from batch
