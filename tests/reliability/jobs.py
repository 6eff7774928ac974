"""What the forked children do: a whole export job, or one write, with places to die at."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

from vectorshift import Client
from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import StaleWriterError
from vectorshift_orchestration.exports import (
    ExportOptions,
    ExportRequest,
    ExportState,
    resume,
)
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.storage.delta import DeltaLake
from vectorshift_orchestration.storage.iceberg import IcebergLake
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.storage.lakes import Lake
from vectorshift_orchestration.storage.sql import begin_attempt, overwrite_window
from vectorshift_orchestration.windows import Window

TABLE = "events"
LAKES = ("delta", "iceberg")
MOMENT = datetime(2026, 11, 21, 12, tzinfo=UTC)
LOOK = (
    "SELECT count(*), count(DISTINCT span_id), "
    "md5(coalesce(string_agg(span_id || '|' || status, ',' ORDER BY span_id), '')) FROM events"
)


def warm_up(base_url: str) -> None:
    """Load what each child would load for itself."""
    with Client(api_key="sk_demo", base_url=base_url) as client:
        client.query().count()


def seen_as(rows: list[tuple[str, str]]) -> list[Any]:
    """What `LOOK` gives for a table that holds exactly these (span id, status)."""
    text = ",".join(f"{span_id}|{status}" for span_id, status in sorted(rows))
    return [len(rows), len(rows), hashlib.md5(text.encode()).hexdigest()]


def lake(kind: str, address: str) -> Lake:
    """The lake in a folder, with a catalog of its own if it is Iceberg's."""
    if kind == "delta":
        return DeltaLake(address)
    options = {"uri": f"sqlite:///{address}/catalog.db", "warehouse": f"file://{address}/tables"}
    return IcebergLake(SqlCatalog("lake", **options))


def lake_rows(kind: str, address: str, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """What a reader finds, in order."""
    state = lake(kind, address).state(TableName.parse(table))
    assert state is not None
    found = (
        state.handle.to_pyarrow_table() if kind == "delta" else state.handle.scan().to_arrow()
    ).select(columns)
    return sorted(zip(*(column.to_pylist() for column in found.columns), strict=True))


@contextmanager
def database(kind: str, address: str, observed: str) -> Iterator[Any]:
    """A connection; with DuckDB, whose file one process has, the reader is a thread in here."""
    if kind == "postgres":
        with psycopg.connect(address) as connection:
            yield connection
        return
    if kind in LAKES:
        yield lake(kind, address)
        return
    with closing(duckdb.connect(address, config={"threads": 1})) as connection:
        done = threading.Event()
        look_once = _duckdb_reader(connection, observed)
        look_once()  # what a kill before this run has left
        reader = threading.Thread(target=lambda: _until(done, look_once), daemon=True)
        reader.start()
        try:
            yield connection
        finally:
            done.set()
            reader.join()


def _until(done: threading.Event, look: Callable[[], None]) -> None:
    while not done.wait(0.005):
        look()


def _duckdb_reader(connection: Any, observed: str) -> Callable[[], None]:
    file = os.open(observed, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    cursor = connection.cursor()

    def look() -> None:
        os.write(file, (json.dumps(cursor.execute(LOOK).fetchone()) + "\n").encode())

    return look if cursor.execute("SELECT 1 FROM duckdb_tables()").fetchone() else lambda: None


class FileRecord:
    """The record as a file, replaced in one step; a test may kill right behind it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> ExportState | None:
        if not self._path.exists():
            return None
        return ExportState.from_json(json.loads(self._path.read_text()))

    def write(self, state: ExportState) -> None:
        partial = self._path.with_suffix(".new")
        partial.write_text(json.dumps(state.to_json()))
        os.replace(partial, self._path)
        failpoint(f"saved.{state.state}")

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)


def export(
    *,
    base_url: str,
    start: str,
    end: str,
    folder: str,
    kind: str,
    address: str,
    observed: str,
    kill_on_reply: bool = False,
    chunks: int = 1,
) -> None:
    """Bring the export of a window into the table, from where the record says it stands.

    In one chunk it becomes a file as well.
    """
    root = Path(folder)
    with (
        Client(api_key="sk_demo", base_url=base_url) as client,
        database(kind, address, observed) as connection,
    ):
        if kill_on_reply:
            _kill_on_reply()
        landing = Landing(
            destination=root / "published" / "events.csv" if chunks == 1 else None,
            table=TABLE,
            connect=lambda: nullcontext(connection),
        )
        resume(
            client,
            ExportRequest(client.query().to_dict(), Window.parse(start, end)),
            landing,
            FileRecord(root / "record.json"),
            directory=root / "work",
            options=ExportOptions(timeout=60, poll_interval=0.01, chunks=chunks),
            progress=lambda what, _: failpoint(f"progress.{what}"),
        )


def _kill_on_reply() -> None:
    """Die when the first answer is waited for: its request is on the wire."""

    def recv(*_: Any) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    socket.socket.recv = recv  # type: ignore[method-assign,assignment]


def write(
    *, kind: str, address: str, start: str, end: str, rows: int, mark: str, report: str
) -> None:
    """Begin an attempt, then replace the window by `rows` rows of `MOMENT` that bear `mark`."""
    window = Window.parse(start, end)
    with closing(_opened(kind, address)) as connection:
        attempt = begin_attempt(connection, TABLE, window)
        failpoint("write.begun")
        batches = (
            pa.RecordBatch.from_pydict(
                {
                    "span_id": [f"{mark}{number}" for number in range(part, part + 100)],
                    "at": pa.array([MOMENT] * 100, pa.timestamp("us", "UTC")),
                }
            )
            for part in range(0, rows, 100)
        )
        try:
            overwrite_window(connection, TABLE, window, batches, time_column="at", attempt=attempt)
        except StaleWriterError:
            outcome = "stale"
        else:
            outcome = "committed"
    Path(report).write_text(outcome)


def checkpoint(*, breaks_off: str, **written: Any) -> None:
    """Write to a DuckDB file as `write` does, and checkpoint; die where that is told to break off.

    Without such a place, the COMMIT checkpoints as well.
    """
    with closing(_opened("duckdb", written["address"])) as connection:
        if breaks_off:
            connection.execute(f"SET debug_checkpoint_abort = '{breaks_off}'")
        else:
            connection.execute("SET checkpoint_threshold = '1KB'")
        write(kind="duckdb", **written)
        try:
            connection.execute("CHECKPOINT")
        except duckdb.FatalException:
            os.kill(os.getpid(), signal.SIGKILL)


def measure(*, kind: str, address: str, start: str, days: int, mark: int) -> None:
    """Make a health table's figures of several days the one `mark`, all days at once."""
    first = datetime.fromisoformat(start)
    windows = Window(first, first + timedelta(days=days)).split(timedelta(days=1))
    landing = Landing(table="health.runs", connect=lambda: nullcontext(lake(kind, address)))
    instant = pa.timestamp("us", "UTC")
    landing.write_rows(
        {
            window: pa.table({"bucket_start": pa.array([window.start], instant), "value": [mark]})
            for window in windows
        },
        time_column="bucket_start",
    )


def observe_lake(*, kind: str, address: str, observed: str) -> None:
    """Look at both tables of a lake again and again until killed."""
    file = os.open(observed, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        seen = seen_as(lake_rows(kind, address, TABLE, "span_id", "status"))
        figures = {value for (value,) in lake_rows(kind, address, "health.runs", "value")}
        os.write(file, (json.dumps([seen, sorted(figures)]) + "\n").encode())
        time.sleep(0.3)  # the writers need the processor as well


def _opened(kind: str, address: str) -> Any:
    return psycopg.connect(address) if kind == "postgres" else duckdb.connect(address)


def observe(*, address: str, observed: str) -> None:
    """Look at the table again and again until killed."""
    file = os.open(observed, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with psycopg.connect(address, autocommit=True) as connection:
        while True:
            row = connection.execute(LOOK).fetchone()
            os.write(file, (json.dumps(row) + "\n").encode())
            time.sleep(0.01)  # the writers need the processor as well


JOBS: dict[str, Callable[..., None]] = {
    job.__name__: job for job in (export, checkpoint, measure, write, observe, observe_lake)
}
