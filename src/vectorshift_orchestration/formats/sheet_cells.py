"""The XML of a workbook: which parts are its sheets, its shared texts, its cells row by row.

The parser sees some kilobytes at a time, and a row is passed on as soon as it ends. What could grow
beside that is bounded: document types are refused, and with them entities; a row can be no wider
than the header; shared texts lie in a temporary file, of which memory holds 8 bytes for each. Cells
keep the text that the file has: no number passes through a float.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from xml.parsers import expat
from zipfile import ZipFile

from vectorshift_orchestration.errors import ExportFileError, ExportFormatError
from vectorshift_orchestration.formats import plain_rows

_READ_BYTES = 1 << 16
_HELD_BYTES = 1 << 20  # of a tag or text that does not end
_NAMES = 10_000  # different names of elements and attributes
_WORKBOOK = "xl/workbook.xml"
_RELATIONS = "xl/_rels/workbook.xml.rels"
_LETTERS = [chr(ord("A") + place) for place in range(26)]
_PLACES = {
    letters: place
    for place, letters in enumerate(_LETTERS + [a + b for a in _LETTERS for b in _LETTERS])
}
"""Columns by their letters, A to ZZ; beyond these there are none."""
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")  # how the format spells what XML cannot hold

_TEXTS = frozenset({"inlineStr", "str"})
_TAGS = frozenset({"c", "v", "t", "is", "row", "rPh", "f"})
_Attributes = dict[str, str]
Cells = list[str | None]


def parts_of(path: Path, archive: ZipFile) -> tuple[list[str], str | None]:
    """The names of the sheets, in their order, and of the shared texts, if there are any."""
    names = set(archive.namelist())
    if not {_WORKBOOK, _RELATIONS} <= names:
        raise _no_workbook(path)
    sheets: list[str] = []
    targets: dict[str, str] = {}
    shared: list[str] = []

    def sheet(name: str, attributes: _Attributes) -> None:
        if _local(name) == "sheet":
            sheets.extend(value for key, value in attributes.items() if _local(key) == "id")

    def relation(name: str, attributes: _Attributes) -> None:
        if _local(name) == "Relationship":
            target = attributes.get("Target", "")
            entry = target[1:] if target.startswith("/") else f"xl/{target}"
            targets[attributes.get("Id", "")] = entry
            if attributes.get("Type", "").endswith("/sharedStrings"):
                shared.append(entry)

    for entry, handler in ((_WORKBOOK, sheet), (_RELATIONS, relation)):
        with archive.open(entry) as source:
            for _ in _parse(path, _pieces(source), [], handler):
                pass
    parts = [targets.get(sheet, "") for sheet in sheets]
    if not parts or not names.issuperset([*parts, *shared]):
        raise _no_workbook(path)
    return parts, shared[0] if shared else None


class SharedTexts:
    """The table of texts that cells refer to by number, kept in a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ends = array("Q", [0])

    def add(self, texts: list[str]) -> None:
        """Add the next texts."""
        for text in texts:
            self._ends.append(self._ends[-1] + self._file.write(text.encode()))

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self._ends) - 1:
            raise ValueError(f"There is no shared text {index}.")
        start, end = self._ends[index], self._ends[index + 1]
        self._file.seek(start)
        return self._file.read(end - start).decode()


@contextmanager
def shared_texts(path: Path, archive: ZipFile, entry: str | None) -> Iterator[SharedTexts]:
    """The texts of that part of a workbook; none without a part."""
    with TemporaryFile(prefix="vectorshift-") as file:
        shared = SharedTexts(file)
        if entry is not None:
            with archive.open(entry) as source:
                for texts in _texts(path, source):
                    shared.add(texts)
        yield shared


def sheet_rows(path: Path, source: IO[bytes], texts: SharedTexts) -> Iterator[Cells]:
    """The rows of a sheet, the header first, each as wide as the header.

    Raises `ExportFileError` for a row or a cell that is not where it belongs: beyond the header, or
    after a gap. Empty rows at the end are left out.
    """
    sheet = _Sheet(path, texts)
    for _ in _parse(path, sheet.unread(source), sheet.parts, sheet.start, sheet.end):
        yield from sheet.taken()


class _Sheet:
    """What the parser meets in a sheet, put together to rows."""

    def __init__(self, path: Path, texts: SharedTexts) -> None:
        self.parts: list[str] = []
        self._path = path
        self._texts = texts
        self._rows: list[Cells] = []
        self._number = 0
        self._digits = ""
        self._blank = 0
        self._width = 0
        self._row: Cells = []
        self._column = -1
        self._kind = ""
        self._value: str | None = None
        self._phonetic = False
        self._formula = False

    def taken(self) -> list[Cells]:
        """The rows that have ended since the last time."""
        rows, self._rows = self._rows, []
        return rows

    def unread(self, source: IO[bytes]) -> Iterator[bytes]:
        """What the parser has to read: all but the plain rows at the sheet's begin, which are taken from here."""
        piece = source.read(_READ_BYTES)
        begin = plain_rows.begin(piece)
        if begin >= 0:
            yield piece[:begin]
            piece = piece[begin:]
            while True:
                piece = piece[self._plain(piece) :]
                is_cut = len(piece) < _HELD_BYTES and plain_rows.is_cut(piece)
                if not is_cut or not (read := source.read(_READ_BYTES)):
                    break
                yield b""
                piece += read
        yield piece
        yield from _pieces(source)

    def _plain(self, piece: bytes) -> int:
        """Take plain rows; the position behind them."""
        position = 0
        for row, end in plain_rows.rows(piece):
            if not self._taken(row):
                break
            position = end
        return position

    def _taken(self, row: plain_rows.PlainRow) -> bool:
        """Take a plain row, unless something about it has to be refused, which the parser tells better."""
        digits, cells = row
        if digits != str(self._number + 1):
            return False
        width = self._width if self._number else len(_PLACES)
        values: Cells = [None] * width
        last, end = -1, 0
        for letters, number, kind, value, text in cells:
            column = _PLACES.get(letters, -1)
            if column <= last or number != digits:
                return False
            last = column
            content = value or text
            if content:
                if column >= width:
                    return False
                is_text = kind in _TEXTS and "_x" not in content
                values[column] = content if is_text else self._meant(kind, content)
                end = column + 1
        self._number += 1
        self._row = values[:end] if self._number == 1 else values
        self._end_row()
        return True

    def start(self, name: str, attributes: _Attributes) -> None:
        """An element begins."""
        if name not in _TAGS:
            name = _local(name)
        if name == "c":
            self._kind = attributes.get("t", "n")
            self._value = None
            self._formula = False
            self._column += 1
            if "r" in attributes:
                self._move(attributes["r"])
        elif name in ("v", "t"):
            self.parts.clear()
        elif name == "f":
            self._formula = True
        elif name == "row":
            self.parts.clear()
            self._number += 1
            self._column = -1
            self._digits = str(self._number)
            self._row = [None] * self._width
            if attributes.get("r", self._digits) != self._digits:
                raise _scattered(self._path)
        elif name == "rPh":
            self._phonetic = True

    def end(self, name: str) -> None:
        """An element ends."""
        if name not in _TAGS:
            name = _local(name)
        if name in ("v", "t"):
            if not self._phonetic:
                self._value = (self._value or "") + "".join(self.parts)
                _check_held(self._path, len(self._value))
        elif name == "c":
            if self._value:
                self._put(self._value)
            elif self._formula and self._value is None:
                raise ExportFormatError(
                    f"{self._path.name}: row {self._number - 1} has a formula without its value. "
                    "Export as CSV or JSON.",
                    path=self._path,
                    row=self._number - 1,
                )
        elif name == "row":
            self._end_row()
        elif name == "rPh":
            self._phonetic = False

    def _move(self, reference: str) -> None:
        """To where the cell says it is, which is in this row and not behind."""
        column = _PLACES.get(reference.removesuffix(self._digits), -1)
        if column < self._column:
            raise _scattered(self._path)
        self._column = column

    def _put(self, value: str) -> None:
        value = self._meant(self._kind, value)
        if self._column >= (len(_PLACES) if self._number == 1 else self._width):
            raise _scattered(self._path)
        if self._number == 1:
            self._row += [None] * (self._column + 1 - len(self._row))
        self._row[self._column] = value or None

    def _meant(self, kind: str, value: str) -> str:
        """The text of a cell of that kind."""
        if kind in ("n", ""):
            return value
        if kind == "s":
            return self._texts[int(value)]
        if kind == "b":
            return "true" if value == "1" else "false"
        if kind == "e":
            raise ExportFormatError(
                f"{self._path.name}: row {self._number - 1} has an error for a value. "
                "Export as CSV or JSON.",
                path=self._path,
                row=self._number - 1,
            )
        return _plain(value)

    def _end_row(self) -> None:
        if not any(self._row):
            self._blank += 1
            return
        if self._blank:
            raise _scattered(self._path)
        if self._number == 1:
            self._width = len(self._row)
        self._rows.append(self._row)


def _texts(path: Path, source: IO[bytes]) -> Iterator[list[str]]:
    """The shared texts in order, some at a time."""
    parts: list[str] = []
    text = ""
    done: list[str] = []
    phonetic = False

    def start(name: str, _: _Attributes) -> None:
        nonlocal phonetic
        parts.clear()
        phonetic = phonetic or _local(name) == "rPh"

    def end(name: str) -> None:
        nonlocal phonetic, text
        match _local(name):
            case "t" if not phonetic:
                text += "".join(parts)
                _check_held(path, len(text))
            case "rPh":
                phonetic = False
            case "si":
                done.append(_plain(text))
                text = ""

    for _ in _parse(path, _pieces(source), parts, start, end):
        yield done
        done.clear()


def _parse(
    path: Path,
    pieces: Iterator[bytes],
    parts: list[str],
    start: Callable[[str, _Attributes], None],
    end: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Parse to the end, with a stop after each piece; the text of elements is added to `parts`."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype(path)
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = parts.append
    fed = 0
    for data in pieces:
        parser.Parse(data, False)
        fed += len(data)
        _check_held(path, max(fed - parser.CurrentByteIndex, sum(map(len, parts))))
        if len(parser.intern) > _NAMES:
            raise _no_workbook(path)
        yield
    parser.Parse(b"", True)
    yield


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    while piece := source.read(_READ_BYTES):
        yield piece


def _check_held(path: Path, held: int) -> None:
    if held > _HELD_BYTES:
        raise _no_workbook(path)


def _refuse_doctype(path: Path) -> Callable[..., None]:
    def refuse(*_: Any) -> None:
        raise ExportFormatError(
            f"{path.name} declares XML entities, which is refused. Export as CSV or JSON.",
            path=path,
        )

    return refuse


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


def _no_workbook(path: Path) -> ExportFileError:
    return ExportFileError(
        f"{path.name} is not a readable workbook. Export again; if it stays so, export as CSV or JSON.",
        path=path,
    )


def _scattered(path: Path) -> ExportFormatError:
    return ExportFormatError(
        f"{path.name} has cells far outside of its rows and columns, or rows missing between them. "
        "Export as CSV or JSON.",
        path=path,
    )
