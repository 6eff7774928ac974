"""Arrow types as tables and files keep them: by the values they hold, not by how one day's rows were laid out.

A column that is all null today, or that a library has dictionary-encoded, has another type tomorrow;
what is made of today's rows has to take tomorrow's. So a column of nulls is text, times are in
microseconds, and encodings are undone. Nothing is rounded.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.errors import SchemaMismatch, UnstorableValue

_DECIMAL128_DIGITS = 38


def plain(kind: pa.DataType) -> pa.DataType:
    """The type that a column of this type is kept in."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return plain(kind.value_type)
    if pa.types.is_null(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_date64(kind):
        return pa.date32()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal(kind) and kind.precision <= _DECIMAL128_DIGITS:
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_struct(kind):
        return pa.struct([_plain_field(field) for field in kind.fields])
    if pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind):
        return pa.large_list(_plain_field(kind.value_field))
    if pa.types.is_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(_plain_field(kind.value_field))
    return kind


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with each column in the type that it is kept in."""
    return pa.schema([_plain_field(field) for field in schema])


def plain_batch(batch: pa.RecordBatch, row: int) -> pa.RecordBatch:
    """The batch with the columns of `plain_schema`; `row` is the number of rows before it.

    Raises `UnstorableValue` for a time that is finer than a microsecond, or a date with a time.
    """
    schema = plain_schema(batch.schema)
    if schema.equals(batch.schema):
        return batch
    columns = [
        column if column.type == field.type else _cast(column, field, row)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def inexact(field: pa.Field) -> SchemaMismatch:
    """The error for a column whose values a database has no exact type for."""
    return SchemaMismatch(
        f"Column {field.name!r} is of Arrow type {field.type}, which has no exact column type here. "
        "Convert it, to text for example, before it is written."
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def require_finite(column: pa.Array, name: str, row: int, database: str) -> None:
    """Raise `UnstorableValue` for NaN or infinity; `row` is the number of rows before the column's first."""
    if not pa.types.is_floating(column.type):
        return
    index = pc.index(pc.is_finite(column), False).as_py()
    if index >= 0:
        raise UnstorableValue(
            f"Row {row + index + 1} has {column[index].as_py()} in column {name!r}, which {database} "
            "cannot store. No row was changed.",
            row=row + index + 1,
            column=name,
        )


def _seen_whole(kind: pa.DataType) -> pa.DataType:
    is_view = pa.types.is_string_view(kind) or pa.types.is_binary_view(kind)
    return plain(kind) if is_view else kind


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(plain(field.type))


def _cast(column: pa.Array, field: pa.Field, row: int) -> pa.Array:
    if pa.types.is_run_end_encoded(column.type):
        return _cast(pc.run_end_decode(column), field, row)
    if pa.types.is_dictionary(column.type):  # Arrow does not take views out of a dictionary
        values = column.dictionary.cast(_seen_whole(column.type.value_type))
        column = pa.DictionaryArray.from_arrays(column.indices, values).dictionary_decode()
    try:
        return column.cast(field.type)
    except pa.ArrowInvalid:
        converted = column.cast(field.type, safe=False)
        lost = row + pc.index(pc.equal(converted.cast(column.type), column), False).as_py() + 1
        problem = "a date with a time of day" if pa.types.is_date(field.type) else "a time"
        raise UnstorableValue(
            f"Row {lost} has {problem} in column {field.name!r} that is finer than what is kept "
            f"({field.type}). Round it first. No row was changed.",
            row=lost,
            column=field.name,
        ) from None
