"""Export files: CSV and JSON by DuckDB, XLSX row by row, all in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from vectorshift_emulator._settings import Settings
from vectorshift_emulator.exports import workbooks

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Extension: TypeAlias = Literal["CSV", "JSON", "XLSX"]

NULLS = {"empty": "", "\\N": "\\N", "<nil>": "<nil>"}
"""How switch `file_null` writes null."""

_HASH_BLOCK = 1 << 20


class Written(NamedTuple):
    """A finished file: data rows, size in bytes and SHA-256 in hexadecimal."""

    rows: int
    size: int
    sha256: str


def write(
    cursor: DuckDBPyConnection,
    select_sql: str,
    params: Sequence[Any],
    settings: Settings,
    *,
    extension: Extension,
    path: Path,
) -> Written:
    """Write the result of a query to ``path``; the file appears there complete or not at all.

    Timestamps become RFC 3339 with ``Z`` and milliseconds, or stay a workbook's own. JSON values
    and lists are real JSON in JSON files and compact JSON text in the others.

    Args:
        cursor: A DuckDB cursor; not used elsewhere meanwhile.
        select_sql: The query; its columns are the file's.
        params: Values of the query's parameters.
        settings: How null, no rows, long texts and many rows are written.
        extension: The format.
        path: The file to make. Beside it, ``<name>.part`` is used meanwhile.

    Raises:
        ExportError: The rows do not fit into the format.
        duckdb.Error, OSError: The query or the disk failed.
    """
    part = path.with_name(path.name + ".part")
    try:
        rows = _WRITERS[extension](cursor, select_sql, params, part, settings)
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
    return _as_json_value(column, type_) if type_ == "TIMESTAMP" else _as_cell(column, type_)


def _as_cell(column: str, type_: str) -> str:
    """A workbook's cell: text, number, or a time of its own."""
    if type_ == "JSON":
        return f"json({column})::VARCHAR AS {column}"
    if type_.endswith("]") or type_.startswith(("STRUCT", "MAP")):
        return f"to_json({column})::VARCHAR AS {column}"
    return column


def _shown(
    cursor: DuckDBPyConnection,
    select_sql: str,
    params: Sequence[Any],
    show: Callable[[str, str], str],
) -> str:
    """Return the query with every column in the form that ``show`` gives it."""
    columns = _columns(cursor, select_sql, params)
    columns_sql = ", ".join(show(_quoted(name), type_) for name, type_ in columns.items())
    return f"SELECT {columns_sql} FROM ({select_sql})"


def _copy(
    cursor: DuckDBPyConnection, query: str, params: Sequence[Any], part: Path, options: str
) -> int:
    target = str(part).replace("'", "''")
    reply = cursor.execute(f"COPY ({query}) TO '{target}' ({options})", params).fetchall()
    return int(reply[0][0])


def _write_csv(
    cursor: DuckDBPyConnection,
    select_sql: str,
    params: Sequence[Any],
    part: Path,
    settings: Settings,
) -> int:
    query = _shown(cursor, select_sql, params, _as_text)
    null = NULLS[settings.file_null]
    options = f"FORMAT csv, HEADER, QUOTE '\"', ESCAPE '\"', NULLSTR '{null}'"
    return _copy(cursor, query, params, part, options)


def _write_json(
    cursor: DuckDBPyConnection,
    select_sql: str,
    params: Sequence[Any],
    part: Path,
    settings: Settings,
) -> int:
    query = _shown(cursor, select_sql, params, _as_json_value)
    is_array = settings.json_form == "array"
    rows = _copy(cursor, query, params, part, f"FORMAT json, ARRAY {is_array}")
    if is_array and not rows and settings.json_empty == "null":
        part.write_text("null")
    return rows


def _write_xlsx(
    cursor: DuckDBPyConnection,
    select_sql: str,
    params: Sequence[Any],
    part: Path,
    settings: Settings,
) -> int:
    counted = cursor.execute(f"SELECT count(*) FROM ({select_sql})", params).fetchall()
    rows = int(counted[0][0])
    show = _as_cell if settings.xlsx_times == "native" else _as_text
    query = _shown(cursor, select_sql, params, show)
    workbooks.check(rows, settings.xlsx_sheet_rows)
    cursor.execute(query, params)
    workbooks.write(
        cursor,
        part,
        null="<nil>" if settings.file_null == "<nil>" else None,
        sheet_rows=settings.xlsx_sheet_rows,
        cuts=settings.xlsx_long_text == "cut",
    )
    return rows


def _sha256(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


_WRITERS: dict[Extension, Callable[[Any, str, Sequence[Any], Path, Settings], int]] = {
    "CSV": _write_csv,
    "JSON": _write_json,
    "XLSX": _write_xlsx,
}
