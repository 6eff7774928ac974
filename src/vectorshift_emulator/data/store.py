"""The database of the emulator: one DuckDB database, table `events`, one row per span.

Times are naive TIMESTAMP that hold UTC. Every worker thread has a cursor of its own, and blocking
work runs in the pool here, never on the event loop.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import duckdb

P = ParamSpec("P")
R = TypeVar("R")

WORKERS = 4

COLUMNS: dict[str, str] = {
    "span_id": "VARCHAR",
    "trace_id": "VARCHAR",
    "parent_span_id": "VARCHAR",
    "span_kind": "VARCHAR",
    "entity": "VARCHAR",
    "start_time": "TIMESTAMP",
    "start_ns": "SMALLINT",
    "end_time": "TIMESTAMP",
    "status": "VARCHAR",
    "error_message": "VARCHAR",
    "object_id": "VARCHAR",
    "object_name": "VARCHAR",
    "project_id": "VARCHAR",
    "execution_id": "VARCHAR",
    "run_id": "VARCHAR",
    "source": "VARCHAR",
    "caller": "VARCHAR",
    "interface_type": "VARCHAR",
    "interface_name": "VARCHAR",
    "model_id": "VARCHAR",
    "node_type": "VARCHAR",
    "latency": "DOUBLE",
    "node_latency": "DOUBLE",
    "session_name": "VARCHAR",
    "session_users": "VARCHAR[]",
    "session_source": "VARCHAR",
    "session_collection": "VARCHAR",
    "session_ai_source": "VARCHAR",
    "session_last_message_time": "TIMESTAMP",
    "pipeline_id": "VARCHAR",
    "feedback_type": "VARCHAR",
    "search_type": "VARCHAR",
    "user_id": "VARCHAR",
    "is_run": "BOOLEAN",
    "tokens": "BIGINT",
    "model_costs": "DOUBLE",
    "ai_credits": "DOUBLE",
    "object_info": "JSON",
    "span_attributes": "JSON",
    "interface_data": "JSON",
}
"""Table `events`: column names and DuckDB types, in order.

`start_ns` is what a start has beyond its microsecond, 0 to 999 nanoseconds.
"""


class Store:
    """A DuckDB database with table `events`.

    Args:
        database: the file that keeps it; None keeps it in memory.
    """

    def __init__(self, database: Path | None = None) -> None:
        self._connection = duckdb.connect(str(database) if database else ":memory:")
        self._local = threading.local()
        self._cursors: list[duckdb.DuckDBPyConnection] = []
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="emulator-sql")
        self.lock = threading.RLock()
        """Held while writing."""
        defaults = {"start_ns": " DEFAULT 0"}
        declared = ", ".join(
            f"{name} {type_}{defaults.get(name, '')}" for name, type_ in COLUMNS.items()
        )
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS events ({declared})")

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """The cursor of the calling thread."""
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self._connection.cursor()
            self._cursors.append(cursor)
        return cursor

    @contextmanager
    def snapshot(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor whose statements all see the same rows, whatever is inserted meanwhile."""
        cursor = self.cursor()
        cursor.begin()
        try:
            yield cursor
        finally:
            cursor.rollback()

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `work` returns, called in a worker thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: work(*args, **kwargs))

    def count(self) -> int:
        """The number of rows of table `events`."""
        return int(self.cursor().execute("SELECT count(*) FROM events").fetchall()[0][0])

    def last_row(self) -> int:
        """The highest row number in table `events`, -1 when it is empty."""
        return int(
            self.cursor().execute("SELECT coalesce(max(rowid), -1) FROM events").fetchall()[0][0]
        )

    def delete_after(self, row: int) -> None:
        """Delete every row inserted after row number `row`."""
        with self.lock:
            self.cursor().execute("DELETE FROM events WHERE rowid > ?", [row])

    def close(self) -> None:
        """Interrupt the statements that run, stop the workers and close the database."""
        for cursor in self._cursors:
            cursor.interrupt()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._connection.close()
