"""PostgreSQL over an ADBC connection: the same table and locks, rows ingested from Arrow.

The driver sends binary COPY into the named columns, inside the transaction of the connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, cast

import adbc_driver_manager
import pyarrow as pa

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.identifiers import TableName, marked
from vectorshift_orchestration.storage.locks import Territory
from vectorshift_orchestration.storage.postgres import ENDED, Postgres
from vectorshift_orchestration.storage.postgres_types import exact

_AUTOCOMMIT = "adbc.connection.autocommit"


class AdbcPostgres(Postgres):
    """An open connection of `adbc_driver_postgresql.dbapi`, autocommit or not."""

    errors = (adbc_driver_manager.Error,)

    def __init__(self, connection: Any) -> None:
        try:
            vendor = connection.adbc_get_info().get("vendor_name")
        except adbc_driver_manager.Error as problem:
            raise StorageError(f"The ADBC connection cannot be used: {problem}.") from problem
        if vendor != "PostgreSQL":
            raise StorageError(
                f"Through ADBC only PostgreSQL is written, not {vendor}. Use its own driver."
            )
        self._connection = connection
        self._autocommit = False
        self._transaction: str | None = None

    def is_open(self) -> bool:
        # The driver begins by itself; what counts is whether the caller has changed something.
        try:
            return self._assigned() is not None
        except adbc_driver_manager.Error:
            if self._is_autocommit():
                return False  # behind a pooler, which keeps no statement outside of a transaction
            raise

    def is_lost(self) -> bool:
        self.rollback()
        try:
            self.begin()
        except adbc_driver_manager.Error:
            return True
        self.rollback()
        return False

    def begin(self, territory: Territory | None = None) -> None:
        self._connection.rollback()
        self._autocommit = self._is_autocommit()
        if self._autocommit:
            self._connection.adbc_connection.set_autocommit(False)
        self._isolate(territory)
        self._transaction = None
        if territory is not None:
            ((self._transaction,),) = self.run("SELECT pg_current_xact_id()::text")

    def commit(self) -> None:
        if self._transaction is not None and self._assigned() != self._transaction:
            raise StorageError(ENDED)
        self._connection.adbc_connection.commit()
        self._restore()

    def rollback(self) -> None:
        with suppress(adbc_driver_manager.Error):
            self._connection.rollback() if not self._autocommit else self._undo()

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(marked(statement, "numeric_dollar"), values or None)
            try:
                rows = cursor.fetchall() if cursor.description else []
            except (OSError, pa.ArrowException) as problem:
                # Rows come as a stream of Arrow, which reports a lost connection in its own way.
                raise _as_errors_are(problem) from problem
        return cast("list[tuple[Any, ...]]", rows)

    def changed(self, statement: str, values: Sequence[Any] = ()) -> int:
        ((count,),) = self.run(
            f"WITH changed AS ({statement} RETURNING 1) SELECT count(*) FROM changed", values
        )
        return cast(int, count)

    def load(self, table: TableName, batches: Iterable[pa.RecordBatch]) -> int:
        present = self.columns(table) or {}
        rows = 0
        for batch in batches:
            with self._connection.cursor() as cursor:
                cursor.adbc_ingest(
                    table.name,
                    exact(batch, present, rows),
                    mode="append",
                    db_schema_name=table.schema,
                )
            rows += batch.num_rows
            failpoint("sql.loading")
        return rows

    def _assigned(self) -> str | None:
        """The transaction's number, if it has one: it gets it when it changes something."""
        ((number,),) = self.run("SELECT pg_current_xact_id_if_assigned()::text")
        return cast("str | None", number)

    def _is_autocommit(self) -> bool:
        option: str = self._connection.adbc_connection.get_option(_AUTOCOMMIT)
        return option == "true"

    def _undo(self) -> None:
        self._connection.adbc_connection.rollback()
        self._restore()

    def _restore(self) -> None:
        if self._autocommit:
            self._autocommit = False
            self._connection.adbc_connection.set_autocommit(True)


def _as_errors_are(problem: Exception) -> adbc_driver_manager.Error:
    status = adbc_driver_manager.AdbcStatusCode.IO
    return adbc_driver_manager.OperationalError(str(problem), status_code=status)
