"""JSON: one array of objects, laid out in any way, read object by object.

The reader follows brackets and skips strings, so one object at a time is all it has to hold.
Numbers and nested values keep the text that the file has: nothing passes through a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, TypeAlias

import msgspec
import pyarrow as pa

from vectorshift_orchestration.errors import ExportFileError
from vectorshift_orchestration.formats import TextColumns
from vectorshift_orchestration.tables import EVENT_SCHEMA, canonical_name

_READ_BYTES = 1 << 20
_OBJECT_BYTES = 64 << 20
_BATCH_ROWS = 8192
_BATCH_BYTES = 4 << 20
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["{}\[\]]', re.DOTALL)
_NOT_BLANK = re.compile(rb"[^ \t\r\n]")
_MARK = b"\xef\xbb\xbf"
_NULL = b"null"

_Sized: TypeAlias = tuple[dict[str, msgspec.Raw], int]
"""An object, and the number of its bytes."""

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts_decoder = msgspec.json.Decoder(list[str | None])


def open_text(path: Path) -> TextColumns:
    """Open a JSON export. Raises `ExportFileError` here or while the batches are read.

    The columns are those of an event and the other keys of the first object. A key that an object
    lacks is null there; a key that first appears later is an error, because it would be lost.
    """
    objects = _objects(path)
    first = list(islice(objects, 1))
    names = list(EVENT_SCHEMA.names)
    names += [key for item, _ in first for key in item if canonical_name(key) not in names]
    return TextColumns(names, _batches(path, names, chain(first, objects)))


def _batches(path: Path, names: list[str], objects: Iterator[_Sized]) -> Iterator[list[pa.Array]]:
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
        yield [_text_array(path, cells, done) for cells in zip(*rows, strict=True)]
        done += len(batch)


def _grouped(objects: Iterator[_Sized]) -> Iterator[list[dict[str, msgspec.Raw]]]:
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
            raise ExportFileError(
                f"{path.name}: row {row} has a key {key!r} that the first row lacks, so it would "
                "be lost. Export as CSV.",
                path=path,
                row=row,
            )
        if order[place] >= 0:
            raise _damaged(path, row, f"gives {canonical_name(key)} twice")
        order[place] = index
    return order


def _text_array(path: Path, cells: Sequence[bytes | msgspec.Raw], done: int) -> pa.Array:
    """A column: strings unquoted, null as null, anything else as its own compact text."""
    try:
        texts = _texts_decoder.decode(b"[" + b",".join(cells) + b"]")
    except _UNREADABLE:
        texts = [_row_text(path, row, bytes(cell)) for row, cell in enumerate(cells, done + 1)]
    return pa.array([text or None for text in texts], pa.string())


def _row_text(path: Path, row: int, cell: bytes) -> str | None:
    try:
        return _text(cell)
    except _UNREADABLE:
        raise _damaged(path, row, "holds a text that is not JSON in UTF-8") from None


def _text(cell: bytes) -> str | None:
    if cell == _NULL:
        return None
    if cell.startswith(b'"'):
        return msgspec.json.decode(cell, type=str)
    return msgspec.json.format(cell, indent=-1).decode()


def _objects(path: Path) -> Iterator[_Sized]:
    with path.open("rb") as file:
        yield from _Array(file, path).objects()


class _Array:
    """A file's one array, of which the object at hand and the next megabyte are in memory."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self._buffer = file.read(_READ_BYTES).removeprefix(_MARK)
        self._position = 0
        self._row = 0

    def objects(self) -> Iterator[_Sized]:
        """Each object of the array. Raises `ExportFileError` where the array breaks off."""
        if self._next() != b"[":
            raise ExportFileError(
                f"{self._path.name} is not a JSON array of rows. Export again.", path=self._path
            )
        self._position += 1
        ended = self._next() == b"]"
        while not ended:
            self._row += 1
            if self._next() != b"{":
                raise _damaged(self._path, self._row, "is not a JSON object")
            yield self._line() or self._object()
            separator = self._next()
            if separator not in (b",", b"]"):
                raise _damaged(self._path, self._row, "is followed by neither a comma nor an end")
            ended = separator == b"]"
            self._position += not ended
        self._position += 1
        if self._next():
            raise ExportFileError(
                f"{self._path.name} goes on after its array is closed. Export again.",
                path=self._path,
            )

    def _line(self) -> _Sized | None:
        """The object, if it is all that its line holds: the usual layout, and the fast way."""
        end = self._buffer.find(b"\n", self._position)
        text = self._buffer[self._position : end].rstrip(b", \t\r") if end > 0 else b""
        try:
            item = _object_decoder.decode(text)
        except _UNREADABLE:
            return None
        self._position += len(text)
        return item, len(text)

    def _object(self) -> _Sized:
        end = self._object_end()
        try:
            item = _object_decoder.decode(self._buffer[self._position : end])
        except _UNREADABLE:
            raise _damaged(self._path, self._row, "is not a JSON object") from None
        size, self._position = end - self._position, end
        return item, size

    def _next(self) -> bytes:
        """The next byte that is not blank, or b"" at the end of a closed array."""
        while (found := _NOT_BLANK.search(self._buffer, self._position)) is None:
            self._position = len(self._buffer)
            if not self._more():
                return b""
        self._position = found.start()
        return found[0]

    def _object_end(self) -> int:
        while True:
            depth = 0
            for found in _STRING_OR_BRACKET.finditer(self._buffer, self._position):
                token = found[0]
                if token in (b"{", b"["):
                    depth += 1
                elif token in (b"}", b"]"):
                    depth -= 1
                    if not depth:
                        return found.end()
                elif token == b'"':
                    break  # a string that the buffer cuts
            if len(self._buffer) - self._position > _OBJECT_BYTES:
                raise _damaged(self._path, self._row, f"is larger than {_OBJECT_BYTES >> 20} MiB")
            if not self._more():
                raise ExportFileError(
                    f"{self._path.name} ends inside row {self._row}: it was cut. Export again.",
                    path=self._path,
                    row=self._row,
                )

    def _more(self) -> bool:
        """Read on; twice as much each time an object does not fit, so that it stays linear."""
        kept = self._buffer[self._position :]
        read = self._file.read(max(_READ_BYTES, len(kept)))
        self._buffer, self._position = kept + read, 0
        return bool(read)


def _damaged(path: Path, row: int, what: str) -> ExportFileError:
    return ExportFileError(
        f"{path.name}: row {row} {what}: the file is damaged or was cut. Export again.",
        path=path,
        row=row,
    )
