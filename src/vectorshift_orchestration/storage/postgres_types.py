"""Arrow columns as PostgreSQL types, and as the text that COPY reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.characters import ADVICE
from vectorshift_orchestration.errors import StorageError, UnstorableValue
from vectorshift_orchestration.storage.column_types import inexact, is_text
from vectorshift_orchestration.tables import INSTANT

TIME_TYPE = "timestamp with time zone"

_LONGEST_NAME = 63
_PIECE_BYTES = 1 << 20
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_WHOLE = {"smallint": pa.int16(), "integer": pa.int32(), "bigint": pa.int64()}


def check_name(name: str) -> None:
    """Raises `StorageError` for a name that the server would cut without an error."""
    if len(name.encode()) > _LONGEST_NAME:
        raise StorageError(
            f"{name!r} is longer than the {_LONGEST_NAME} bytes that PostgreSQL keeps of a name. "
            "Use a shorter one."
        )


def column_type(field: pa.Field) -> str:
    """The type of a new column, which holds every value of the Arrow field exactly.

    Raises `SchemaMismatch` for bytes, times of day, lists and the like.
    """
    kind = field.type
    if pa.types.is_uint64(kind):
        return "numeric(20,0)"
    if pa.types.is_decimal(kind) and kind.scale >= 0:
        return f"numeric({kind.precision},{kind.scale})"
    for fits, name in (
        (pa.types.is_integer, "bigint"),
        (pa.types.is_floating, "double precision"),
        (is_text, "text"),
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_timestamp, TIME_TYPE),
        (pa.types.is_date, "date"),
    ):
        if fits(kind):
            return name
    raise inexact(field)


def holds(present: str, incoming: str) -> bool:
    """Whether a column of type `present` takes each value of `incoming` exactly or refuses it."""
    if incoming in _WHOLE and present in _WHOLE:
        return True
    if incoming == "text":
        return present.startswith("character varying")
    new, old = _NUMERIC.fullmatch(incoming), _NUMERIC.fullmatch(present)
    if new and old:
        return int(old[2]) >= int(new[2])  # too many digits before the point are refused
    return new is not None and present == "numeric"


def exact(batch: pa.RecordBatch, present: dict[str, str], row: int) -> pa.RecordBatch:
    """The batch in Arrow types whose binary form is that of the columns, for ADBC.

    `row` is the number of rows before it. Raises `UnstorableValue` for a value that does not fit.
    """
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        _refuse_nul(column, name, row)
        target = _binary_type(column.type, present.get(name, ""))
        try:
            columns.append(column.cast(target))
        except pa.ArrowInvalid as problem:
            raise UnstorableValue(
                f"A value of column {name!r} does not fit into {present.get(name)}: {problem}. "
                "No row was changed.",
                column=name,
            ) from problem
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def copy_text(batch: pa.RecordBatch, row: int) -> Iterator[bytes]:
    """The rows as COPY text, about a mebibyte at a time.

    `row` is the number of rows before this batch. Raises `UnstorableValue` for a NUL in a text.
    """
    step = max(1, batch.num_rows * _PIECE_BYTES // max(1, batch.nbytes))
    for start in range(0, batch.num_rows, step):
        part = batch.slice(start, step)
        texts = [
            _text(column, name, row + start)
            for name, column in zip(part.schema.names, part.columns, strict=True)
        ]
        lines = pc.binary_join_element_wise(*texts, "\t")
        yield _content(pc.binary_join_element_wise(lines, "", "\n"))


def _text(column: pa.Array, name: str, row: int) -> pa.Array | pa.Scalar:
    kind = column.type
    if column.null_count == len(column):
        return pa.scalar("\\N")
    if pa.types.is_timestamp(kind):
        text = _zoned(column)
    elif is_text(kind):
        text = _escaped(column.cast(pa.string()), name, row)
    elif pa.types.is_floating(kind):
        text = column.cast(pa.float64()).cast(pa.string())  # as exact as the number is
    else:
        text = column.cast(pa.string())
    return pc.fill_null(text, "\\N") if text.null_count else text


def _escaped(text: pa.Array, name: str, row: int) -> pa.Array:
    characters = _content(text)  # looking through all of them at once is much faster
    if b"\0" in characters:
        _refuse_nul(text, name, row)
    for plain, escaped in _ESCAPES:
        if plain.encode() in characters:
            text = pc.replace_substring(text, plain, escaped)
    return text


def _zoned(instants: pa.Array) -> pa.Array:
    """UTC as text. Arrow's own way, through its table of zones, takes twenty times as long."""
    text = instants.cast(pa.timestamp("us")).cast(pa.string())
    return pc.binary_join_element_wise(text, "", "Z")


def _refuse_nul(column: pa.Array, name: str, row: int) -> None:
    if not is_text(column.type):
        return
    index = pc.index(pc.match_substring(column.cast(pa.large_string()), "\0"), True).as_py()
    if index >= 0:
        raise UnstorableValue(
            f"Row {row + index + 1} has a NUL character in column {name!r}, which PostgreSQL cannot "
            f"store. No row was changed; take it out of the text first. {ADVICE}",
            row=row + index + 1,
            column=name,
        )


def _content(lines: pa.Array) -> bytes:
    """The characters of all values, one after the other, as they lie in memory."""
    _, offsets, values = lines.buffers()
    if values is None:
        return b""
    ends = memoryview(offsets).cast("i")
    first, last = ends[lines.offset], ends[lines.offset + len(lines)]
    return cast(bytes, values.slice(first, last - first).to_pybytes())


def _binary_type(kind: pa.DataType, present: str) -> pa.DataType:
    if present in _WHOLE:
        return _WHOLE[present]
    if pa.types.is_timestamp(kind):
        return INSTANT
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_uint64(kind):
        return pa.decimal128(20, 0)
    return pa.large_string() if is_text(kind) else kind
