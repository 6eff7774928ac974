"""SQLite: one writer at a time holds the file, and DDL is undone with its transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.errors import UnstorableValue
from vectorshift_orchestration.storage.column_types import inexact
from vectorshift_orchestration.storage.dbapi import DbApi
from vectorshift_orchestration.storage.identifiers import TableName, not_a_table, quoted
from vectorshift_orchestration.storage.locks import Territory


class Sqlite(DbApi):
    """An open connection of `sqlite3`."""

    transactional_ddl = True
    exact_texts = True
    is_tested = True

    def is_lost(self) -> bool:
        return False  # the database is in this process: a COMMIT that failed was not done

    def begin(self, territory: Territory | None = None) -> None:
        self.run("BEGIN" if territory is None else "BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.run("COMMIT")

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        factory, self._connection.text_factory = self._connection.text_factory, str
        try:
            return super().run(statement, values)
        finally:
            self._connection.text_factory = factory

    def columns(self, table: TableName) -> dict[str, str] | None:
        rows = self.run(
            "SELECT name, type FROM pragma_table_info(\0, coalesce(\0, 'main'))",
            [table.name, table.schema],
        )
        views = f"{quoted(table.schema or 'main')}.sqlite_master WHERE type = 'view'"
        if rows and self.run(
            f"SELECT 1 FROM {views} AND lower(name) = \0", [self.fold(table.name)]
        ):
            raise not_a_table(table, "view")
        return {name: kind for name, kind in rows} or None

    def instant(self, instant: datetime) -> str:
        naive: datetime = super().instant(instant)
        return naive.isoformat(" ", "microseconds")

    def _cursor(self) -> Any:
        cursor = self._connection.cursor()
        cursor.row_factory = None
        return cursor

    def _refuse_doubles(self, table: TableName, schema: pa.Schema) -> None:
        pass  # the type of each column is known

    def _values(self, column: pa.Array, name: str, row: int) -> list[Any]:
        kind = column.type
        if pa.types.is_floating(kind):
            lost = pc.index(pc.is_nan(column), True).as_py()
            if lost >= 0:
                raise UnstorableValue(
                    f"Row {row + lost + 1} has NaN in column {name!r}, which SQLite would make "
                    "NULL. No row was changed.",
                    row=row + lost + 1,
                    column=name,
                )
        if pa.types.is_decimal(kind):
            return [None if value is None else f"{value:f}" for value in column.to_pylist()]
        if pa.types.is_date(kind):
            column = column.cast(pa.string())
        return super()._values(column, name, row)

    def _naive(self, times: pa.Array) -> list[Any]:
        return super()._naive(times.cast(pa.string()))

    def _column_type(self, field: pa.Field) -> str:
        if pa.types.is_decimal(field.type):
            return "TEXT"  # SQLite would keep a float: as text it stays exact
        if pa.types.is_uint64(field.type):
            raise inexact(field)
        return super()._column_type(field)
