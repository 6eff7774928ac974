"""Replace windows of a lake table in one commit, with the same promises as in a database.

    begin -> (export, read) -> overwrite:
        stage rows on this disk -> look at the table -> fence -> fit columns -> one commit, or again

The rows are staged first: so they are checked before a file is written to the lake, and can be sent again
when another writer's commit comes first. Whoever comes second looks again, and gives way if the other one
wrote an overlapping window.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from vectorshift.errors import VectorshiftError
from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import (
    CommitUnknownError,
    StorageError,
    UnstorableValue,
)
from vectorshift_orchestration.storage import ledger
from vectorshift_orchestration.storage.databases import as_utc
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.storage.incoming import Incoming
from vectorshift_orchestration.storage.lakes import Lake, Rows, State, fitted, kept_schema
from vectorshift_orchestration.storage.ledger import Attempt, Commit, Note, Request
from vectorshift_orchestration.storage.parts import SOURCE, Part
from vectorshift_orchestration.windows import Window

_MOST_TRIES = 100
_MOST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Counted:
    """What a commit did: rows now in each window, rows it had, columns that the table gained."""

    rows: list[int]
    deleted: list[int]
    added: tuple[str, ...]


def begin(
    lake: Lake, parts: Sequence[Part], request: Request, *, replace_other: bool
) -> dict[Window, Attempt]:
    """A new attempt for each window. Raises `WindowTakenError`, and `StorageError` when the lake refuses."""
    begun: dict[Window, Attempt] = {}
    for part in parts:
        with _refusals(lake, part):
            notes = _overlapping(part, lake.state(part.table))
        if not replace_other:
            ledger.require_own(part, notes, request)
        begun |= ledger.begin(part, notes)
    return begun


def committed(lake: Lake, part: Part) -> Commit | None:
    """The last commit of exactly this window, as far back as the lake keeps its commits."""
    with _refusals(lake, part):
        notes = _standing(part.table, lake.state(part.table))
    for note in notes:
        if note["source"] == part.source and _window(note) == part.window:
            return Commit(
                part.window,
                note["key"],
                note["rows"],
                note["sha256"],
                as_utc(note["committed_at"]),
                note["token"],
                note["query_key"],
                note["source"],
            )
    return None


def overwrite(
    lake: Lake,
    part: Part,
    incoming: Incoming,
    time_column: str,
    request: Request,
    *,
    replace_other: bool,
    sha256: str | None,
    attempts: Mapping[Window, Attempt] | None,
    before_commit: Callable[[], None] | None,
) -> Counted:
    """As `overwrite_window` says, in one commit."""
    begun = dict(attempts or {})
    if not begun.keys() >= set(part.windows):
        with _refusals(lake, part):
            notes = _overlapping(part, lake.state(part.table))
        begun = ledger.begin(part, notes) | begun
    with _staged(incoming) as staged:
        for tries in range(_MOST_TRIES):
            with _refusals(lake, part):
                plan = _plan(lake, part, incoming, time_column, request, begun, replace_other)
            if before_commit is not None:
                before_commit()
            failpoint("lake.committing")
            try:
                with _refusals(lake, part):
                    note = _note(part, begun, request, plan.sent, sha256)
                    _commit(lake, part, plan, staged, note, begun)
            except StorageError as problem:
                overtaken = isinstance(problem.__cause__, lake.conflicts)
                if not overtaken or tries == _MOST_TRIES - 1:
                    raise
            else:
                failpoint("lake.committed")
                return Counted(plan.sent, plan.deleted, tuple(plan.new.names))
            time.sleep(random.uniform(0, min(_MOST_PAUSE, 0.02 * 2**tries)))
    raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class _Plan:
    """One commit on a state of the table."""

    state: State
    rows: Rows
    columns: pa.Schema
    new: pa.Schema
    deleted: list[int]
    sent: list[int]


def _plan(
    lake: Lake,
    part: Part,
    incoming: Incoming,
    time_column: str,
    request: Request,
    begun: Mapping[Window, Attempt],
    replace_other: bool,
) -> _Plan:
    """What is to be committed, on the table as it stands. Raises as `overwrite_window`."""
    state = lake.state(part.table)
    if state is None:
        lake.create(part.table, kept_schema(incoming.schema))
        state = lake.state(part.table)
        assert state is not None
    notes = _overlapping(part, state)
    if not replace_other:
        ledger.require_own(part, notes, request)
    ledger.fence(part, notes, begun)
    columns, new = fitted(incoming.schema, state.schema, lake.address(part.table))
    rows = Rows(time_column, part.window)
    if part.source is not None:
        has_source = any(name.lower() == SOURCE for name in state.schema.names)
        ownerless = Rows(time_column, part.window, ownerless=has_source)
        if not replace_other and lake.count(state, ownerless):
            raise ledger.taken(part, f"rows without a {SOURCE}")
        if has_source:
            rows = Rows(time_column, part.window, part.source, ownerless=replace_other)
    sent = [each.rows for each in incoming.sent]
    return _Plan(state, rows, columns, new, _held(lake, state, part, rows), sent)


def _commit(
    lake: Lake,
    part: Part,
    plan: _Plan,
    staged: Path,
    note: str,
    begun: Mapping[Window, Attempt],
) -> None:
    with _read(staged, plan.columns) as reader:
        try:
            lake.replace(
                *(plan.state, plan.rows, reader),
                note=note,
                new=plan.new,
                any_there=any(plan.deleted),
            )
        except lake.conflicts:
            raise
        except lake.errors as problem:
            _settle(lake, part, begun, problem)


@contextmanager
def _read(staged: Path, columns: pa.Schema) -> Iterator[pa.RecordBatchReader]:
    """The staged rows as these columns.

    By a reader without Python in it: delta-rs keeps the interpreter's lock while it waits in one thread for
    a runtime whose threads would wait for that lock.
    """
    with pa.OSFile(str(staged)) as file, pa.ipc.open_stream(file) as reader:
        if reader.schema.equals(columns):
            yield reader
            return
        other = staged.with_suffix(".cast")
        with pa.OSFile(str(other), "wb") as sink, pa.ipc.new_stream(sink, columns) as writer:
            for batch in reader:
                writer.write_batch(_cast(batch, columns))
    with _read(other, columns) as cast:
        yield cast


def _cast(batch: pa.RecordBatch, columns: pa.Schema) -> pa.RecordBatch:
    cast = []
    for column, field in zip(batch.columns, columns, strict=True):
        try:
            cast.append(column.cast(field.type))
        except pa.ArrowInvalid as problem:
            raise UnstorableValue(
                f"A value of column {field.name!r} does not fit into {field.type}: {problem}. No row "
                "was changed.",
                column=field.name,
            ) from problem
    return pa.RecordBatch.from_arrays(cast, schema=columns)


@contextmanager
def _staged(incoming: Incoming) -> Iterator[Path]:
    """The rows in a file of this machine, checked."""
    stored = kept_schema(incoming.schema)
    with tempfile.TemporaryDirectory(prefix="vectorshift-lake-") as folder:
        file = Path(folder) / "rows.arrows"
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, stored) as writer:
            for batch in incoming:
                writer.write_batch(_cast(batch, stored))
        failpoint("lake.staged")
        yield file


def _settle(
    lake: Lake, part: Part, begun: Mapping[Window, Attempt], problem: BaseException
) -> None:
    """Return when the commit was done although it ended in an error, raise when not: the table knows."""
    token = str(begun[part.windows[0]])
    try:
        tokens = {note["token"] for note in _all(lake.state(part.table))}
    except Exception as again:
        raise CommitUnknownError(
            f"{part} is all old or all new, and it is not known which: {_first_line(problem)}. Run again, "
            "which replaces it either way.",
            attempt_token=token,
        ) from again
    if token not in tokens:
        raise problem


@contextmanager
def _refusals(lake: Lake, part: Part) -> Iterator[None]:
    try:
        yield
    except VectorshiftError:
        raise
    except lake.errors as problem:
        raise StorageError(f"{part} was not changed: {_first_line(problem)}") from problem


def _first_line(problem: BaseException) -> str:
    return str(problem).strip().partition("\n")[0]


def _held(lake: Lake, state: State, part: Part, rows: Rows) -> list[int]:
    """How many rows each window has."""
    if len(part.windows) == 1:
        return [lake.count(state, rows)]
    starts = [window.start for window in part.windows]
    counts = [0] * len(starts)
    for instant in lake.times(state, rows):
        counts[bisect_right(starts, as_utc(instant)) - 1] += 1
    return counts


def _note(
    part: Part,
    begun: Mapping[Window, Attempt],
    request: Request,
    rows: Sequence[int],
    sha256: str | None,
) -> str:
    now = datetime.now(UTC).isoformat()
    return json.dumps(
        [
            {
                "start": window.start.isoformat(),
                "end": window.end.isoformat(),
                "source": part.source,
                "rows": count,
                "token": str(begun[window]),
                "key": request.key,
                "query_key": request.query_key,
                "sha256": sha256,
                "committed_at": now,
            }
            for window, count in zip(part.windows, rows, strict=True)
        ]
    )


def _all(state: State | None) -> Iterator[dict[str, Any]]:
    for text in () if state is None else state.notes:
        yield from json.loads(text)


def _window(note: Mapping[str, Any]) -> Window:
    return Window(as_utc(note["start"]), as_utc(note["end"]))


def _standing(table: TableName, state: State | None) -> list[dict[str, Any]]:
    """What the commits record, without what a later one replaced or made a part of another request's."""
    standing: list[dict[str, Any]] = []
    for text in () if state is None else state.notes:
        wrote = json.loads(text)
        part = Part(table, tuple(map(_window, wrote)), wrote[0]["source"])
        request = Request(wrote[0]["key"], wrote[0]["query_key"])
        standing = [note for note in standing if not ledger.goes(_as_note(note), part, request)]
        standing += wrote
    return standing


def _overlapping(part: Part, state: State | None) -> tuple[Note, ...]:
    """The notes whose windows overlap the part, of all sources or of its own and of none."""
    notes = map(_as_note, _standing(part.table, state))
    return tuple(
        note
        for note in notes
        if note.start < part.window.end and note.end > part.window.start
        if part.source is None or note.source in (None, part.source)
    )


def _as_note(note: Mapping[str, Any]) -> Note:
    request = Request(note["key"], note["query_key"])
    start, end, at = (as_utc(note[name]) for name in ("start", "end", "committed_at"))
    return Note("", start, end, note["token"], request, note["source"], at)
