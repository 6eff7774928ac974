"""An export's file as Arrow batches: the same table from CSV, JSON and XLSX, or an error.

Reading is strict, because a file that was cut can look like a smaller file: constant width,
closed quotes and brackets, an end where an end belongs, every cell of the type of its column.
Memory is bounded by one batch, not by the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from importlib import import_module
from os import PathLike
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.characters import Characters
from vectorshift_orchestration.errors import ExportFileError, ExportFormatError
from vectorshift_orchestration.formats import TextColumns
from vectorshift_orchestration.instants import form_of_time, instants
from vectorshift_orchestration.json_texts import JSON_COLUMNS, NotJson, json_text
from vectorshift_orchestration.tables import (
    CALLER,
    EVENT_ID,
    EVENT_SCHEMA,
    EVENT_TIME,
    STATUS,
    canonical_name,
    plain_caller,
)

_FORMATS = ("csv", "json", "xlsx")
_REQUIRED = (EVENT_ID, EVENT_TIME)
_WHOLE = (*JSON_COLUMNS, CALLER)
_KINDS = {
    b"PK\x03\x04": "a workbook or another ZIP archive",
    b"\xd0\xcf\x11\xe0": "a workbook of the old kind (XLS)",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "compressed by gzip",
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}
"""Other kinds of files, by how they begin."""
_NUMBER_FORMS = (
    (re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE), "is not a finite number"),
    (re.compile(r"[+-]?\d{1,3}([,_ ]\d{3})+(\.\d+)?"), "has marks between groups of its digits"),
    (re.compile(r"[+-]?\d+,\d+"), "has a comma for its decimal point"),
    (re.compile(r"true|false", re.IGNORECASE), "is a truth value"),
)


def read_export(
    path: str | PathLike[str],
    format: str,
    *,
    may_be_empty: bool = False,
    characters: Characters | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema and the rows of an exported file.

    The schema is `EVENT_SCHEMA`, then the columns that the file has beyond it, as strings.
    Headers may be spelled in any of the wire's ways (`canonical_name`), and the status in any case:
    it is lower case here, as in pages. Empty text is null in all three formats, because CSV cannot
    tell the two apart, and so are `\\N` and `<nil>` where a writer means null by them. Times and JSON
    columns are read in every spelling that is certain (`instants`, `json_texts`). With
    `may_be_empty` a file of no bytes is one without rows, as JSON lines have it: for those who know
    that there are none. `characters` replaces and counts what is not a character instead of refusing
    it. `progress` is called with the number of rows read so far.

    Raises `ExportFileError` naming file, row and what to do: at once for an empty file or a header
    without the columns of an event, else while the batches are read, when the file turns out to be
    cut, ragged or damaged. So nothing may be made visible before the iterator has ended. Of these,
    `ExportFormatError` is for what another export in the same format would have again.
    """
    path = Path(path)
    if format.lower() not in _FORMATS:
        raise ExportFormatError(f"An export is CSV, JSON or XLSX, not {format!r}.", path=path)
    if may_be_empty and format.lower() != "xlsx" and not path.stat().st_size:
        return EVENT_SCHEMA, iter(())
    _check_kind(path, format.lower())
    reading = _Reading(path, format.lower(), characters)
    reader = import_module(f"vectorshift_orchestration.formats.{format.lower()}")
    text: TextColumns = reader.open_text(path, characters)
    try:
        names = _column_names(path, format.lower(), text.names)
    except ExportFileError:
        text.close()
        raise
    extras = [(name, pa.string()) for name in names if name not in EVENT_SCHEMA.names]
    schema = pa.schema([*EVENT_SCHEMA, *extras])
    return schema, _typed(reading, schema, names, text, progress)


def _check_kind(path: Path, format: str) -> None:
    """Refuse an empty file and one that is plainly of another kind."""
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise ExportFileError(f"{path.name} is empty. Export again.", path=path)
    kind = next((kind for mark, kind in _KINDS.items() if head.startswith(mark)), None)
    if kind is not None and not (format == "xlsx" and head.startswith(b"PK")):
        raise ExportFormatError(
            f"{path.name} is {kind}, not {format.upper()}. {_instead(format)}", path=path
        )


def _instead(format: str) -> str:
    """The advice which format to export instead."""
    others = [each.upper() for each in ("csv", "json") if each != format]
    return f"Export as {' or '.join(others)}."


def _column_names(path: Path, format: str, spelled: Sequence[str]) -> list[str]:
    names = [canonical_name(name) for name in spelled]
    twice = sorted({name for name in names if names.count(name) > 1})
    missing = [name for name in _REQUIRED if name not in names]
    if twice or missing or "" in names:
        reason = f"no column {missing[0]}" if missing else "a column without a name"
        if twice and twice[0]:
            reason = f"two columns that mean {twice[0]}"
        message = f"{path.name} has {reason}, so it is not an export of events."
        if not missing or set(names) & set(EVENT_SCHEMA.names):
            raise ExportFormatError(
                f"{message} Exporting again gives the same. {_instead(format)}", path=path
            )
        raise ExportFileError(f"{message} Export again.", path=path)  # the page of a proxy, say
    parts = [name for name in names if name.partition(".")[0] in _WHOLE and name not in _WHOLE]
    if parts:
        raise ExportFormatError(
            f"{path.name} has {parts[0].partition('.')[0]} in parts, such as {parts[0]}, which do "
            f"not tell what it was. {_instead(format)}",
            path=path,
        )
    return names


def _typed(
    reading: _Reading,
    schema: pa.Schema,
    names: Sequence[str],
    text: TextColumns,
    progress: Callable[[int], None] | None,
) -> Iterator[pa.RecordBatch]:
    with closing(text):
        for columns in text.batches:
            texts = dict(zip(names, columns, strict=True))
            size = len(columns[0])
            arrays = []
            for field in schema:
                cells = texts.get(field.name)
                if cells is None:
                    arrays.append(pa.nulls(size, field.type))
                    continue
                column = reading.column(field, cells)
                if field.name in _REQUIRED and column.null_count:
                    raise reading.missing(field, column, columns)
                arrays.append(column)
            reading.rows += size
            if progress is not None:
                progress(reading.rows)
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


class _Reading:
    """The cells of a file's columns, turned into the types of an event."""

    def __init__(self, path: Path, format: str, characters: Characters | None) -> None:
        self._path = path
        self._format = format
        self._characters = characters
        self.rows = 0
        """How many rows lie before the batch at hand."""

    def column(self, field: pa.Field, text: pa.Array) -> pa.Array:
        """A text column in its type; the first cell that has none is named by its row."""
        if field.name == CALLER:
            return self._callers(text)
        if field.name in JSON_COLUMNS:
            return self._json(field.name, text)
        if field.name == STATUS:
            return pc.utf8_lower(text)
        try:
            values = _read(field, text)
        except pa.ArrowInvalid:
            bad = next(at for at in range(len(text)) if not _reads(field, text.slice(at, 1)))
            raise self._bad_cell(field, bad, text[bad].as_py()) from None
        if pa.types.is_floating(field.type):
            finite = pc.fill_null(pc.is_finite(values), True)
            if not pc.all(finite).as_py():
                bad = pc.index(finite, False).as_py()
                raise self._refused(field.name, bad, "is not a finite number; it should be double")
        return values

    def missing(
        self, field: pa.Field, column: pa.Array, cells: Sequence[pa.Array]
    ) -> ExportFileError:
        """The error about the first row that lacks a field of every event."""
        bad = pc.index(column.is_null(), True).as_py()
        if not any(each[bad].is_valid for each in cells):
            return self._refused("", bad, "is blank, as above rows of totals")
        return self._refused(field.name, bad, "is missing, or the time of an unset value")

    def _callers(self, text: pa.Array) -> pa.Array:
        if pc.any(pc.starts_with(text, "map[")).as_py():
            self._json(CALLER, text)
        if not pc.any(pc.starts_with(text, "{")).as_py():
            return text
        return _each_once(text, plain_caller)

    def _json(self, name: str, text: pa.Array) -> pa.Array:
        if self._characters is not None and pc.any(pc.match_substring(text, "\\u")).as_py():
            text = pa.array(map(self._without_halves, text.to_pylist()), pa.string())
        try:
            return _each_once(text, json_text)
        except NotJson as problem:
            bad = next(at for at in range(len(text)) if not _is_json(text[at].as_py()))
            raise self._refused(name, bad, str(problem)) from None

    def _without_halves(self, text: str | None) -> str | None:
        if self._characters is None or text is None or "\\u" not in text:
            return text
        return self._characters.json(text.encode()).decode()

    def _bad_cell(self, field: pa.Field, index: int, cell: str) -> ExportFileError:
        if pa.types.is_timestamp(field.type):
            kind, form = "an RFC 3339 time with its offset", form_of_time(cell)
        else:
            kind = field.type
            form = next(
                (reason for pattern, reason in _NUMBER_FORMS if pattern.fullmatch(cell)), None
            )
        if form is not None:
            reason = f"cannot be read: it {form}. It should be {kind}"
            return self._refused(field.name, index, reason)
        row = self.rows + index + 1
        return ExportFileError(
            f"{self._path.name}: row {row}: {field.name} cannot be read; it should be {kind}. "
            "Export again; if it stays so, "
            f"{_instead(self._format).replace('Export', 'export')}",
            path=self._path,
            row=row,
        )

    def _refused(self, name: str, index: int, reason: str) -> ExportFormatError:
        row = self.rows + index + 1
        return ExportFormatError(
            f"{self._path.name}: row {row}{f': {name}' if name else ''} {reason}. Exporting again "
            f"gives the same. {_instead(self._format)}",
            path=self._path,
            row=row,
        )


def _read(field: pa.Field, text: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(field.type):
        return instants(text)
    return text if pa.types.is_string(field.type) else text.cast(field.type)


def _reads(field: pa.Field, cell: pa.Array) -> bool:
    try:
        _read(field, cell)
    except pa.ArrowInvalid:
        return False
    return True


def _each_once(text: pa.Array, spell: Callable[[str], str | None]) -> pa.Array:
    """A column converted; a repeated text is converted once."""
    encoded = text.dictionary_encode()
    return pa.array(map(spell, encoded.dictionary.to_pylist()), pa.string()).take(encoded.indices)


def _is_json(text: str | None) -> bool:
    try:
        json_text(text)
    except NotJson:
        return False
    return True
