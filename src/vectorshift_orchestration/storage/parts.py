"""What one write replaces: a window of a table, of all its rows or of one source's."""

from __future__ import annotations

from dataclasses import dataclass

from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.windows import Window

SOURCE = "source_name"
"""The column that tells the rows of several sources in one table apart."""

_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Part:
    """A window of a table: all rows in it, or those whose `SOURCE` is `source`."""

    table: TableName
    window: Window
    source: str | None = None

    def __str__(self) -> str:
        whose = "" if self.source is None else f", source {self.source!r},"
        return f"Window {self.window.label} of {self.table.sql}{whose}"


def check_source(source: object) -> None:
    """Raise `StorageError` for what cannot name a source in every database."""
    if not isinstance(source, str) or not 0 < len(source) <= _LONGEST:
        raise StorageError(f"A source is a text of 1 to {_LONGEST} characters, not {source!r}.")
    if source != source.strip() or not source.isprintable():
        raise StorageError(
            f"The source {source!r} begins or ends with a blank, or holds characters that cannot be "
            "seen. Use letters, digits and punctuation."
        )
