"""JSON: the columns of rows that are objects.

Numbers and nested values keep the text that the file has: nothing passes through a float.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from vectorshift_orchestration.characters import ADVICE, Characters
from vectorshift_orchestration.errors import ExportFormatError
from vectorshift_orchestration.formats import TextColumns
from vectorshift_orchestration.formats.json_rows import NOT_TEXT, UNREADABLE, Row, damaged, rows_of
from vectorshift_orchestration.tables import EVENT_SCHEMA, canonical_name

_BATCH_ROWS = 8192
_BATCH_BYTES = 4 << 20
_NULL = b"null"

_texts_decoder = msgspec.json.Decoder(list[str | None])


def open_text(path: Path, characters: Characters | None = None) -> TextColumns:
    """Open a JSON export; with `characters` lone surrogates and bytes that are not UTF-8 are replaced.

    Raises `ExportFileError` here or while the batches are read.

    The columns are those of an event and the other keys of the first object. A key that an object
    lacks is null there; a key that first appears later is an error, because it would be lost.
    """
    objects = rows_of(path, characters)
    first = list(islice(objects, 1))
    names = list(EVENT_SCHEMA.names)
    names += [key for item, _ in first for key in item if canonical_name(key) not in names]
    return TextColumns(names, _batches(path, names, chain(first, objects), characters))


def _batches(
    path: Path, names: list[str], objects: Iterator[Row], characters: Characters | None
) -> Generator[list[pa.Array], None, None]:
    places = {name: place for place, name in enumerate(names)}
    pickers: dict[tuple[str, ...], Callable[[tuple[Any, ...]], tuple[Any, ...]]] = {}
    done = 0
    for batch in _grouped(objects):
        rows = []
        for row, item in enumerate(batch, start=done + 1):
            keys = tuple(item)
            if keys not in pickers:
                pickers[keys] = itemgetter(*_order(path, row, keys, places))
            rows.append(pickers[keys]((*item.values(), _NULL)))
        yield [_text_array(path, cells, done, characters) for cells in zip(*rows, strict=True)]
        done += len(batch)


def _grouped(objects: Iterator[Row]) -> Iterator[list[dict[str, msgspec.Raw]]]:
    """Objects in lists that stay small, however large the objects are."""
    batch, size = [], 0
    for item, length in objects:
        batch.append(item)
        size += length
        if len(batch) == _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _order(path: Path, row: int, keys: Sequence[str], places: dict[str, int]) -> list[int]:
    """For each column, where an object with these keys has its value; -1 for nowhere."""
    order = [-1] * len(places)
    for index, key in enumerate(keys):
        place = places.get(key, places.get(canonical_name(key)))
        if place is None:
            raise ExportFormatError(
                f"{path.name}: row {row} has a key {key!r} that the first row lacks, so it would "
                "be lost. Export as CSV.",
                path=path,
                row=row,
            )
        if order[place] >= 0:
            raise damaged(path, row, f"gives {canonical_name(key)} twice")
        order[place] = index
    return order


def _text_array(
    path: Path, cells: Sequence[bytes | msgspec.Raw], done: int, characters: Characters | None
) -> pa.Array:
    """A column: strings unquoted, null as null, anything else as its own compact text."""
    try:
        texts = _texts_decoder.decode(b"[" + b",".join(cells) + b"]")
    except UNREADABLE:
        known: dict[bytes, str | None] = {}
        texts = []
        for row, cell in enumerate(map(bytes, cells), done + 1):
            if cell not in known:
                known[cell] = _row_text(path, row, cell, characters)
            texts.append(known[cell])
    return pa.array([text or None for text in texts], pa.string())


def _row_text(path: Path, row: int, cell: bytes, characters: Characters | None) -> str | None:
    try:
        return _text(cell if characters is None else characters.json(cell))
    except UNREADABLE:
        raise damaged(path, row, NOT_TEXT, ADVICE) from None


def _text(cell: bytes) -> str | None:
    if cell == _NULL:
        return None
    if cell.startswith(b'"'):
        return msgspec.json.decode(cell, type=str)
    return msgspec.json.format(cell, indent=-1).decode()
