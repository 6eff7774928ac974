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

    def is_open(self) -> bool:
        # The driver begins by itself; what counts is whether the caller has changed something.
        ((transaction,),) = self.run("SELECT pg_current_xact_id_if_assigned()::text")
        return transaction is not None

    def is_lost(self) -> bool:
        self.rollback()
        try:
            self.run("SELECT 1")
        except adbc_driver_manager.Error:
            return True
        return False

    def begin(self, territory: Territory | None = None) -> None:
        self._connection.rollback()
        session = self._connection.adbc_connection
        self._autocommit = session.get_option(_AUTOCOMMIT) == "true"
        if self._autocommit:
            session.set_autocommit(False)
        self._isolate(territory)

    def commit(self) -> None:
        if not self.is_open():
            raise StorageError(ENDED)
        self._connection.adbc_connection.commit()
        self._restore()

    def rollback(self) -> None:
        with suppress(adbc_driver_manager.Error):
            self._connection.rollback() if not self._autocommit else self._undo()

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(marked(statement, "numeric_dollar"), values or None)
            return cast("list[tuple[Any, ...]]", cursor.fetchall()) if cursor.description else []

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

    def _undo(self) -> None:
        self._connection.adbc_connection.rollback()
        self._restore()

    def _restore(self) -> None:
        if self._autocommit:
            self._autocommit = False
            self._connection.adbc_connection.set_autocommit(True)
