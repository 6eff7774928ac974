"""Everything that `vectorshift_orchestration` raises on its own account.

    VectorshiftError                 of the SDK: one name catches both packages
    └── OrchestrationError
        ├── WindowError              also a ValueError: the interval cannot be used
        ├── SpecError                also a ValueError: an unknown metric, dimension or interval
        ├── AggregationShapeError    an aggregation reply that does not have the asked shape
        ├── ExportFileError          an export file that is cut, damaged or of another shape
        ├── ExportIncomplete         a sound file that does not hold the rows it should
        ├── PublishError             the file could not be put at its destination
        └── StorageError             the table could not be changed; it is as it was
            ├── SchemaMismatch       the table's columns cannot take the rows
            └── RowOutsideWindow     a row does not belong to the window being written

Every one carries a full sentence, survives pickling between processes, and never holds a key,
a signed URL or the content of a row.
"""

from __future__ import annotations

from pathlib import Path

from vectorshift.errors import VectorshiftError


class OrchestrationError(VectorshiftError):
    """Base of all errors of this package."""


class WindowError(OrchestrationError, ValueError):
    """An interval that is naive, empty, reversed, or finer than the service's clock."""


class SpecError(OrchestrationError, ValueError):
    """A metric, dimension or interval that does not exist; the text names the nearest one."""


class AggregationShapeError(OrchestrationError):
    """An aggregation reply without the metric, the level or the kind of label that was asked."""


class ExportFileError(OrchestrationError):
    """An export file that cannot be trusted.

    `path` is the file and `row` the data row, counted from 1 (None when no row is to blame).
    """

    def __init__(self, message: str, *, path: Path | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.row = row


class ExportIncomplete(OrchestrationError):
    """An export whose rows are not the rows of its window.

    `rows` is what the file holds and `counted` what the service counts for the same query.
    """

    def __init__(self, message: str, *, rows: int = 0, counted: int = 0) -> None:
        super().__init__(message)
        self.rows = rows
        self.counted = counted


class PublishError(OrchestrationError):
    """A file that could not be published. The destination is untouched, the temporary is gone."""


class StorageError(OrchestrationError):
    """A table that could not be written. The transaction is rolled back: the old rows stand."""


class SchemaMismatch(StorageError):
    """A table whose columns cannot take the rows without losing something."""


class RowOutsideWindow(StorageError):
    """A row that does not lie in the window being written; `row` counts from 1."""

    def __init__(self, message: str, *, row: int = 0) -> None:
        super().__init__(message)
        self.row = row
