"""One module for each file format of an export: the file's cells as batches of text columns.

Each has `open_text(path, characters) -> TextColumns`. They check what only the format can show (width, quotes,
brackets, the end of the file) and leave names and types to `vectorshift_orchestration.readers`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class TextColumns:
    """Column names as the file spells them, and batches with an array for each name: of strings, or of doubles for a double."""

    names: list[str]
    batches: Generator[list[pa.Array], None, None]


def without_empty(column: pa.Array) -> pa.Array:
    """A column of texts whose empty ones are null: CSV cannot distinguish the two."""
    empty = pc.equal(column, "")
    return pc.if_else(empty, None, column) if pc.any(empty).as_py() else column
