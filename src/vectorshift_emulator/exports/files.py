"""Writers of export files: CSV and JSON by DuckDB, XLSX row by row, all in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from xlsxwriter import Workbook
from xlsxwriter.exceptions import XlsxWriterException

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from xlsxwriter.worksheet import Worksheet

Extension: TypeAlias = Literal["CSV", "JSON", "XLSX"]

XLSX_MAX_ROWS = 1_048_576
"""Rows of a worksheet, its header included (limit of the file format)."""
XLSX_MAX_TEXT = 32_767
"""Characters of a cell (limit of the file format)."""

_XLSX_OPTIONS = {"constant_memory": True, "nan_inf_to_errors": True}
_BATCH = 5_000
_HASH_BLOCK = 1 << 20


class ExportError(Exception):
    """An export file cannot be written. The text says why and what to do."""


class Written(NamedTuple):
    """A finished file: data rows, size in bytes and SHA-256 in hexadecimal."""

    rows: int
    size: int
    sha256: str


def write(
    cursor: DuckDBPyConnection,
    select_sql: str,
    params: Sequence[Any],
    *,
    extension: Extension,
    path: Path,
) -> Written:
    """Write the result of a query to ``path``; the file appears there complete or not at all.

    Timestamps become RFC 3339 with ``Z`` and milliseconds. JSON values and lists are real JSON in
    JSON files and compact JSON text in the others. NULL is ``null`` or an empty cell.

    Args:
        cursor: A DuckDB cursor; nobody else uses it meanwhile.
        select_sql: The query; its columns are the file's.
        params: Values of the query's parameters.
        extension: ``CSV``, ``JSON`` or ``XLSX``.
        path: The file to make. Beside it, ``<name>.part`` is used meanwhile.

    Raises:
        ExportError: The rows do not fit into the format.
        duckdb.Error, OSError: The query or the disk failed.
    """
    part = path.with_name(path.name + ".part")
    try:
        rows = _WRITERS[extension](cursor, select_sql, params, part)
        written = Written(rows, part.stat().st_size, _sha256(part))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return written


def _columns(cursor: DuckDBPyConnection, select_sql: str, params: Sequence[Any]) -> dict[str, str]:
    """Return name and DuckDB type of every column of a query."""
    described = cursor.execute(f"DESCRIBE {select_sql}", params).fetchall()
    return {row[0]: row[1] for row in described}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _as_json_value(column: str, type_: str) -> str:
    if type_ == "TIMESTAMP":
        return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%gZ') AS {column}"
    return column


def _as_text(column: str, type_: str) -> str:
    if type_ == "JSON":
        return f"json({column})::VARCHAR AS {column}"
    if type_.endswith("]") or type_.startswith(("STRUCT", "MAP")):
        return f"to_json({column})::VARCHAR AS {column}"
    return _as_json_value(column, type_)


def _shown(
    cursor: DuckDBPyConnection,
    select_sql: str,
    params: Sequence[Any],
    show: Callable[[str, str], str],
) -> str:
    """Return the query with every column in the form that ``show`` gives it."""
    columns = _columns(cursor, select_sql, params)
    shown = ", ".join(show(_quoted(name), type_) for name, type_ in columns.items())
    return f"SELECT {shown} FROM ({select_sql})"


def _copy(
    cursor: DuckDBPyConnection, query: str, params: Sequence[Any], part: Path, options: str
) -> int:
    target = str(part).replace("'", "''")
    reply = cursor.execute(f"COPY ({query}) TO '{target}' ({options})", params).fetchall()
    return int(reply[0][0])


def _write_csv(
    cursor: DuckDBPyConnection, select_sql: str, params: Sequence[Any], part: Path
) -> int:
    query = _shown(cursor, select_sql, params, _as_text)
    return _copy(cursor, query, params, part, "FORMAT csv, HEADER, QUOTE '\"', ESCAPE '\"'")


def _write_json(
    cursor: DuckDBPyConnection, select_sql: str, params: Sequence[Any], part: Path
) -> int:
    query = _shown(cursor, select_sql, params, _as_json_value)
    return _copy(cursor, query, params, part, "FORMAT json, ARRAY true")


def _write_xlsx(
    cursor: DuckDBPyConnection, select_sql: str, params: Sequence[Any], part: Path
) -> int:
    rows = _count(cursor, select_sql, params)
    if rows > XLSX_MAX_ROWS - 1:
        raise ExportError(
            f"{rows} rows do not fit into an XLSX sheet of {XLSX_MAX_ROWS} rows with a header: "
            "narrow the filters or export CSV or JSON"
        )
    cursor.execute(_shown(cursor, select_sql, params, _as_text), params)
    try:
        with Workbook(str(part), _XLSX_OPTIONS | {"tmpdir": str(part.parent)}) as book:
            # A fixed date: the same rows make the same bytes, and so the same ETag.
            book.set_properties({"created": datetime(2000, 1, 1)})  # noqa: DTZ001 - XLSX has no zone
            _fill_sheet(book.add_worksheet("events"), cursor)
    except XlsxWriterException as error:
        raise ExportError(f"the XLSX file cannot be written: {error}") from error
    return rows


def _fill_sheet(sheet: Worksheet, cursor: DuckDBPyConnection) -> None:
    """Write the header and every row that the cursor has ready."""
    header = [column[0] for column in cursor.description]
    for number, row in enumerate(chain([header], _rows(cursor))):
        for place, value in enumerate(row):
            if isinstance(value, str):
                if len(value) > XLSX_MAX_TEXT:
                    raise ExportError(
                        f"row {number}, column {header[place]}: a text of {len(value)} characters "
                        f"does not fit into an XLSX cell of {XLSX_MAX_TEXT}: export CSV or JSON"
                    )
                sheet.write_string(number, place, value)
            elif value is not None:
                sheet.write(number, place, value)


def _count(cursor: DuckDBPyConnection, select_sql: str, params: Sequence[Any]) -> int:
    return int(cursor.execute(f"SELECT count(*) FROM ({select_sql})", params).fetchall()[0][0])


def _rows(cursor: DuckDBPyConnection) -> Iterator[Sequence[Any]]:
    while batch := cursor.fetchmany(_BATCH):
        yield from batch


def _sha256(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


_WRITERS: dict[str, Callable[[Any, str, Sequence[Any], Path], int]] = {
    "CSV": _write_csv,
    "JSON": _write_json,
    "XLSX": _write_xlsx,
}
