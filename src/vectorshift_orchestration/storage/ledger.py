"""The commit record: one row for each window that a table holds, written in the same transaction.

If the row is there, the window's rows are there, all of them; if not, none of that attempt are.
The table is `_vectorshift_windows`, in the schema of the tables that it tells about.

**Fencing.** Each commit leaves a token of its own. An attempt remembers a digest of the tokens of
all windows that overlap its own; a commit there, of whatever window, changes it. A greatest number
would not do: a window that is wider than both would not see a small number rise beside a great one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa

from vectorshift_orchestration.errors import StaleWriterError, StorageError
from vectorshift_orchestration.storage.columns import fit
from vectorshift_orchestration.storage.databases import Database, as_utc, database_of, reading
from vectorshift_orchestration.storage.identifiers import TableName, listed
from vectorshift_orchestration.windows import Window

LEDGER = "_vectorshift_windows"

_ATTEMPT = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{32}")
_INSTANT = pa.timestamp("us", "UTC")
_IDENTITY = ("table_name", "window_start", "window_end")
_SCHEMA = pa.schema(
    [
        ("table_name", pa.string()),
        ("window_start", _INSTANT),
        ("window_end", _INSTANT),
        ("request_key", pa.string()),
        ("row_count", pa.int64()),
        ("sha256", pa.string()),
        ("committed_at", _INSTANT),
        ("attempt_token", pa.string()),
    ]
)
_SAME = " AND ".join(f"{name} = \0" for name in _IDENTITY)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to write a window: a name of its own, and a digest of what it `saw` when it began.

    Goes between processes, and into the ledger, as text: `str(attempt)` and `Attempt.parse`.
    """

    name: str
    saw: str

    @classmethod
    def parse(cls, text: str) -> Attempt:
        """The attempt whose `str` this is. Raises `StorageError` for other text."""
        if not _ATTEMPT.fullmatch(text):
            raise StorageError(f"{text!r} is no attempt. Take it from begin_attempt.")
        return cls(*text.split("."))

    def __str__(self) -> str:
        return f"{self.name}.{self.saw}"


@dataclass(frozen=True, slots=True)
class Commit:
    """A window as it was last written: request key and file SHA-256 when they were given."""

    window: Window
    key: str | None
    rows: int
    sha256: str | None
    committed_at: datetime
    attempt_token: str | None = None


def committed(connection: Any, table: str, window: Window) -> Commit | None:
    """The last commit of exactly this window of `table`, or None if there was none.

    Takes the same connections as `overwrite_window`, and raises the driver's errors.
    """
    database = database_of(connection)
    with reading(database):
        return find(database, database.resolve(TableName.parse(table)), window)


def find(database: Database, table: TableName, window: Window) -> Commit | None:
    """The note of exactly this window, inside the caller's transaction."""
    ledger = table.beside(LEDGER)
    if "attempt_token" not in (database.columns(ledger) or ()):
        return None
    rows = database.run(
        f"SELECT request_key, row_count, sha256, {database.instant_text('committed_at')}, attempt_token "
        f"FROM {ledger.sql} WHERE {_SAME}",
        _identity(database, table, window),
    )
    if not rows:
        return None
    ((key, count, sha256, committed_at, token),) = rows
    return Commit(window, key, count, sha256, as_utc(committed_at), token)


def begin(database: Database, table: TableName, window: Window) -> Attempt:
    """A new attempt, which remembers what is committed now."""
    return Attempt(uuid4().hex, seen(database, table, window))


def seen(database: Database, table: TableName, window: Window) -> str:
    """A digest of all commits that overlap the window."""
    ledger = table.beside(LEDGER)
    rows: list[tuple[Any, ...]] = []
    if "attempt_token" in (database.columns(ledger) or ()):
        rows = database.run(
            f"SELECT attempt_token FROM {ledger.sql} WHERE table_name = \0 AND window_start < \0 "
            "AND window_end > \0 AND attempt_token IS NOT NULL",
            [
                database.fold(table.name),
                database.instant(window.end),
                database.instant(window.start),
            ],
        )
    return hashlib.sha256("".join(sorted(row[0] for row in rows)).encode()).hexdigest()[:32]


def fence(database: Database, table: TableName, window: Window, attempt: Attempt) -> None:
    """Raise `StaleWriterError` when somebody committed an overlapping window since `attempt` began.

    Inside the transaction, after its lock: from then on nobody else can.
    """
    if seen(database, table, window) != attempt.saw:
        raise StaleWriterError(
            f"Window {window.label} of {table.sql} was not changed: another writer committed it, or "
            "a window that overlaps it, after this one began. Its rows stand; run again if they "
            "should be replaced."
        )


def prepare(database: Database, table: TableName) -> None:
    """Make the ledger, or give an old one the columns it lacks."""
    fit(database, table.beside(LEDGER), _SCHEMA, primary_key=_IDENTITY)


def record(
    database: Database,
    table: TableName,
    window: Window,
    attempt: Attempt,
    *,
    rows: int,
    key: str | None,
    sha256: str | None,
) -> None:
    """Note, inside the caller's transaction, that `window` of `table` now holds `rows` rows.

    Windows that lie wholly inside this one have been replaced with it, so their notes go.
    """
    ledger = table.beside(LEDGER).sql
    start, end = database.instant(window.start), database.instant(window.end)
    name = database.fold(table.name)
    database.run(
        f"DELETE FROM {ledger} WHERE table_name = \0 AND window_start >= \0 AND window_end <= \0 "
        "AND NOT (window_start = \0 AND window_end = \0)",
        [name, start, end, start, end],
    )
    noted: dict[str, Any] = {
        "request_key": key,
        "row_count": rows,
        "sha256": sha256,
        "committed_at": database.instant(datetime.now(UTC)),
        "attempt_token": str(attempt),
    }
    identity = _identity(database, table, window)
    changes = ", ".join(f"{column} = \0" for column in noted)
    update = f"UPDATE {ledger} SET {changes} WHERE {_SAME}"
    if not database.changed(update, [*noted.values(), *identity]):
        marks = ", ".join("\0" for _ in _SCHEMA)
        database.run(
            f"INSERT INTO {ledger} ({listed([*_IDENTITY, *noted])}) VALUES ({marks})",
            [*identity, *noted.values()],
        )


def _identity(database: Database, table: TableName, window: Window) -> list[Any]:
    start, end = database.instant(window.start), database.instant(window.end)
    return [database.fold(table.name), start, end]
