"""Everything that `vectorshift_orchestration` raises on its own account.

    VectorshiftError                 of the SDK: one name catches both packages
    └── OrchestrationError
        ├── WindowError              also a ValueError: the interval cannot be used
        ├── SpecError                also a ValueError: an unknown metric, dimension or interval
        ├── MergeError               also a ValueError: figures of parts that do not make the whole's
        ├── AggregationShapeError    an aggregation reply that does not have the requested shape
        ├── ExtractIncomplete        fewer events arrived than the service counts, in every request
        ├── EventShapeError          an event that cannot be identified or placed in time
        ├── ExportStateError         also a ValueError: a record of an export that is not this one's
        ├── ExportFileError          an export file that is cut or damaged
        │   └── ExportFormatError    a whole file in a form that cannot be read for certain
        ├── ExportIncomplete         a sound file that does not hold the rows it should
        ├── PublishError             the file could not be put at its destination
        └── StorageError             the table could not be changed; it is as it was
            ├── SchemaMismatch       the table's columns cannot take the rows
            ├── UnstorableValue      a value that the database would refuse or change
            ├── RowOutsideWindow     a row does not belong to the window being written
            ├── StaleWriterError     another writer committed the window after this one began
            ├── WindowTakenError     the window holds rows of another request
            └── CommitUnknownError   the connection broke on COMMIT, so the outcome is unknown

What trying again can do about one is its class's `retry_advice`, as in the SDK.
Every one carries a full sentence, survives pickling between processes, and never holds a key,
a signed URL, a password in an address or the content of a row.
"""

from __future__ import annotations

from pathlib import Path

from vectorshift.errors import RetryAdvice, VectorshiftError
from vectorshift_orchestration.addresses import without_secrets


def is_permanent(error: BaseException) -> bool:
    """Whether a retry cannot help: the code, the settings or the data have to change."""
    return getattr(error, "retry_advice", None) is RetryAdvice.PERMANENT


class OrchestrationError(VectorshiftError):
    """Base of all errors of this package. Its message has the secrets of addresses redacted."""

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


class WindowError(OrchestrationError, ValueError):
    """An interval that is naive, empty, reversed, or finer than the service's clock."""

    retry_advice = RetryAdvice.PERMANENT


class SpecError(OrchestrationError, ValueError):
    """An unknown name, key or value in a description; the message names the nearest one."""

    retry_advice = RetryAdvice.PERMANENT


class MergeError(OrchestrationError, ValueError):
    """Figures of parts that cannot be put together; `metric` is the one, as `latency.p95`."""

    retry_advice = RetryAdvice.PERMANENT

    def __init__(self, message: str, *, metric: str = "") -> None:
        super().__init__(message)
        self.metric = metric


class AggregationShapeError(OrchestrationError):
    """An aggregation reply without the metric, the level or the kind of label that was requested."""

    retry_advice = RetryAdvice.PERMANENT


class ExtractIncomplete(OrchestrationError):
    """Events that the service counts and does not hand out, however narrow the window.

    `rows` is what arrived of the part that fell short and `counted` what the service counts in it.
    """

    def __init__(self, message: str, *, rows: int = 0, counted: int = 0) -> None:
        super().__init__(message)
        self.rows = rows
        self.counted = counted


class EventShapeError(OrchestrationError):
    """An event without an id, with an invalid time, or outside of the requested window."""

    retry_advice = RetryAdvice.PERMANENT


class ExportStateError(OrchestrationError, ValueError):
    """A stored record of an export that cannot be read, or that belongs to another request."""

    retry_advice = RetryAdvice.ASK_ANEW


class ExportFileError(OrchestrationError):
    """An export file that cannot be trusted.

    `path` is the file and `row` the data row, counted from 1 (None when no row is to blame).
    """

    retry_advice = RetryAdvice.ASK_ANEW

    def __init__(self, message: str, *, path: Path | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.row = row


class ExportFormatError(ExportFileError):
    """A whole file, written in an ambiguous form, or too much for the format.

    The same export in the same format would be the same, so another format has to be chosen.
    """

    retry_advice = RetryAdvice.PERMANENT


class ExportIncomplete(OrchestrationError):
    """An export whose rows are not the rows of its window.

    `rows` is what the file holds and `counted` what the service counts for the same query.
    """

    retry_advice = RetryAdvice.ASK_ANEW

    def __init__(self, message: str, *, rows: int = 0, counted: int = 0) -> None:
        super().__init__(message)
        self.rows = rows
        self.counted = counted


class PublishError(OrchestrationError):
    """A file that could not be published. The destination is untouched, the temporary is gone."""


class StorageError(OrchestrationError):
    """A table that could not be written. Except for `CommitUnknownError` the old rows remain."""


class SchemaMismatch(StorageError):
    """A table whose columns cannot take the rows without losing something."""

    retry_advice = RetryAdvice.PERMANENT


class UnstorableValue(StorageError):
    """A value that the database cannot hold as it is: `row` counts from 1 (0 unknown), `column`."""

    retry_advice = RetryAdvice.PERMANENT

    def __init__(self, message: str, *, row: int = 0, column: str = "") -> None:
        super().__init__(message)
        self.row = row
        self.column = column


class RowOutsideWindow(StorageError):
    """A row that does not lie in the window being written; `row` counts from 1."""

    retry_advice = RetryAdvice.PERMANENT

    def __init__(self, message: str, *, row: int = 0) -> None:
        super().__init__(message)
        self.row = row


class StaleWriterError(StorageError):
    """This writer began before another one committed an overlapping window, so it gave way.

    Run the whole attempt again if the newer rows are not the right ones.
    """

    retry_advice = RetryAdvice.ASK_ANEW


class WindowTakenError(StorageError):
    """A window that holds the rows of another query, which would be lost.

    Give the rows a table or a source of their own, or say that they may be replaced.
    """

    retry_advice = RetryAdvice.PERMANENT


class CommitUnknownError(StorageError):
    """The connection was lost on COMMIT, so the window is all old or all new, and it is unknown which.

    `attempt_token` is in the window's ledger row if it is new. Running again settles it.
    """

    def __init__(self, message: str, *, attempt_token: str = "") -> None:
        super().__init__(message)
        self.attempt_token = attempt_token


def details(error: VectorshiftError) -> dict[str, str | int]:
    """The error's class, and what a support request needs; never a key, which no error holds."""
    values = {
        name: getattr(error, name, None)
        for name in ("status_code", "method", "endpoint", "request_id")
    }
    return {"error": type(error).__name__, **{name: each for name, each in values.items() if each}}
