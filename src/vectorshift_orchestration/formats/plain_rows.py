"""Rows of a worksheet in the plain spelling that nearly every writer uses, by regular expressions.

The parser calls Python three times for each element, which is nearly all that reading a workbook costs. What is matched
here is well-formed XML and means the same to the parser; whatever is spelled otherwise is left to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

_CHARACTER = r"[^<&\x00-\x08\x0b-\x1f\ufffe\uffff]"
_REFERENCE = r"&(?:amp|lt|gt|quot|apos|#(?:9|10|13|34|39)|#x(?:9|A|D|22|27));"
_TEXT = rf"((?:{_CHARACTER}++|{_REFERENCE})*+)"
_CELL = re.compile(
    r'<c r="([A-Z]{1,2})([0-9]+)"(?: s="[0-9]+")?(?: t="(s|b|n|str|inlineStr)")?(?:/>|>'
    rf'(?:<v>{_TEXT}</v>|<is><t(?: xml:space="preserve")?>{_TEXT}</t></is>)?</c>)|.',
    re.DOTALL,
)
"""What is not a cell comes as one without a column."""
_ROW = re.compile(
    rb'<row r="([0-9]+)"(?: spans="[0-9: ]+")?(?: ht="[0-9.]+")?(?: customHeight="(?:1|true)")?>'
)
_BEGIN, _END = b"<row ", b"</row>"
_SHEET = re.compile(
    rb'(?:<\?xml version="1\.0"(?: encoding="UTF-8")?(?: standalone="[a-z]+")? ?\?>)?'
    rb"[^!?]*?<sheetData>",
    re.IGNORECASE,
)
"""What stands before plain rows: no comment and no other encoding, in which they might be something else."""
_REFERENCES = re.compile("&([^;]+);")
_MEANT = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}

PlainRow: TypeAlias = tuple[str, list[tuple[str, ...]]]
"""The number of a row; of each cell the letters of its column, the number of its row, its kind, its value, its text."""


def begin(piece: bytes) -> int:
    """Where the plain rows of a sheet begin, in its first bytes; -1 where they are not known to be any."""
    match = _SHEET.match(piece)
    return match.end() if match else -1


def is_cut(piece: bytes) -> bool:
    """Whether the rest of a row is still to come."""
    return piece.startswith(_BEGIN[: len(piece)]) and _END not in piece


def rows(piece: bytes) -> Iterator[tuple[PlainRow, int]]:
    """The plain rows that a piece begins with, each with the position behind it."""
    position = 0
    while match := _ROW.match(piece, position):
        end = piece.find(_END, match.end())
        content = piece[match.end() : end] if end >= 0 else b"]]>"
        if b"]]>" in content:
            return
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return
        cells = _CELL.findall(text)
        if "&" in text:
            cells = [
                tuple(_REFERENCES.sub(_character, cell_text) for cell_text in cell)
                for cell in cells
            ]
        position = end + len(_END)
        yield (match[1].decode(), cells), position


def _character(match: re.Match[str]) -> str:
    name = match[1]
    if name.startswith("#"):
        return chr(int(name[2:], 16) if name.startswith("#x") else int(name[1:]))
    return _MEANT[name]
