"""Arrow columns as MySQL and MariaDB types, and values as literals that mean the same in any session."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.storage.column_types import (
    inexact,
    is_text,
    require_finite,
)

TIME_TYPE = "datetime(6)"
TEXT_TYPE = "longtext"

_MOST_SCALE = 30
"""Digits after the point that MySQL keeps; MariaDB keeps 38."""
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_DISPLAY_WIDTH = re.compile(r"\b((?:big|medium|small)?int|year)\(\d+\)")
_NULL, _COMMA = (pa.scalar(text, pa.large_string()) for text in ("NULL", ","))
_WHOLE = ("smallint", "mediumint", "int", "bigint")
_TEXTS = ("varchar", "text", "mediumtext", TEXT_TYPE)


def column_type(field: pa.Field) -> str:
    """The type of a new column, as the server names it, which holds every value of the field exactly.

    Raises `SchemaMismatch` for bytes, times of day, lists and the like.
    """
    kind = field.type
    if pa.types.is_uint64(kind):
        return "decimal(20,0)"
    if pa.types.is_decimal(kind) and 0 <= kind.scale <= _MOST_SCALE:
        return f"decimal({kind.precision},{kind.scale})"
    for fits, name in (
        (pa.types.is_integer, "bigint"),
        (pa.types.is_floating, "double"),
        (is_text, TEXT_TYPE),
        (pa.types.is_boolean, "tinyint(1)"),
        (pa.types.is_timestamp, TIME_TYPE),
        (pa.types.is_date, "date"),
    ):
        if fits(kind):
            return name
    raise inexact(field)


def plain_type(type_name: str) -> str:
    """A column's type as `column_type` writes it: the display width, which MariaDB reports, does not matter."""
    return _DISPLAY_WIDTH.sub(r"\1", type_name.lower())


def holds(present: str, incoming: str) -> bool:
    """Whether a column of type `present` takes each value of `incoming` exactly, or refuses it in strict mode."""
    if incoming in _WHOLE:
        return present in _WHOLE
    if incoming == TEXT_TYPE:
        return present.partition("(")[0] in _TEXTS
    new, old = _DECIMAL.fullmatch(incoming), _DECIMAL.fullmatch(present)
    # Digits before the point that do not fit are an error; those after it would be rounded.
    return new is not None and old is not None and int(old[2]) >= int(new[2])


def literal(value: Any) -> str:
    """A value as SQL: texts carry their character set, whichever the connection has."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "''")
        return f"_utf8mb4'{escaped}'"
    if isinstance(value, datetime):
        return f"'{value:%Y-%m-%d %H:%M:%S.%f}'"
    return str(int(value))


def rows_text(batch: pa.RecordBatch, row: int, most: int) -> Iterator[tuple[int, str]]:
    """The rows as `(...), (...)` of an INSERT, in pieces of about `most` bytes: rows, and their text.

    `row` is the number of rows before this batch. Raises `UnstorableValue` for NaN and infinity.
    """
    step = max(1, batch.num_rows * most // max(1, batch.nbytes))
    for start in range(0, batch.num_rows, step):
        part = batch.slice(start, step)
        texts = [
            _literals(column, name, row + start)
            for name, column in zip(part.schema.names, part.columns, strict=True)
        ]
        lines = _joined("(", pc.binary_join_element_wise(*texts, _COMMA), ")")
        yield part.num_rows, ",".join(lines.to_pylist())


def _literals(column: pa.Array, name: str, row: int) -> pa.Array | pa.Scalar:
    kind = column.type
    if column.null_count == len(column):
        return _NULL
    if is_text(kind):
        text = column.cast(pa.large_string())
        for plain, escaped in (("\\", "\\\\"), ("'", "''")):
            text = pc.replace_substring(text, plain, escaped)
        text = _joined("_utf8mb4'", text, "'")
    elif pa.types.is_floating(kind):
        require_finite(column, name, row, "MySQL")
        # With an exponent it is a double and not a decimal on the way.
        text = _joined("", column.cast(pa.float64()).cast(pa.large_string()), "e0")
        text = pc.replace_substring_regex(text, r"(e[+-]?\d+)e0$", r"\1")
    elif pa.types.is_boolean(kind):
        text = column.cast(pa.int8()).cast(pa.large_string())
    elif pa.types.is_timestamp(kind):
        text = _joined(
            "'", column.cast(pa.timestamp("us")).cast(pa.string()).cast(pa.large_string()), "'"
        )
    elif pa.types.is_date(kind):
        text = _joined("'", column.cast(pa.string()).cast(pa.large_string()), "'")
    else:
        text = column.cast(pa.string()).cast(pa.large_string())
    return pc.fill_null(text, _NULL) if text.null_count else text


def _joined(before: str, text: pa.Array, behind: str) -> pa.Array:
    first, last, separator = (pa.scalar(part, pa.large_string()) for part in (before, behind, ""))
    return pc.binary_join_element_wise(first, text, last, separator)
