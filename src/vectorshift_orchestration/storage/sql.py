"""Replace windows of a table, in one transaction, in any database that we can write to.

    begin_attempts -> (export, read) -> overwrite_windows:
        lock -> fence -> fit columns -> DELETE -> load -> count -> ledger rows -> COMMIT

Several windows are written together when each begins where the one before it ends. What is asked
and checked is the same for each of them as for one alone, but asked once for all.

What differs between databases is in `databases.py` and the modules that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
from msgspec.structs import replace

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import CommitUnknownError, StorageError
from vectorshift_orchestration.storage import lake_windows, ledger as windows_ledger
from vectorshift_orchestration.storage.columns import fit
from vectorshift_orchestration.storage.databases import Database, database_of, reading
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.storage.incoming import Batches, Incoming
from vectorshift_orchestration.storage.lakes import Lake
from vectorshift_orchestration.storage.ledger import Attempt, Commit, Request
from vectorshift_orchestration.storage.locks import Territory
from vectorshift_orchestration.storage.parts import Part, check_source, runs
from vectorshift_orchestration.storage.places import Place
from vectorshift_orchestration.storage.transactions import (
    refusals,
    require_none_open,
    settle,
    transaction,
)
from vectorshift_orchestration.storage.trial import Unknown, try_out
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
    request = Request(key, query_key)
    return _begin(connection, table, [window], source, request, replace_other)[window]


def begin_attempts(
    connection: Any,
    table: str,
    windows: Iterable[Window],
    *,
    source: str | None = None,
    query_key: str | None = None,
    replace_other: bool = False,
) -> dict[Window, Attempt]:
    """`begin_attempt` of several windows, for `overwrite_windows`; those in a row are asked for at once."""
    request = Request(None, query_key)
    return _begin(connection, table, windows, source, request, replace_other)


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

    `connection` is one of the databases of docs/databases.md, on which no transaction may be open, or a
    `DeltaLake` or `IcebergLake`, where all of this is one commit. `table` may be `schema.table`. `schema` is needed for a plain
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
    database = _target(connection)
    part = _part(database, table, (window,), source)
    rows = Incoming(
        batches,
        schema,
        table=table,
        windows=part.windows,
        time_column=time_column,
        source=source,
        progress=progress,
    )
    attempts = None
    if attempt is not None:
        attempts = {window: attempt if isinstance(attempt, Attempt) else Attempt.parse(attempt)}
    return _overwrite(
        database,
        part,
        rows,
        time_column,
        Request(key, query_key),
        replace_other=replace_other,
        sha256=sha256,
        attempts=attempts,
        reconnect=reconnect,
        before_commit=before_commit,
    )[window]


def overwrite_windows(
    connection: Any,
    table: str,
    parts: Mapping[Window, pa.Table],
    *,
    time_column: str,
    source: str | None = None,
    query_key: str | None = None,
    replace_other: bool = False,
    attempts: Mapping[Window, Attempt] | None = None,
    reconnect: Callable[[], Any] | None = None,
    before_commit: Callable[[], None] | None = None,
) -> dict[Window, Written]:
    """`overwrite_window` for windows in a row, all of them in one transaction: all are new, or none is.

    Each window begins where the one before it ends, and all tables have the same columns. The
    windows are distinguished by the times in them, so these are few, such as starts of buckets.
    `attempts` is from `begin_attempts`. What is raised is as there, for the first window that is
    the reason, or for all of them where the database does not say.
    """
    database = _target(connection)
    part = _part(database, table, tuple(parts), source)
    rows = Incoming(
        pa.concat_tables(parts.values()).combine_chunks(),
        None,
        table=table,
        windows=part.windows,
        lengths=[each.num_rows for each in parts.values()],
        time_column=time_column,
        source=source,
    )
    return _overwrite(
        database,
        part,
        rows,
        time_column,
        Request(None, query_key),
        replace_other=replace_other,
        attempts=attempts,
        reconnect=reconnect,
        before_commit=before_commit,
    )


def committed(
    connection: Any, table: str, window: Window, *, source: str | None = None
) -> Commit | None:
    """The last commit of exactly this window of `table`, or None if there was none.

    Takes the same connections and the same `source` as `overwrite_window`, and raises the driver's errors.
    """
    if isinstance(connection, Lake):
        part = Part(TableName.parse(table), (window,), source)
        return lake_windows.committed(connection, part)
    return windows_ledger.committed(connection, table, window, source=source)


def _begin(
    connection: Any,
    table: str,
    windows: Iterable[Window],
    source: str | None,
    request: Request,
    replace_other: bool,
) -> dict[Window, Attempt]:
    database = _target(connection)
    parts = [_part(database, table, run, source) for run in runs(windows)]
    begun: dict[Window, Attempt] = {}
    if not parts:
        return begun
    if isinstance(database, Lake):
        return lake_windows.begin(database, parts, request, replace_other=replace_other)
    with refusals(database, parts[0]):
        require_none_open(database, parts[0])
        with reading(database):
            resolved = database.resolve(parts[0].table)
            parts = [replace(part, table=resolved) for part in parts]
        if not database.is_tested:
            try_out(cast(Unknown, database), resolved)
        with reading(database):
            overlapping_notes = [
                (part, windows_ledger.overlapping(database, part)) for part in parts
            ]
    for part, notes in overlapping_notes:
        if not replace_other:
            windows_ledger.require_own(part, notes, request)
        begun |= windows_ledger.begin(part, notes)
    return begun


def _overwrite(
    database: Database | Lake,
    part: Part,
    rows: Incoming,
    time_column: str,
    request: Request,
    *,
    replace_other: bool,
    sha256: str | None = None,
    attempts: Mapping[Window, Attempt] | None,
    reconnect: Callable[[], Any] | None,
    before_commit: Callable[[], None] | None,
) -> dict[Window, Written]:
    if isinstance(database, Lake):
        counted = lake_windows.overwrite(
            *(database, part, rows, time_column, request),
            replace_other=replace_other,
            sha256=sha256,
            attempts=attempts,
            before_commit=before_commit,
        )
        return _written(part, counted.rows, counted.deleted, counted.added)
    with refusals(database, part):
        require_none_open(database, part)
        with reading(database):
            part = replace(part, table=database.resolve(part.table))
        if not database.is_tested:
            try_out(cast(Unknown, database), part.table)
        with reading(database):
            begun = dict(attempts or {})
            if not begun.keys() >= set(part.windows):
                notes = windows_ledger.overlapping(database, part)
                begun = windows_ledger.begin(part, notes) | begun
        if not database.transactional_ddl:
            try:
                with transaction(database, part, None):
                    added = _fit(database, part.table, rows.schema)
            except CommitUnknownError as problem:
                raise StorageError(
                    f"{part} was not changed: the connection was lost while the table was prepared. Run again."
                ) from problem
        try:
            with transaction(database, part, Territory(part.table, part.window)):
                failpoint("sql.begun")
                notes = windows_ledger.overlapping(database, part)
                if not replace_other:
                    windows_ledger.require_own(part, notes, request)
                windows_ledger.fence(part, notes, begun)
                if database.transactional_ddl:
                    added = _fit(database, part.table, rows.schema)
                place = Place(database, part, time_column)
                place.claim(replace_other)
                deleted = place.clear(replace_other)
                failpoint("sql.deleted")
                database.load(part.table, rows)
                place.require(rows.sent)
                inserted = [each.rows for each in rows.sent]
                windows_ledger.record(
                    database, part, notes, begun, rows=inserted, request=request, sha256=sha256
                )
                if before_commit is not None:
                    before_commit()
                failpoint("sql.before_commit")
        except CommitUnknownError as problem:
            problem.attempt_token = str(begun[part.windows[0]])
            if reconnect is None:
                raise
            settle(reconnect, part, begun, problem)
    failpoint("sql.committed")
    return _written(part, inserted, deleted, added)


def _written(
    part: Part, rows: Sequence[int], deleted: Sequence[int], added: tuple[str, ...]
) -> dict[Window, Written]:
    written = (Written(*counts, added) for counts in zip(rows, deleted, strict=True))
    return dict(zip(part.windows, written, strict=True))


def _target(connection: Any) -> Database | Lake:
    return connection if isinstance(connection, Lake) else database_of(connection)


def _part(
    database: Database | Lake, table: str, windows: tuple[Window, ...], source: str | None
) -> Part:
    """What is written, as the caller names it."""
    if source is not None:
        check_source(source)
        if not database.exact_texts and source != source.casefold():
            raise StorageError(
                f"Source {source!r}: this database may take capitals and small letters for one. "
                "Use small letters."
            )
    return Part(TableName.parse(table), windows, source)


def _fit(database: Database, table: TableName, shape: pa.Schema) -> tuple[str, ...]:
    windows_ledger.prepare(database, table)
    return fit(database, table, shape)
