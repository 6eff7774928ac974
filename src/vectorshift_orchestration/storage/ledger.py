"""The commit record: one row for each window that a table holds, written in the same transaction.

If the row is there, the window's rows are there, all of them; if not, none of that attempt are.
The table is `_vectorshift_windows`, in the schema of the tables that it tells about. Its primary
key also decides between two writers of one window: the second to commit fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LEDGER = "_vectorshift_windows"


@dataclass(frozen=True, slots=True)
class Commit:
    """A window as it was last written: request key and file SHA-256 when they were given."""

    window: Window
    key: str | None
    rows: int
    sha256: str | None
    committed_at: datetime


def record(
    connection: DuckDBPyConnection,
    table: TableName,
    window: Window,
    *,
    rows: int,
    key: str | None,
    sha256: str | None,
) -> None:
    """Note, inside the caller's transaction, that `window` of `table` now holds `rows` rows.

    Windows that lie wholly inside this one have been replaced with it, so their notes go.
    """
    ledger = table.beside(LEDGER).sql
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {ledger} (table_name VARCHAR, window_start TIMESTAMP, "
        "window_end TIMESTAMP, request_key VARCHAR, row_count BIGINT, sha256 VARCHAR, "
        "committed_at TIMESTAMP, PRIMARY KEY (table_name, window_start, window_end))"
    )
    start, end = naive(window.start), naive(window.end)
    connection.execute(
        f"DELETE FROM {ledger} WHERE table_name = ? AND window_start >= ? AND window_end <= ? "
        "AND NOT (window_start = ? AND window_end = ?)",
        [table.name, start, end, start, end],
    )
    connection.execute(
        f"INSERT OR REPLACE INTO {ledger} VALUES (?, ?, ?, ?, ?, ?, ?)",
        [table.name, start, end, key, rows, sha256, naive(datetime.now(UTC))],
    )


def committed(connection: DuckDBPyConnection, table: str, window: Window) -> Commit | None:
    """The last commit of exactly this window of `table`, or None if there was none."""
    name = TableName.parse(table)
    ledger = name.beside(LEDGER)
    exists = connection.execute(
        "SELECT count(*) FROM information_schema.tables WHERE table_name = ? "
        "AND table_schema = coalesce(?, current_schema()) "
        "AND table_catalog = coalesce(?, current_catalog())",
        [LEDGER, name.schema, name.database],
    ).fetchone()
    if exists == (0,):
        return None
    row = connection.execute(
        f"SELECT request_key, row_count, sha256, committed_at FROM {ledger.sql} "
        "WHERE table_name = ? AND window_start = ? AND window_end = ?",
        [name.name, naive(window.start), naive(window.end)],
    ).fetchone()
    if row is None:
        return None
    key, rows, sha256, committed_at = row
    return Commit(window, key, rows, sha256, committed_at.replace(tzinfo=UTC))


def naive(instant: datetime) -> datetime:
    """An aware instant as the naive UTC value that TIMESTAMP columns hold."""
    return instant.astimezone(UTC).replace(tzinfo=None)
