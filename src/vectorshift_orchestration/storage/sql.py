"""Replace one window of a table, in one transaction, in any database that we can write to.

    begin_attempt -> (export, read) -> overwrite_window:
        lock -> fence -> fit columns -> DELETE -> load -> count -> ledger row -> COMMIT

What differs between databases is in `databases.py` and the modules that it names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import CommitUnknownError, StorageError
from vectorshift_orchestration.storage import ledger as windows_ledger
from vectorshift_orchestration.storage.columns import fit
from vectorshift_orchestration.storage.databases import Database, database_of, reading
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.storage.incoming import Batches, Incoming
from vectorshift_orchestration.storage.ledger import Attempt, Request
from vectorshift_orchestration.storage.locks import Territory
from vectorshift_orchestration.storage.parts import Part, check_source
from vectorshift_orchestration.storage.places import Place
from vectorshift_orchestration.storage.transactions import (
    refusals,
    require_none_open,
    settle,
    transaction,
)
from vectorshift_orchestration.windows import Window


@dataclass(frozen=True, slots=True)
class Written:
    """What one write did: rows now in the window, rows it had, columns the table gained."""

    rows: int
    deleted: int
    columns_added: tuple[str, ...]


def begin_attempt(
    connection: Any,
    table: str,
    window: Window,
    *,
    source: str | None = None,
    key: str | None = None,
    query_key: str | None = None,
    replace_other: bool = False,
) -> Attempt:
    """Note where the window stands before long work on it starts.

    Give the attempt, or its text, to `overwrite_window`: when somebody else has committed the
    window or one that overlaps it in between, that raises `StaleWriterError`. The rest is as there.
    Raises `WindowTakenError` when the window holds the rows of another query, and `StorageError`
    when the database refuses or a transaction is open.
    """
    database = database_of(connection)
    part = _part(database, table, window, source)
    with refusals(database, part):
        require_none_open(database, part)
        with reading(database):
            part = replace(part, table=database.resolve(part.table))
            notes = windows_ledger.overlapping(database, part)
    if not replace_other:
        windows_ledger.require_own(part, notes, Request(key, query_key))
    return windows_ledger.begin(notes)


def overwrite_window(
    connection: Any,
    table: str,
    window: Window,
    batches: Batches,
    *,
    time_column: str,
    schema: pa.Schema | None = None,
    source: str | None = None,
    key: str | None = None,
    query_key: str | None = None,
    replace_other: bool = False,
    sha256: str | None = None,
    attempt: Attempt | str | None = None,
    reconnect: Callable[[], Any] | None = None,
    before_commit: Callable[[], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Written:
    """Make `batches` the only rows of `table` whose `time_column` lies in `window`.

    Inside one transaction: lock the window, create the table on first use, add the columns it
    lacks, delete the window, insert by column name, count what the table then holds, note the
    window in the ledger. Columns are never dropped or reordered; a column that the rows lack is
    null. Running it twice leaves the same rows.

    With a `source`, such as `"orders"`, the rows get a column `source_name` that holds it, and only
    rows of that source are replaced, so that several queries can fill one table; their windows do not
    fence each other. `query_key` is the identity of what the rows answer, the same for every window
    (the query and the account, say). A window that overlaps one of another `query_key` is refused,
    because its rows would be lost; `replace_other=True` replaces them. `key` names the request with
    its window, and is compared for the same window where there is no `query_key`.

    `connection` is DuckDB, psycopg 3, psycopg2, ADBC to PostgreSQL, or another DB-API connection; no
    transaction may be open on it. `table` may be `schema.table`. `schema` is needed for a plain
    iterable, which may be empty. `time_column` holds instants: `span_start_time` for events,
    `bucket_start` for aggregations. `key`, `query_key` and `sha256` go into the ledger row. `attempt`
    is from `begin_attempt`; without it the attempt begins now. `reconnect` opens another connection
    to the same database, which is asked for the outcome when this one breaks on COMMIT.
    `before_commit` is called when everything is in place and may still stop it by raising. `progress`
    is called with the rows inserted so far.

    Raises `RowOutsideWindow` for a row whose time is missing or outside the window,
    `SchemaMismatch` when a column of the table has another type, `UnstorableValue` for a value that
    the database cannot hold, `WindowTakenError` when the window holds the rows of another query,
    `StaleWriterError` when another writer was faster, and `StorageError` for anything the database
    refuses or does not keep as it was sent (a trigger, say), a transaction that is already open
    included. After any of these, or the batches' own error, the rows are as they were.
    `CommitUnknownError` alone leaves it open: the connection broke on COMMIT, and `reconnect` was
    not given or did not succeed.
    """
    database = database_of(connection)
    part = _part(database, table, window, source)
    rows = Incoming(
        batches,
        schema,
        table=table,
        window=window,
        time_column=time_column,
        source=source,
        progress=progress,
    )
    request = Request(key, query_key)
    with refusals(database, part):
        require_none_open(database, part)
        with reading(database):
            part = replace(part, table=database.resolve(part.table))
            own = _attempt(database, part, attempt)
        if not database.transactional_ddl:
            with transaction(database, part, None):
                added = _fit(database, part.table, rows.schema)
        try:
            with transaction(database, part, Territory(part.table, part.window)):
                failpoint("sql.begun")
                notes = windows_ledger.overlapping(database, part)
                if not replace_other:
                    windows_ledger.require_own(part, notes, request)
                windows_ledger.fence(part, notes, own)
                if database.transactional_ddl:
                    added = _fit(database, part.table, rows.schema)
                place = Place(database, part, time_column)
                place.claim(replace_other)
                deleted = place.clear(replace_other)
                failpoint("sql.deleted")
                database.load(part.table, rows)
                inserted = place.require(rows)
                windows_ledger.record(
                    database, part, notes, own, rows=inserted, request=request, sha256=sha256
                )
                if before_commit is not None:
                    before_commit()
                failpoint("sql.before_commit")
        except CommitUnknownError as problem:
            problem.attempt_token = str(own)
            if reconnect is None:
                raise
            settle(reconnect, part, own, problem)
    failpoint("sql.committed")
    return Written(inserted, deleted, added)


def _part(database: Database, table: str, window: Window, source: str | None) -> Part:
    """What is written, as the caller names it."""
    if source is not None:
        check_source(source)
        if not database.exact_texts and source != source.casefold():
            raise StorageError(
                f"Source {source!r}: this database may take capitals and small letters for one. "
                "Use small letters."
            )
    return Part(TableName.parse(table), window, source)


def _attempt(database: Database, part: Part, given: Attempt | str | None) -> Attempt:
    if given is None:
        return windows_ledger.begin(windows_ledger.overlapping(database, part))
    return given if isinstance(given, Attempt) else Attempt.parse(given)


def _fit(database: Database, table: TableName, shape: pa.Schema) -> tuple[str, ...]:
    windows_ledger.prepare(database, table)
    return fit(database, table, shape)
