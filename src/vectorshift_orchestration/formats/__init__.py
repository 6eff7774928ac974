"""One module for each file format of an export: the file's cells as batches of text columns.

Each has `open_text(path, characters) -> TextColumns`. They check what only the format can show (width, quotes,
brackets, the end of the file) and leave names and types to `vectorshift_orchestration.readers`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class TextColumns:
    """Column names as the file spells them, and batches with an array for each name: of strings, or of doubles for a double.

    `source` is what has the file open from the header on.
    """

    names: list[str]
    batches: Generator[list[pa.Array], None, None]
    source: Generator[Any, None, None] | None = None

    def close(self) -> None:
        """Close the file, which an error's traceback would hold open otherwise."""
        self.batches.close()
        if self.source is not None:
            self.source.close()


def without_empty(column: pa.Array) -> pa.Array:
    """A column of texts whose empty ones are null: CSV cannot distinguish the two."""
    empty = pc.equal(column, "")
    return pc.if_else(empty, None, column) if pc.any(empty).as_py() else column
