"""An export's file as Arrow batches: the same table from CSV, JSON and XLSX, or an error.

Reading is strict, because a file that was cut can look like a smaller file: constant width,
closed quotes and brackets, an end where an end belongs, every cell of the type of its column.
Memory is bounded by one batch, not by the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.errors import ExportFileError
from vectorshift_orchestration.formats import TextColumns
from vectorshift_orchestration.tables import (
    CALLER,
    EVENT_ID,
    EVENT_SCHEMA,
    EVENT_TIME,
    STATUS,
    canonical_name,
    instants,
    plain_caller,
)

_FORMATS = ("csv", "json", "xlsx")
_REQUIRED = (EVENT_ID, EVENT_TIME)


def read_export(
    path: str | PathLike[str], format: str, *, progress: Callable[[int], None] | None = None
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema and the rows of an exported file.

    The schema is `EVENT_SCHEMA`, then the columns that the file has beyond it, as strings.
    Headers may be spelled in any of the wire's ways (`canonical_name`), and the status in any case:
    it is lower case here, as in pages. Empty text is null in all three formats, because CSV cannot
    tell the two apart. `progress` is called with the number of
    rows read so far.

    Raises `ExportFileError` naming file, row and what to do: at once for an empty file or a header
    without the columns of an event, else while the batches are read, when the file turns out to be
    cut, ragged or damaged. So nothing may be made visible before the iterator has ended.
    """
    path = Path(path)
    if format.lower() not in _FORMATS:
        raise ExportFileError(f"An export is CSV, JSON or XLSX, not {format!r}.", path=path)
    if not path.stat().st_size:
        raise ExportFileError(f"{path.name} is empty. Export again.", path=path)
    reader = import_module(f"vectorshift_orchestration.formats.{format.lower()}")
    text: TextColumns = reader.open_text(path)
    names = _column_names(path, text.names)
    extras = [(name, pa.string()) for name in names if name not in EVENT_SCHEMA.names]
    schema = pa.schema([*EVENT_SCHEMA, *extras])
    return schema, _typed(path, schema, names, text.batches, progress)


def _column_names(path: Path, spelled: Sequence[str]) -> list[str]:
    names = [canonical_name(name) for name in spelled]
    twice = sorted({name for name in names if names.count(name) > 1})
    missing = [name for name in _REQUIRED if name not in names]
    if twice or missing or "" in names:
        reason = f"no column {missing[0]}" if missing else "a column without a name"
        if twice and twice[0]:
            reason = f"two columns that mean {twice[0]}"
        raise ExportFileError(
            f"{path.name} has {reason}, so it is not an export of events. Export again.", path=path
        )
    return names


def _typed(
    path: Path,
    schema: pa.Schema,
    names: Sequence[str],
    batches: Iterator[list[pa.Array]],
    progress: Callable[[int], None] | None,
) -> Iterator[pa.RecordBatch]:
    rows = 0
    for columns in batches:
        texts = dict(zip(names, columns, strict=True))
        size = len(columns[0])
        arrays = []
        for field in schema:
            text = texts.get(field.name)
            arrays.append(
                pa.nulls(size, field.type) if text is None else _column(path, field, text, rows)
            )
        rows += size
        if progress is not None:
            progress(rows)
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _column(path: Path, field: pa.Field, text: pa.Array, rows_before: int) -> pa.Array:
    """A text column in its type; the first cell that has none is named by its row."""
    if field.name == CALLER and pc.any(pc.starts_with(text, "{")).as_py():
        return pa.array(map(plain_caller, text.to_pylist()), pa.string())
    if field.name == STATUS:
        return pc.utf8_lower(text)
    try:
        values = _read(field, text)
    except pa.ArrowInvalid:
        bad = next(index for index in range(len(text)) if not _reads(field, text.slice(index, 1)))
        raise _bad_cell(path, field, rows_before + bad + 1, "cannot be read") from None
    if pa.types.is_floating(field.type):
        finite = pc.fill_null(pc.is_finite(values), True)
        if not pc.all(finite).as_py():
            row = rows_before + pc.index(finite, False).as_py() + 1
            raise _bad_cell(path, field, row, "is no finite number")
    if field.name in _REQUIRED and values.null_count:
        row = rows_before + pc.index(values.is_null(), True).as_py() + 1
        raise _bad_cell(path, field, row, "is missing")
    return values


def _read(field: pa.Field, text: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(field.type):
        return instants(text, field.name)
    return text if pa.types.is_string(field.type) else text.cast(field.type)


def _reads(field: pa.Field, cell: pa.Array) -> bool:
    try:
        _read(field, cell)
    except pa.ArrowInvalid:
        return False
    return True


def _bad_cell(path: Path, field: pa.Field, row: int, what: str) -> ExportFileError:
    kind = "an RFC 3339 time with its offset" if pa.types.is_timestamp(field.type) else field.type
    return ExportFileError(
        f"{path.name}: row {row}: {field.name} {what}; it should be {kind}. "
        "The file is damaged: export again.",
        path=path,
        row=row,
    )
