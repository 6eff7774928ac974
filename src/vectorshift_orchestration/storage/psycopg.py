"""PostgreSQL over a psycopg 3 connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.pq import PipelineStatus
from psycopg.rows import tuple_row

from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.postgres import CopyingPostgres


class Psycopg(CopyingPostgres):
    """An open psycopg connection, autocommit or not."""

    errors = (psycopg.Error,)

    def __init__(self, connection: Any) -> None:
        if isinstance(connection, psycopg.AsyncConnection):
            raise StorageError(
                "Give a psycopg.Connection: an AsyncConnection cannot be awaited here."
            )
        if connection.pgconn.pipeline_status != PipelineStatus.OFF:
            raise StorageError(
                "The connection is in pipeline mode, which takes no COPY and reports errors late. "
                "Write outside of connection.pipeline()."
            )
        self._connection = connection

    def _end(self, verb: str) -> None:
        getattr(self._connection, verb.lower())()

    def _execute(self, cursor: Any, statement: str, values: tuple[Any, ...]) -> None:
        # Behind a pooler, a name that was prepared may be another session's.
        cursor.execute(statement, values, prepare=False)

    def _copy(self, statement: str, pieces: Iterator[bytes]) -> None:
        with self._cursor() as cursor, cursor.copy(statement) as copy:
            for piece in pieces:
                copy.write(piece)

    def _cursor(self) -> Any:
        # Not connection.cursor(): the caller may have set a row factory or a class of cursors.
        return psycopg.Cursor(self._connection, row_factory=tuple_row)
