"""Where rows land: a file, a table, or both; and how they get there, all or nothing.

    Landing(destination="s3://lake/events.csv", table="events", connect=lambda: duckdb_file(path))

Operators and assets make a `Landing` of their own arguments, and what happens then is the same.
A database is open only while it is read or written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from vectorshift.errors import VectorshiftError
from vectorshift_orchestration.errors import CommitUnknownError, StaleWriterError, StorageError
from vectorshift_orchestration.landed import (
    ExportFile as ExportFile,
    Landed as Landed,
    query_key_of as query_key_of,
)
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift_orchestration.characters import Characters
    from vectorshift_orchestration.storage.destinations import Destination
    from vectorshift_orchestration.storage.files import Published
    from vectorshift_orchestration.storage.ledger import Attempt, Commit
    from vectorshift_orchestration.storage.notes import Note
    from vectorshift_orchestration.storage.sql import Written

Connect: TypeAlias = "Callable[[], AbstractContextManager[Any]]"
Progress: TypeAlias = "Callable[[int], None]"

MOST_OVERTAKEN = 20
"""How often a writer begins again because another one committed an overlapping window meanwhile.

Each neighbour commits once, so there are hardly more of them than runs that are active at once.
"""

MOST_TOGETHER = 366
"""How many windows share a transaction: the days of a year, which are all new at once or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """A place for the rows of a window.

    Args:
        destination: path or URI of a file, or an object that knows its file system.
        table: `name` or `schema.name`, made when it does not exist.
        connect: opens the table's database; a context manager that closes it again, such as
            `lambda: duckdb_file(path)`. Any connection that `overwrite_window` takes.
        reconnect: gives another connection to the same database, to look up the outcome of
            a COMMIT whose answer was lost.
        parquet: publish exported events as Parquet instead of the service's own format.
        source: a name that the table's rows carry in a column of their own, so that several queries
            share a table; only rows of that source are replaced.
        replace_other: replace windows that hold the rows of another query.
        note: path or URI of a small file that says which query the file at `destination` answers, so
            that another query's rows are not replaced unseen (see `storage.notes.note_path`).
        replace_characters: write U+FFFD for each NUL, lone surrogate and byte that is not UTF-8 in the
            texts of a table or a Parquet file, and count them, instead of refusing the rows. A file
            in the service's own format stays as it is.
    """

    destination: Destination | None = None
    table: str | None = None
    connect: Connect | None = None
    reconnect: Callable[[], Any] | None = None
    parquet: bool = False
    source: str | None = None
    replace_other: bool = False
    note: Destination | None = None
    replace_characters: bool = False

    def check(self) -> None:
        """Raise `StorageError` when there is nowhere to land, or a table without its database."""
        if self.destination is None and self.table is None:
            raise StorageError(
                "The rows have nowhere to land. Give a destination, a table, or both."
            )
        if self.table is not None and self.connect is None:
            raise StorageError(f"Table {self.table!r} needs a database to land in. Give connect=.")
        replaces = self.replace_other and self.note is None
        if self.table is None and (self.source is not None or replaces):
            raise StorageError("source= and replace_other= need table=. Give table= too.")

    @property
    def reads_rows(self) -> bool:
        """Whether an export's rows land here, and not only the service's file."""
        return self.table is not None or self.parquet

    @contextmanager
    def held(self) -> Iterator[Self]:
        """The same place with its database open over the block, which writes to it again and again."""
        if self.connect is None:
            yield self
            return
        with self.connect() as connection:
            yield replace(self, connect=lambda: nullcontext(connection))

    # --- what the table knows ---

    def begin_attempt(self, window: Window, query_key: str | None = None) -> Attempt | None:
        """Note the state of the table's window before long work on it starts; None without a table.

        Give it to `write_rows` or `write_export`, which raise `StaleWriterError` when another writer
        committed the window, or one that overlaps it, in between. `query_key` is as there. Raises as
        `storage.sql.begin_attempt`.
        """
        return self.begin_attempts([window], query_key).get(window)

    def begin_attempts(
        self, windows: Iterable[Window], query_key: str | None = None
    ) -> dict[Window, Attempt]:
        """`begin_attempt` of several windows; empty without a table.

        Raises `WindowTakenError` also for a file that is noted to hold another query's rows.
        """
        if (note := self._note) is not None and query_key and not self.replace_other:
            note.require_own(query_key)
        if self.table is None:
            return {}
        from vectorshift_orchestration.storage.sql import begin_attempts

        with self._opened() as connection:
            return begin_attempts(
                connection,
                self.table,
                windows,
                source=self.source,
                query_key=query_key,
                replace_other=self.replace_other,
            )

    def committed(self, window: Window) -> Commit | None:
        """The last commit of exactly this window of the table; None for none and without a table."""
        if self.table is None:
            return None
        from vectorshift_orchestration.storage.sql import committed

        with self._opened() as connection:
            return committed(connection, self.table, window, source=self.source)

    # --- writing ---

    def write_measured(
        self,
        windows: Iterable[Window],
        measure: Callable[[], Mapping[Window, pa.Table]],
        *,
        time_column: str,
        query_key: str | None = None,
    ) -> dict[Window, Landed]:
        """Measure, then write; again if another writer wrote an overlapping window meanwhile.

        `measure` gives the rows of each of the windows. The rest, and what is raised, is as in
        `write_rows`.
        """
        requested = list(windows)
        for overtaken in range(MOST_OVERTAKEN + 1):
            attempts = self.begin_attempts(requested, query_key)
            try:
                return self.write_rows(
                    measure(), time_column=time_column, query_key=query_key, attempts=attempts
                )
            except StaleWriterError:
                if overtaken == MOST_OVERTAKEN:
                    raise
        raise AssertionError("unreachable")

    def write_rows(
        self,
        parts: Mapping[Window, pa.Table],
        *,
        time_column: str,
        query_key: str | None = None,
        attempts: Mapping[Window, Attempt] | None = None,
    ) -> dict[Window, Landed]:
        """Make each part the only rows of its window, in order, each window at once.

        Windows in a row are written together, `MOST_TOGETHER` at most. With a file as well, or alone,
        there is one window, and the file, a Parquet file, appears just before the rows are
        committed. When a window fails, those before it stay written and those from it on are as
        they were. `query_key` is the identity of the rows' query (see `query_key_of`): a
        window that holds another query's rows is refused.

        Raises `StorageError` and what is below it, `PublishError`, and `StorageError` for a file and
        several windows.
        """
        self.check()
        if self.destination is not None and len(parts) > 1:
            raise StorageError(
                "A file holds one window, and several were given. Give one at a time."
            )
        return self._write(parts, time_column, query_key, attempts, failed=None)

    def write_apart(
        self,
        parts: Mapping[Window, pa.Table],
        *,
        time_column: str,
        query_key: str | None = None,
        attempts: Mapping[Window, Attempt] | None = None,
    ) -> tuple[dict[Window, Landed], dict[Window, VectorshiftError]]:
        """`write_rows`, but a window that cannot be written keeps its old rows and holds back no other.

        Returns what landed, and why the rest did not. Raises `StaleWriterError`, after which all has
        to be measured again, and what opening the database raises.
        """
        self.check()
        failed = dict[Window, VectorshiftError]()
        return self._write(parts, time_column, query_key, attempts, failed), failed

    def _write(
        self,
        parts: Mapping[Window, pa.Table],
        time_column: str,
        query_key: str | None,
        attempts: Mapping[Window, Attempt] | None,
        failed: dict[Window, VectorshiftError] | None,
    ) -> dict[Window, Landed]:
        """Write windows that are in a row together, and of those that fail together each by itself.

        What fails by itself is noted in `failed`, or raised where there is none.
        """
        landed = dict[Window, Landed]()
        remaining = deque(_together(parts))
        while remaining:  # an error may have cost the connection
            with self.held() as place:
                while remaining:
                    several = remaining.popleft()
                    try:
                        landed |= place._wrote(several, time_column, query_key, attempts)
                    except StaleWriterError:
                        raise
                    except VectorshiftError as problem:
                        if len(several) > 1 and not isinstance(problem, CommitUnknownError):
                            remaining.extendleft(
                                reversed([{window: rows} for window, rows in several.items()])
                            )
                        elif failed is None:
                            raise
                        else:
                            failed |= dict.fromkeys(several, problem)
                        break
        return landed

    def _wrote(
        self,
        parts: Mapping[Window, pa.Table],
        time_column: str,
        query_key: str | None,
        attempts: Mapping[Window, Attempt] | None,
    ) -> dict[Window, Landed]:
        """Write windows in a row, all of them at once."""
        characters = {window: self._characters() for window in parts}
        stored = {
            window: rows
            if (replaced := characters[window]) is None
            else replaced.stored_table(rows)
            for window, rows in parts.items()
        }
        published: list[Published] = []

        def publish() -> None:
            from vectorshift_orchestration.storage.parquet import write_parquet

            if self.destination is not None:
                (rows,) = stored.values()
                with self._claimed(query_key):
                    file = write_parquet(rows.schema, rows.to_batches(), self.destination)
                published.append(file)

        written: Mapping[Window, Written] = {}
        if self.table is None:
            publish()
        else:
            from vectorshift_orchestration.storage.sql import overwrite_windows

            with self._opened() as connection:
                written = overwrite_windows(
                    connection,
                    self.table,
                    stored,
                    time_column=time_column,
                    source=self.source,
                    query_key=query_key,
                    replace_other=self.replace_other,
                    attempts=attempts,
                    reconnect=self.reconnect,
                    before_commit=publish,
                )
        return {
            window: self._landed(
                window, rows.num_rows, published, written.get(window), characters[window]
            )
            for window, rows in stored.items()
        }

    def write_export(
        self,
        file: ExportFile,
        window: Window,
        *,
        key: str | None = None,
        query_key: str | None = None,
        attempt: Attempt | str | None = None,
        on_published: Callable[[Published], None] | None = None,
        progress: Progress | None = None,
        copied: Progress | None = None,
    ) -> Landed:
        """Publish an export's file, make its rows the only ones of the table's window, or both.

        With both, the file appears after all rows are in and just before they are committed, so an
        error leaves neither; only a failing COMMIT can leave the new file beside the old rows, and
        running again mends that. `key` identifies the request and `query_key` the query, whatever the window;
        a window that holds another query's rows is refused. `on_published` is called once the file is at its destination,
        `progress` with the number of rows loaded, `copied` with the bytes published (the rows, for
        Parquet).

        Raises `PublishError`, and `StorageError` and what is below it.
        """
        self.check()
        published: list[Published] = []
        characters = self._characters()

        def publish() -> None:
            if self.destination is not None:
                aside = self._characters() if self.table is not None else characters  # counted once
                with self._claimed(query_key):
                    published.append(self._published(file, self.destination, aside, copied))
                if on_published is not None:
                    on_published(published[0])

        written: Written | None = None
        if self.table is None:
            publish()
        else:
            from vectorshift_orchestration.file_rows import rows_of
            from vectorshift_orchestration.storage.sql import overwrite_window
            from vectorshift_orchestration.tables import EVENT_TIME

            schema, batches = rows_of(file, characters)
            with self._opened() as connection:
                written = overwrite_window(
                    connection,
                    self.table,
                    window,
                    batches,
                    schema=schema,
                    time_column=EVENT_TIME,
                    source=self.source,
                    key=key,
                    query_key=query_key,
                    replace_other=self.replace_other,
                    sha256=file.sha256,
                    attempt=attempt,
                    reconnect=self.reconnect,
                    before_commit=publish,
                    progress=progress,
                )
        landed = self._landed(window, file.rows, published, written, characters)
        return replace(landed, bytes=file.bytes, sha256=file.sha256)

    def _published(
        self,
        file: ExportFile,
        destination: Destination,
        characters: Characters | None,
        progress: Progress | None,
    ) -> Published:
        if self.parquet:
            from vectorshift_orchestration.file_rows import rows_of
            from vectorshift_orchestration.storage.parquet import write_parquet

            schema, batches = rows_of(file, characters)
            return write_parquet(schema, batches, destination, progress=progress)
        from vectorshift_orchestration.storage.files import publish

        return publish(file.path, destination, sha256=file.sha256, progress=progress)

    def _landed(
        self,
        window: Window,
        rows: int,
        published: Sequence[Published],
        written: Written | None,
        characters: Characters | None,
    ) -> Landed:
        file = published[0] if published else None
        return Landed(
            window,
            rows,
            uri=None if file is None else file.uri,
            table=self.table,
            deleted=None if written is None else written.deleted,
            replaced=None if characters is None else characters.count,
            bytes=None if file is None else file.bytes,
            sha256=None if file is None else file.sha256,
        )

    def _claimed(self, query_key: str | None) -> AbstractContextManager[None]:
        note = self._note
        if note is None or not query_key:
            return nullcontext()
        return note.claimed(query_key, replace_other=self.replace_other)

    @property
    def _note(self) -> Note | None:
        if self.note is None or self.destination is None:
            return None
        from vectorshift_orchestration.storage.notes import Note

        return Note(self.note, self.destination)

    def _characters(self) -> Characters | None:
        from vectorshift_orchestration.characters import Characters

        return Characters() if self.replace_characters else None

    def _opened(self) -> AbstractContextManager[Any]:
        if self.connect is None:
            raise StorageError(f"Table {self.table!r} needs a database to land in. Give connect=.")
        return self.connect()


def _together(parts: Mapping[Window, pa.Table]) -> Iterator[Mapping[Window, pa.Table]]:
    """The parts in runs of windows that follow on each other and whose rows have the same columns."""
    from vectorshift_orchestration.storage.parts import runs

    for run in runs(parts):
        several: dict[Window, pa.Table] = {}
        for window in run:
            rows = parts[window]
            first = next(iter(several.values()), rows)
            if len(several) == MOST_TOGETHER or first.schema != rows.schema:
                yield several
                several = {}
            several[window] = rows
        yield several
