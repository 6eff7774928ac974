"""The rows of an export's file, or of several that make up a window, as they can be stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from vectorshift_orchestration.characters import Characters
from vectorshift_orchestration.landed import ExportFile
from vectorshift_orchestration.readers import read_export


def rows_of(
    file: ExportFile, characters: Characters | None
) -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    """Schema and rows of a file, or of its parts one after the other; `characters` counts what was replaced.

    A column that only some parts have beyond an event's is null in the others. Raises as `read_export`.
    """
    if file.parts:
        schema = pa.unify_schemas([rows_of(part, None)[0] for part in file.parts])
        return schema, _in_turn(file.parts, schema, characters)
    if file.spill is not None:
        schema, batches = file.spill.rows()
        if characters is not None:
            characters.count += file.spill.replaced
    else:
        schema, batches = read_export(
            file.path, file.format, may_be_empty=not file.rows, characters=characters
        )
    return schema, batches if characters is None else characters.stored(batches)


def _in_turn(
    parts: Sequence[ExportFile], schema: pa.Schema, characters: Characters | None
) -> Iterator[pa.RecordBatch]:
    for part in parts:
        _, batches = rows_of(part, characters)
        for batch in batches:
            columns = [
                batch.column(field.name)
                if field.name in batch.schema.names
                else pa.nulls(batch.num_rows, field.type)
                for field in schema
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
