"""JSON: the columns of rows that are objects.

Numbers and nested values keep the text that the file has: nothing passes through a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import chain, count, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.characters import ADVICE, Characters
from vectorshift_orchestration.errors import ExportFormatError
from vectorshift_orchestration.formats import TextColumns, without_empty
from vectorshift_orchestration.formats.json_rows import NOT_TEXT, Block, damaged, rows_of
from vectorshift_orchestration.formats.json_shapes import (
    NULL,
    UNREADABLE,
    Kind,
    Object,
    Rows,
    Shape,
    columns_of,
)
from vectorshift_orchestration.tables import EVENT_SCHEMA, canonical_name

_BATCH_ROWS = 8192
_BATCH_BYTES = 4 << 20
_STRUCTURE = re.compile(rb'["\[{]')

_texts_decoder = msgspec.json.Decoder(list[str | None])


def open_text(path: Path, characters: Characters | None = None) -> TextColumns:
    """Open a JSON export; with `characters` lone surrogates and bytes that are not UTF-8 are replaced.

    Raises `ExportFileError` here or while the batches are read.

    The columns are those of an event and the other keys of the first object. A key that an object
    lacks is null there; a key that first appears later is an error, because it would be lost.
    """
    shape = Shape()
    blocks = rows_of(path, shape, characters)
    first = list(islice(blocks, 1))
    names = list(EVENT_SCHEMA.names)
    for (row,), _ in first:
        assert isinstance(row, dict)  # no shape is known yet
        names += [key for key in row if canonical_name(key) not in names]
        shape.learn(names, row)
    reading = _Reading(path, names, characters)
    return TextColumns(names, reading.batches(chain(first, blocks)), blocks)


class _Reading:
    """The rows of a file, turned into its columns."""

    def __init__(self, path: Path, names: Sequence[str], characters: Characters | None) -> None:
        self._path = path
        self._places = {name: place for place, name in enumerate(names)}
        self._characters = characters
        self._pickers: dict[tuple[str, ...], Callable[[tuple[Any, ...]], tuple[Any, ...]]] = {}
        self._done = 0

    def batches(self, blocks: Iterator[Block]) -> Generator[list[pa.Array], None, None]:
        """The columns, some rows at a time."""
        for rows in _grouped(blocks):
            if isinstance(rows[0], msgspec.Struct):
                columns = columns_of(rows)
                yield [self._column(kind, len(rows), cells) for kind, cells in columns]
            else:
                picked = map(self._picked, count(self._done + 1), rows)
                yield [self._texts(cells) for cells in zip(*picked, strict=True)]
            self._done += len(rows)

    def _column(self, kind: Kind, rows: int, cells: Iterable[Any]) -> pa.Array:
        match kind:
            case "null":
                return pa.nulls(rows, pa.string())
            case "text":
                return without_empty(pa.array([*cells], pa.string()))
            case "number":
                return pa.array([*cells], pa.float64())
            case "json":
                return self._texts(cells)

    def _picked(self, row: int, item: Object) -> tuple[Any, ...]:
        """The values of an object in the order of the columns."""
        keys = tuple(item)
        if keys not in self._pickers:
            self._pickers[keys] = itemgetter(*self._order(row, keys))
        return self._pickers[keys]((*item.values(), NULL))

    def _order(self, row: int, keys: Sequence[str]) -> list[int]:
        """For each column, where an object with these keys has its value; -1 for nowhere."""
        order = [-1] * len(self._places)
        for index, key in enumerate(keys):
            place = self._places.get(key, self._places.get(canonical_name(key)))
            if place is None:
                raise ExportFormatError(
                    f"{self._path.name}: row {row} has a key {key!r} that the first row lacks, so it "
                    "would be lost. Export as CSV.",
                    path=self._path,
                    row=row,
                )
            if order[place] >= 0:
                raise damaged(self._path, row, f"gives {canonical_name(key)} twice")
            order[place] = index
        return order

    def _texts(self, values: Iterable[msgspec.Raw]) -> pa.Array:
        """A column: strings unquoted, null as null, anything else as its own compact text."""
        cells = [*map(bytes, values)]
        text = b",".join(cells)
        if not _STRUCTURE.search(text):
            column = pa.array(text.decode().split(","), pa.string())
            return pc.if_else(pc.equal(column, "null"), None, column)
        try:
            texts = _texts_decoder.decode(b"[%b]" % text)
        except UNREADABLE:
            texts = self._each_text(cells)
        return without_empty(pa.array(texts, pa.string()))

    def _each_text(self, cells: Sequence[bytes]) -> list[str | None]:
        """The texts of cells: the same ones once, but where what is replaced is counted."""
        if self._characters is not None:
            return [self._text(cells, cell) for cell in cells]
        texts = {cell: self._text(cells, cell) for cell in dict.fromkeys(cells)}
        return [*map(texts.__getitem__, cells)]

    def _text(self, cells: Sequence[bytes], cell: bytes) -> str | None:
        if cell == b"null":
            return None
        try:
            encoded = cell if self._characters is None else self._characters.json(cell)
            if encoded.startswith(b'"'):
                return msgspec.json.decode(encoded, type=str)
            return msgspec.json.format(encoded, indent=-1).decode()
        except UNREADABLE:
            row = self._done + cells.index(cell) + 1
            raise damaged(self._path, row, NOT_TEXT, ADVICE) from None


def _grouped(blocks: Iterator[Block]) -> Iterator[Rows]:
    """Blocks of rows of one kind put together, as long as they stay small."""
    batch: list[Any] = []
    size = 0
    for rows, length in blocks:
        if batch and type(batch[0]) is not type(rows[0]):
            yield batch
            batch, size = [], 0
        batch += rows
        size += length
        if len(batch) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
