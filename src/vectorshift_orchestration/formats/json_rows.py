"""The rows of a JSON file, one at a time, in each of the forms that services write.

    [{…}, {…}]                                 an array of objects
    {…}\n{…}                                   an object a line (NDJSON, JSONEachRow)
    {"events": [{…}, …], …}                     the array inside of an object (JSON of ClickHouse)
    [["span_id", …], ["sp_1", …]]               lists under a list of names, also a list a line
    {"meta": [{"name": …}, …], "data": [[…]]}   lists under the names of `meta` (JSONCompact)
    null                                        no rows (a nil slice of Go)

The reader follows brackets and skips strings, so one row at a time is all it has to hold. As far as rows begin alike, all of
those in memory are decoded at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

import msgspec

from vectorshift_orchestration.characters import ADVICE, Characters
from vectorshift_orchestration.errors import ExportFileError, ExportFormatError
from vectorshift_orchestration.formats.json_shapes import UNREADABLE, Rows, Shape
from vectorshift_orchestration.tables import EVENT_ID, EVENT_TIME, canonical_name

Block: TypeAlias = tuple[Rows, int]
"""Rows in a row, and the number of their bytes."""

NOT_TEXT = "holds a text that is not JSON in UTF-8"

_READ_BYTES = 1 << 20
_VALUE_BYTES = 64 << 20
_MARK = b"\xef\xbb\xbf"
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"|["{}\[\]]', re.DOTALL)
_SCALAR = re.compile(rb'"(?:[^"\\]|\\.)*+"|[^\s,:\[\]{}"]+(?=[\s,:\[\]{}"])', re.DOTALL)
_FIRST_KEY = re.compile(rb'\{\s*"(?:[^"\\]|\\.)*+"', re.DOTALL)
_NOT_BLANK = re.compile(rb"[^ \t\r\n]")
_LIST_OF_TEXTS = re.compile(rb'\[\s*"')
_COLON = re.compile(rb"\s*:\s*(.)", re.DOTALL)
_ROWS = frozenset({"events", "data", "rows", "items", "records", "results"})
"""What an object around the rows calls them."""

_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def rows_of(
    path: Path, shape: Shape, characters: Characters | None = None
) -> Generator[Block, None, None]:
    """The rows of the file as `shape` decodes them, the first one by itself; what is not a character is replaced by `characters`.

    Raises `ExportFileError` where it breaks off, `ExportFormatError` for another form.
    """
    with path.open("rb") as file:
        yield from _Scanner(file, path, shape, characters).rows()


class _Scanner:
    """A file, of which the value at hand and the next megabyte are in memory."""

    def __init__(
        self, file: IO[bytes], path: Path, shape: Shape, characters: Characters | None
    ) -> None:
        self._file = file
        self._path = path
        self._shape = shape
        self._characters = characters
        self._buffer = file.read(_READ_BYTES).removeprefix(_MARK)
        self._position = 0
        self._row = 0
        self._begin = b""

    def rows(self) -> Iterator[Block]:
        begin = self._next()
        if begin == b"[":
            yield from self._array_or_lists()
        elif begin == b"{":
            form = self._form()
            yield from self._lines() if form == "lines" else self._inside(form)
        elif self._scalar() != b"null":
            raise ExportFileError(
                f"{self._path.name} is not a JSON array of rows. Export again; if it stays so, "
                "export as CSV.",
                path=self._path,
            )
        if self._next():
            raise ExportFileError(
                f"{self._path.name} goes on after its array is closed. Export again.",
                path=self._path,
            )

    # --- forms ---

    def _array_or_lists(self) -> Iterator[Block]:
        """An array of rows, or a list of names with a list for each row below it."""
        if _LIST_OF_TEXTS.match(self._buffer, self._position):
            yield from self._lists()
        else:
            yield from self._array(None)

    def _array(self, names: Sequence[str] | None) -> Iterator[Block]:
        self._position += 1
        ended = self._next() == b"]"
        while not ended:
            if self._next() == b"[" and names is None and not self._row:
                names = self._names()
            elif names is None and (block := self._block(self._shape.array)):
                yield block
            else:
                self._row += 1
                yield self._taken(names)
            separator = self._next()
            if separator not in (b",", b"]"):
                raise self._damaged("is followed by neither a comma nor an end")
            ended = separator == b"]"
            self._position += not ended
        self._position += 1

    def _lines(self) -> Iterator[Block]:
        while self._next():
            if block := self._block(self._shape.lines):
                yield block
            else:
                self._row += 1
                yield self._taken(None)

    def _lists(self) -> Iterator[Block]:
        names = self._names()
        while self._next():
            self._row += 1
            yield self._taken(names)

    def _inside(self, form: str | None) -> Iterator[Block]:
        """The rows that an object holds, and whether what it says beside them agrees."""
        names: list[str] | None = None
        beside: dict[str, bytes] = {}
        has_rows = False
        self._position += 1
        ended = self._next() == b"}"
        while not ended:
            key = self._key()
            if key.lower() in _ROWS and self._next() == b"[" and not has_rows:
                has_rows = True
                yield from self._array(names)
            else:
                beside[key] = self._value()
                if key == "meta":
                    names = self._meta(beside[key])
            separator = self._next()
            if separator not in (b",", b"}"):
                raise self._cut()
            ended = separator == b"}"
            self._position += not ended
        self._position += 1
        for key in ("exception", "error"):
            if beside.get(key, b"null") not in (b"null", b'""'):
                raise ExportFileError(
                    f"{self._path.name} ends with an error of the service. Export again.",
                    path=self._path,
                )
        empty = any(beside.get(key) == b"null" for key in _ROWS)  # a nil slice of Go
        if not has_rows and not empty:
            columns = "columns instead of rows" if form == "columns" else "an object without rows"
            raise self._refused(f"holds {columns}")
        if (count := beside.get("rows", b"")).isdigit() and int(count) != self._row:
            raise ExportFileError(
                f"{self._path.name} holds {self._row:,} rows and says that there are "
                f"{int(count):,}. Export again.",
                path=self._path,
            )

    def _form(self) -> str | None:
        """What the object at hand is: a row of "lines", all "columns", or what holds the rows."""
        depth = 0
        for match in _STRING_OR_BRACKET.finditer(self._buffer, self._position):
            token = match[0]
            if token in (b"{", b"["):
                depth += 1
            elif token in (b"}", b"]"):
                depth -= 1
                if not depth:
                    break
            elif depth == 1 and (value := _COLON.match(self._buffer, match.end())):
                key = token[1:-1].decode(errors="replace")
                if canonical_name(key) in (EVENT_ID, EVENT_TIME):
                    return "columns" if value[1] == b"[" else "lines"
                if key.lower() in _ROWS and value[1] == b"[":
                    return None
        return None

    # --- rows ---

    def _block(self, decode: Callable[[memoryview], Rows]) -> Block | None:
        """The rows at hand as far as the buffer holds whole ones that begin with the key of the first row.

        Only an object inside of a row could begin so as well, and then what is before it is not whole: who
        reads one value after the other finds out.
        """
        end = self._buffer.rfind(self._begin, self._position + 1) if self._begin else -1
        while end > self._position and self._buffer[end - 1] in b" \t\r\n,":
            end -= 1
        if end <= self._position:
            return None
        text = memoryview(self._buffer)[self._position : end]
        try:
            rows = decode(text)
        except UNREADABLE:
            self._begin = b""
            return None
        self._position += len(text)
        self._row += len(rows)
        return rows, len(text)

    def _taken(self, names: Sequence[str] | None) -> Block:
        """The object or list at hand; a list is an object under these names."""
        begin = self._next()
        if begin == b"[" and names is not None:
            text = self._value()
            try:
                cells = _list(text)
            except UNREADABLE:
                raise self._damaged("is not a JSON list") from None
            if len(cells) != len(names):
                raise self._damaged(f"has {len(cells)} values instead of {len(names)}")
            return [dict(zip(names, cells, strict=True))], len(text)
        if begin != b"{":
            raise self._damaged("is not a JSON object")
        text = self._value()
        if self._row == 1 and (key := _FIRST_KEY.match(text)):
            self._begin = key[0]
        try:
            return self._shape.one(text), len(text)
        except UNREADABLE:
            replaced = (self._characters or Characters()).json(text)
        try:
            rows = self._shape.one(replaced)
        except UNREADABLE:
            raise self._damaged("is not a JSON object") from None
        if self._characters is None:
            raise damaged(self._path, self._row, NOT_TEXT, ADVICE)
        return rows, len(text)

    def _names(self) -> list[str]:
        """The list at hand, which has to name the columns."""
        try:
            names = msgspec.json.decode(self._value(), type=list[str])
        except UNREADABLE:
            names = []
        if EVENT_ID not in map(canonical_name, names):
            raise self._refused("holds lists of values without the names of their columns")
        return names

    def _meta(self, text: bytes) -> list[str] | None:
        try:
            described = msgspec.json.decode(text, type=list[dict[str, Any]])
            return [str(column["name"]) for column in described]
        except (*UNREADABLE, LookupError):
            return None

    # --- tokens ---

    def _key(self) -> str:
        if self._next() != b'"':
            raise self._cut()
        try:
            key = msgspec.json.decode(self._scalar(), type=str)
        except UNREADABLE:
            raise self._cut() from None
        if self._next() != b":":
            raise self._cut()
        self._position += 1
        return key

    def _value(self) -> bytes:
        """The text of the value at hand."""
        if self._next() not in (b"{", b"["):
            return self._scalar()
        end = self._end()
        text, self._position = self._buffer[self._position : end], end
        return text

    def _scalar(self) -> bytes:
        while True:
            match = _SCALAR.match(self._buffer, self._position)
            if match:
                self._position = match.end()
                return match[0]
            self._check_size()
            if not self._more():
                rest, self._position = self._buffer[self._position :], len(self._buffer)
                if rest.startswith(b'"') or not rest:
                    raise self._cut()
                return rest

    def _next(self) -> bytes:
        """The next byte that is not blank, or b"" at the end of the file."""
        while (match := _NOT_BLANK.search(self._buffer, self._position)) is None:
            self._position = len(self._buffer)
            if not self._more():
                return b""
        self._position = match.start()
        return match[0]

    def _end(self) -> int:
        """Behind the object or the list at hand."""
        while True:
            depth = 0
            for match in _STRING_OR_BRACKET.finditer(self._buffer, self._position):
                token = match[0]
                if token in (b"{", b"["):
                    depth += 1
                elif token in (b"}", b"]"):
                    depth -= 1
                    if not depth:
                        return match.end()
                elif token == b'"':
                    break  # a string that the buffer cuts
            self._check_size()
            if not self._more():
                raise self._cut()

    def _check_size(self) -> None:
        if len(self._buffer) - self._position > _VALUE_BYTES:
            raise ExportFormatError(
                f"{self._path.name}: row {self._row} is larger than {_VALUE_BYTES >> 20} MiB. "
                "Export as CSV.",
                path=self._path,
                row=self._row,
            )

    def _more(self) -> bool:
        """Read on; twice as much each time an object does not fit, so that it stays linear."""
        rest = self._buffer[self._position :]
        read = self._file.read(max(_READ_BYTES, len(rest)))
        self._buffer, self._position = rest + read, 0
        return bool(read)

    # --- errors ---

    def _cut(self) -> ExportFileError:
        where = f"inside row {self._row}" if self._row else "before its first row"
        return ExportFileError(
            f"{self._path.name} ends {where}: it was cut. Export again.",
            path=self._path,
            row=self._row or None,
        )

    def _damaged(self, reason: str) -> ExportFileError:
        return damaged(self._path, self._row, reason)

    def _refused(self, reason: str) -> ExportFormatError:
        return ExportFormatError(
            f"{self._path.name} {reason}, so it is not a JSON array of rows. Export as CSV.",
            path=self._path,
        )


def damaged(path: Path, row: int, reason: str, advice: str = "") -> ExportFileError:
    """The error about a row that is not what it should be, and what else could be done."""
    return ExportFileError(
        f"{path.name}: row {row} {reason}: the file is damaged or was cut. Export again; if it "
        f"stays so, export as CSV. {advice}".rstrip(),
        path=path,
        row=row,
    )
