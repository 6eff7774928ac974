"""PostgreSQL over a psycopg2 connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as plain_cursor

from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.postgres import CopyingPostgres


class Psycopg2(CopyingPostgres):
    """An open psycopg2 connection, autocommit or not."""

    errors = (psycopg2.Error,)

    def __init__(self, connection: Any) -> None:
        if connection.async_:
            raise StorageError("Give a psycopg2 connection that blocks, not an asynchronous one.")
        if not connection.closed and connection.encoding not in ("UTF8", "UNICODE"):
            # Setting it for the transaction would not do: the driver goes by a note of its own.
            raise StorageError(
                f"The connection's encoding is {connection.encoding}, in which texts could change. "
                "Call connection.set_client_encoding('UTF8') first."
            )
        self._connection = connection

    def _end(self, verb: str) -> None:
        if self._connection.autocommit:  # where the driver's own methods do nothing
            self.run(verb)
        else:
            getattr(self._connection, verb.lower())()

    def _execute(self, cursor: Any, statement: str, values: tuple[Any, ...]) -> None:
        cursor.execute(statement, values)

    def _copy(self, statement: str, pieces: Iterator[bytes]) -> None:
        source = _Source(pieces)
        try:
            with self._cursor() as cursor:
                cursor.copy_expert(statement, source)
        except psycopg2.Error:
            if source.problem is not None:
                raise source.problem from None
            raise

    def _cursor(self) -> Any:
        # Not connection.cursor(): the caller may have set a class whose rows are dicts.
        return plain_cursor(self._connection)


class _Source:
    """Pieces as a file to read; what they raise is kept, because the driver passes on only its text."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.problem: BaseException | None = None

    def read(self, size: int) -> bytes:
        """Up to so many bytes, and none at the end."""
        try:
            while not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    return b""
                self._rest = piece
        except BaseException as problem:
            self.problem = problem
            raise
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
