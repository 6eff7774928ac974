"""One module for each file format of an export: the file's cells as batches of text columns.

Each has `open_text(path, characters) -> TextColumns`. They check what only the format can tell (width, quotes,
brackets, the end of the file) and leave names and types to `vectorshift_orchestration.readers`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class TextColumns:
    """Column names as the file spells them, and batches with one string array for each name."""

    names: list[str]
    batches: Generator[list[pa.Array], None, None]
