"""A database that was not tested with this package is tried before its first use, in a table that goes away again.

What PEP 249 leaves open would change rows in silence: fractions of a second that are cut, empty texts that
become NULL, a COMMIT after each statement. So a few rows are written as any others are, looked at, and
undone. What is not found as it was written is a refusal that says what became of it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

import pyarrow as pa

from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.databases import Database, as_utc
from vectorshift_orchestration.storage.identifiers import VALUE, TableName, quoted

_INSTANT = datetime(2026, 3, 29, 1, 30, 0, 123456, UTC)
"""In an hour that clocks of half of Europe skip."""
_TEXTS = {
    "a text of 100,000 characters": "long " * 20_000,
    "an empty text": "",
    "NULL": None,
    "signs": "'\\ \"\n%s ?:v1 \N{LATIN SMALL LETTER U WITH DIAERESIS}\N{GRINNING FACE}",
}
_WHOLE = 2**63 - 1


class Unknown(Database, Protocol):
    """A database that remembers whether it was tried."""

    def was_tried(self, table: TableName) -> bool:
        """Whether the driver has passed a trial in the schema of the table."""

    def note_trial(self, table: TableName) -> None:
        """Remember that it has."""


def try_out(database: Unknown, table: TableName) -> None:
    """Raise `StorageError` when the database changes what is written, unless it was tried before."""
    if database.was_tried(table):
        return
    scratch = table.beside(f"_vectorshift_trial_{uuid4().hex[:8]}")
    rows = _rows()
    try:
        database.begin()
        database.create(scratch, database.types(rows.schema), ())
        database.load(scratch, rows.to_batches())
        database.commit()
        problem = _changed(database, scratch) or _kept(database, scratch, rows)
    except database.errors as refused:
        problem = f"it refused: {str(refused).strip().partition(chr(10))[0]}"
    finally:
        database.rollback()
        with suppress(*database.errors):
            database.run(f"DROP TABLE {scratch.sql}")
            database.commit()
        database.rollback()
    if problem is not None:
        raise StorageError(
            f"{table.sql} was not changed: this database was tried in a table of its own, "
            f"{scratch.sql}, and {problem}. Write to a database of docs/databases.md, or to a file to load."
        )
    database.note_trial(table)


def _rows() -> pa.Table:
    count = len(_TEXTS)
    zoned = pa.array([_INSTANT] * count, pa.timestamp("us", "Asia/Kathmandu"))
    return pa.table(
        {
            "at": zoned,
            "n": pa.array(range(count), pa.int64()),
            "s": pa.array(_TEXTS.values(), pa.string()),
            "w": pa.array([_WHOLE, None, None, -_WHOLE], pa.int64()),
        }
    )


def _changed(database: Database, scratch: TableName) -> str | None:
    """What became of a value."""
    instant = database.instant_text(quoted("at"))
    rows = database.run(
        f"SELECT {instant}, {quoted('n')}, {quoted('s')}, {quoted('w')} FROM {scratch.sql}"
    )
    if len(rows) != len(_TEXTS):
        return f"of {len(_TEXTS)} rows it kept {len(rows)}"
    by_number = {int(n): (at, s, w) for at, n, s, w in rows}
    for number, (name, text) in enumerate(_TEXTS.items()):
        at, s, w = by_number[number]
        if (stored := _instant(at)) != _INSTANT:
            return f"it made {stored} of {_INSTANT}"
        if s != text:
            return f"it made {_shown(s)} of {name}"
        if number in (0, len(_TEXTS) - 1) and abs(int(w)) != _WHOLE:
            return f"it made {w} of {_WHOLE}"
    ends = [database.instant(_INSTANT), database.instant(_INSTANT + timedelta(microseconds=1))]
    within = f"{quoted('at')} >= {VALUE} AND {quoted('at')} < {VALUE}"
    ((count,),) = database.run(f"SELECT count(*) FROM {scratch.sql} WHERE {within}", ends)
    if int(count) != len(_TEXTS):
        return f"it does not find {_INSTANT} between that time and a microsecond later"
    return None


def _kept(database: Database, scratch: TableName, rows: pa.Table) -> str | None:
    """What a rollback did not undo."""
    database.rollback()
    database.begin()
    database.changed(f"DELETE FROM {scratch.sql} WHERE {quoted('n')} = {VALUE}", [0])
    database.load(scratch, rows.to_batches())
    database.rollback()
    ((count,),) = database.run(f"SELECT count(*) FROM {scratch.sql}")
    if int(count) != len(_TEXTS):
        return "a rollback did not undo what was deleted and inserted"
    return None


def _instant(value: Any) -> Any:
    try:
        return as_utc(value)
    except (TypeError, ValueError):
        return repr(value)


def _shown(value: Any) -> str:
    return f"{value[:20]!r} ({len(value):,} characters)" if isinstance(value, str) else repr(value)
