"""One transaction, all or nothing; and what became of a COMMIT whose answer was lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from vectorshift_orchestration.errors import CommitUnknownError, StaleWriterError, StorageError
from vectorshift_orchestration.storage import ledger
from vectorshift_orchestration.storage.databases import Database, database_of
from vectorshift_orchestration.storage.ledger import Attempt
from vectorshift_orchestration.storage.locks import Territory
from vectorshift_orchestration.storage.parts import Part
from vectorshift_orchestration.windows import Window

_MOST_SECONDS = 60.0
"""How long to try for a new connection before the outcome stays unknown."""


def require_none_open(database: Database, subject: object) -> None:
    """Raise `StorageError` when the caller has a transaction open."""
    if database.is_open():
        raise StorageError(
            f"{subject} was not changed: a transaction is already open on this connection. Commit it "
            "or roll it back first, or give another connection."
        )


@contextmanager
def refusals(database: Database, subject: object) -> Iterator[None]:
    """The driver's errors as `StorageError`."""
    try:
        yield
    except database.errors as problem:
        # What follows the first line may hold a row's content; a hint of the server's does not.
        message = str(problem).strip().partition("\n")[0]
        raise StorageError(f"{subject} was not changed: {message}{_hint(problem)}") from problem


def _hint(problem: Exception) -> str:
    """PostgreSQL's hint, from psycopg, psycopg2 or ADBC."""
    hint = getattr(getattr(problem, "diag", None), "message_hint", None)
    details = getattr(problem, "details", None)
    if isinstance(details, list):
        hint = dict(details).get(b"PG_DIAG_MESSAGE_HINT", b"").decode(errors="replace")
    return f". {hint}" if hint else ""


@contextmanager
def transaction(database: Database, subject: object, territory: Territory | None) -> Iterator[None]:
    """All or nothing, alone in the territory. Raises `CommitUnknownError` for a lost COMMIT."""
    try:
        database.begin(territory)
        yield
    except BaseException:
        database.rollback()
        raise
    try:
        database.commit()
    except BaseException as problem:
        lost = isinstance(problem, database.errors) and database.is_lost()
        database.rollback()
        if lost:
            raise CommitUnknownError(
                f"{subject} is all old or all new, and it is not known which: the connection was lost "
                f"on COMMIT ({problem}). Run again, which replaces it either way, or read "
                "attempt_token in its ledger row."
            ) from problem
        raise


def settle(
    reconnect: Callable[[], Any],
    part: Part,
    attempts: Mapping[Window, Attempt],
    problem: CommitUnknownError,
) -> None:
    """Return when the attempts were committed, raise when not: the ledger knows.

    The lock is waited for, because the lost session may still be at its COMMIT and holds it.
    """
    deadline = time.monotonic() + _MOST_SECONDS
    pause = 0.05
    while True:
        try:
            with closing(reconnect()) as connection:
                database = database_of(connection)
                with transaction(database, "", Territory(part.table, part.window)):
                    notes = ledger.overlapping(database, part)
            break
        except Exception as again:  # whatever a caller's function raises
            if time.monotonic() + pause > deadline:
                raise CommitUnknownError(
                    f"{problem} A new connection could not be had: {again}",
                    attempt_token=problem.attempt_token,
                ) from again
            time.sleep(pause)
            pause = min(2 * pause, 2.0)
    tokens = {note.token for note in notes}
    overwritten = [window for window in part.windows if str(attempts[window]) not in tokens]
    if not overwritten:
        return
    # The windows were committed together: if one is unchanged, none was.
    if any(ledger.seen(near) == attempts[at].saw for at, near in ledger.by_window(part, notes)):
        raise StorageError(
            f"{part} was not changed: the connection was lost on COMMIT, and the "
            "ledger shows that it was not done. Run again."
        ) from problem
    raise StaleWriterError(
        f"{part.only(overwritten[0])} holds the rows of another writer, who committed after this one "
        "lost its connection on COMMIT. Run again if they should be replaced."
    ) from problem
