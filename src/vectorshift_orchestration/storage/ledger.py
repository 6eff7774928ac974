"""The commit record: one row for each window that a table holds, written in the same transaction.

If the row is there, the window's rows are there, all of them; if not, none of that attempt are.
The table is `_vectorshift_windows`, in the schema of the tables that it describes. A window of one
source has a row of its own, whose `table_name` is `events[orders]`: so old ledgers need no other key.

**Fencing.** Each commit leaves a token of its own. An attempt remembers a digest of the tokens of
all windows that overlap its own; a commit there, of whatever window, changes it. A greatest number
would not do: it hides a small number that rises in one of the windows that a wider one overlaps.
Windows of different sources do not overlap.

**Whose rows.** A row identifies the request, so that another one does not replace the rows unnoticed.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa

from vectorshift_orchestration.errors import StaleWriterError, StorageError, WindowTakenError
from vectorshift_orchestration.storage.columns import fit
from vectorshift_orchestration.storage.databases import Database, as_utc, database_of, reading
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.storage.parts import SOURCE, Part
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
        ("query_key", pa.string()),
        ("source", pa.string()),
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
            raise StorageError(f"{text!r} is not an attempt. Take it from begin_attempt.")
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
    query_key: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a window's rows answer: `key` with the window, `query_key` without it."""

    key: str | None = None
    query_key: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A row of the ledger whose window overlaps one at hand."""

    name: str
    start: datetime
    end: datetime
    token: str | None
    request: Request
    source: str | None
    committed_at: datetime


def committed(
    connection: Any, table: str, window: Window, *, source: str | None = None
) -> Commit | None:
    """The last commit of exactly this window of `table`, or None if there was none.

    Takes the same connections and the same `source` as `overwrite_window`, and raises the driver's errors.
    """
    database = database_of(connection)
    with reading(database):
        return find(database, Part(database.resolve(TableName.parse(table)), (window,), source))


def find(database: Database, part: Part) -> Commit | None:
    """The note of exactly this part, inside the caller's transaction."""
    ledger = part.table.beside(LEDGER)
    columns = _columns(database, ledger)
    if "attempt_token" not in columns:
        return None
    query_key = "query_key" if "query_key" in columns else "NULL"
    rows = database.run(
        f"SELECT request_key, row_count, sha256, {database.instant_text('committed_at')}, "
        f"attempt_token, {query_key} FROM {ledger.sql} WHERE {_SAME}",
        _identity(database, part),
    )
    if not rows:
        return None
    ((key, count, sha256, committed_at, token, query_key),) = rows
    return Commit(
        part.window, key, count, sha256, as_utc(committed_at), token, query_key, part.source
    )


def overlapping(database: Database, part: Part) -> tuple[Note, ...]:
    """The notes whose windows overlap the part, of all sources or of its own and of none."""
    ledger = part.table.beside(LEDGER)
    columns = _columns(database, ledger)
    if "attempt_token" not in columns:
        return ()
    instants = (
        database.instant_text(name) for name in ("window_start", "window_end", "committed_at")
    )
    query_key, source = (name if name in columns else "NULL" for name in ("query_key", "source"))
    rows = database.run(
        f"SELECT table_name, attempt_token, request_key, {query_key}, {source}, {', '.join(instants)} "
        f"FROM {ledger.sql} WHERE window_start < \0 AND window_end > \0",
        [database.instant(part.window.end), database.instant(part.window.start)],
    )
    table = database.fold(part.table.name)
    return tuple(
        Note(name, as_utc(start), as_utc(end), token, Request(key, query_key), source, as_utc(at))
        for name, token, key, query_key, source, start, end, at in rows
        if name == _name(table, source) and (part.source is None or source in (None, part.source))
    )


def by_window(part: Part, notes: Iterable[Note]) -> Iterator[tuple[Window, list[Note]]]:
    """Each window of the part with the notes that overlap it."""
    starts = [window.start for window in part.windows]
    grouped: list[list[Note]] = [[] for _ in starts]
    for note in notes:
        first = max(bisect_right(starts, note.start) - 1, 0)
        for near in grouped[first : bisect_left(starts, note.end)]:
            near.append(note)
    return zip(part.windows, grouped, strict=True)


def seen(notes: Iterable[Note]) -> str:
    """A digest of commits."""
    tokens = sorted(note.token for note in notes if note.token)
    return hashlib.sha256("".join(tokens).encode()).hexdigest()[:32]


def begin(part: Part, notes: Iterable[Note]) -> dict[Window, Attempt]:
    """A new attempt for each window, which remembers what is committed now."""
    return {window: Attempt(uuid4().hex, seen(near)) for window, near in by_window(part, notes)}


def fence(part: Part, notes: Iterable[Note], attempts: Mapping[Window, Attempt]) -> None:
    """Raise `StaleWriterError` when somebody committed an overlapping window since an attempt began.

    With notes from inside the transaction, after its lock: from then on nobody else can.
    """
    for window, near in by_window(part, notes):
        if seen(near) != attempts[window].saw:
            raise StaleWriterError(
                f"{part.only(window)} was not changed: another writer committed it, or a window that "
                "overlaps it, after this one began. Its rows stand; run again if they should be "
                "replaced."
            )


def require_own(part: Part, notes: Iterable[Note], request: Request) -> None:
    """Raise `WindowTakenError` when an overlapping window holds the rows of another request."""
    for window, near in by_window(part, notes):
        for note in near:
            if _is_other(note, part, request):
                same = note.source == part.source
                whose = "another query" if same else f"source {note.source!r}"
                raise taken(part.only(window), f"rows that {whose} put there")


def taken(part: Part, what: str) -> WindowTakenError:
    """The error for a part whose rows must not be replaced unnoticed."""
    return WindowTakenError(
        f"{part} was not changed, because it holds {what}. Give each query a table of its own, or "
        f"source=, which keeps the rows of several queries apart in column {SOURCE}; or "
        "replace_other=True, once, to replace them."
    )


def prepare(database: Database, table: TableName) -> None:
    """Make the ledger, or give an old one the columns it lacks; another driver may have made it in its types."""
    fit(database, table.beside(LEDGER), _SCHEMA, primary_key=_IDENTITY, checked=False)


def record(
    database: Database,
    part: Part,
    notes: Iterable[Note],
    attempts: Mapping[Window, Attempt],
    *,
    rows: Sequence[int],
    request: Request,
    sha256: str | None,
) -> None:
    """Note, inside the caller's transaction, how many `rows` each window of the part now holds.

    `notes` are those that overlap it. What lies wholly inside of it has been replaced with it, and
    what overlaps it of another request is not whole any more: those notes go.
    """
    ledger, whole = part.table.beside(LEDGER), part.window
    name, *edges = _identity(database, part)
    inside = "table_name = \0 AND window_start >= \0 AND window_end <= \0"
    database.run(f"DELETE FROM {ledger.sql} WHERE {inside}", [name, *edges])
    for note in notes:
        here = note.name == name and whole.start <= note.start and note.end <= whole.end
        if not here and goes(note, part, request):
            gone = [note.name, database.instant(note.start), database.instant(note.end)]
            database.run(f"DELETE FROM {ledger.sql} WHERE {_SAME}", gone)
    now = datetime.now(UTC)
    noted = [
        {
            "table_name": name,
            "window_start": window.start,
            "window_end": window.end,
            "request_key": request.key,
            "row_count": count,
            "sha256": sha256,
            "committed_at": now,
            "attempt_token": str(attempts[window]),
            "query_key": request.query_key,
            "source": part.source,
        }
        for window, count in zip(part.windows, rows, strict=True)
    ]
    database.load(ledger, pa.Table.from_pylist(noted, _SCHEMA).to_batches())


def goes(note: Note, part: Part, request: Request) -> bool:
    """Whether a note no longer holds once the part is written: replaced with it, or of another request and not whole."""
    whole = part.window
    if note.source == part.source and whole.start <= note.start and note.end <= whole.end:
        return True
    overlaps = note.start < whole.end and whole.start < note.end
    return overlaps and _is_other(note, part, request)


def _is_other(note: Note, part: Part, request: Request) -> bool:
    """Whether the note is about another request's rows, as far as both identify theirs."""
    if note.source != part.source:
        return part.source is None  # the table itself is searched for rows without a source
    if note.request.query_key and request.query_key:
        return note.request.query_key != request.query_key
    if note.request.query_key or request.query_key or not (note.request.key and request.key):
        return False
    same_window = (note.start, note.end) == (part.window.start, part.window.end)
    return same_window and note.request.key != request.key


def _columns(database: Database, ledger: TableName) -> set[str]:
    return {database.fold(name) for name in database.columns(ledger) or ()}


def _name(table: str, source: str | None) -> str:
    return table if source is None else f"{table}[{source}]"


def _identity(database: Database, part: Part) -> list[Any]:
    name = _name(database.fold(part.table.name), part.source)
    return [name, database.instant(part.window.start), database.instant(part.window.end)]
