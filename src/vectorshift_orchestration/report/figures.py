"""The figures of landed health tables: sums over time and by dimension, computed in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from vectorshift_orchestration.aggregates.answers import BUCKET_TIME
from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.databases import Database, as_utc
from vectorshift_orchestration.storage.identifiers import TableName, quoted
from vectorshift_orchestration.storage.ledger import Note, overlapping
from vectorshift_orchestration.storage.parts import SOURCE, Part
from vectorshift_orchestration.windows import Window

DIMENSIONS = ("pipeline_id", "model_id", "node_type", "search_type", "feedback_type")
"""Columns by which a table has several rows for one time."""
MESSAGE = "error_message"

Row: TypeAlias = "tuple[Any, ...]"
"""A start or a name, and a figure for each requested column."""


@dataclass(frozen=True, slots=True)
class LandedTable:
    """A landed table: its columns, and what the ledger notes of a window, of all sources, in order of time."""

    name: TableName
    columns: tuple[str, ...]
    notes: tuple[Note, ...]

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What its rows are sliced by, besides time."""
        return tuple(name for name in (*DIMENSIONS, MESSAGE, SOURCE) if name in self.columns)

    def has(self, *columns: str) -> bool:
        """Whether it has all of these columns."""
        return set(columns) <= set(self.columns)


def landed_tables(database: Database, names: Sequence[str], window: Window) -> list[LandedTable]:
    """The tables, those with the fewest dimensions first. Raises `StorageError` for one that is not there."""
    return sorted(
        (_landed_table(database, name, window) for name in names),
        key=lambda table: len(table.dimensions),
    )


def _landed_table(database: Database, name: str, window: Window) -> LandedTable:
    table = database.resolve(TableName.parse(name))
    columns = database.columns(table)
    if columns is None or BUCKET_TIME not in columns:
        problem = "does not exist" if columns is None else f"has no column {BUCKET_TIME}"
        raise StorageError(
            f"Table {name} {problem}. Name tables that health assets or aggregations have written."
        )
    notes = sorted(overlapping(database, Part(table, (window,))), key=lambda note: note.start)
    return LandedTable(table, tuple(columns), tuple(notes))


def over_time(
    database: Database, table: LandedTable, columns: Sequence[str], window: Window
) -> list[Row]:
    """For each bucket of the window its start, aware, and the sum of each column over all slices."""
    at = database.instant_text(BUCKET_TIME)
    rows = _run(database, table, f"{at}, {_sums(columns)}", window, f"GROUP BY {BUCKET_TIME}")
    return sorted((as_utc(at), *map(_number, values)) for at, *values in rows)


def by_slice(
    database: Database,
    table: LandedTable,
    dimension: str,
    columns: Sequence[str],
    window: Window,
    *,
    most: int,
) -> list[Row]:
    """The slices with the greatest sums of the first column: their name and the sum of each column."""
    named = quoted(dimension)
    rows = _run(database, table, f"{named}, {_sums(columns)}", window, f"GROUP BY {named}")
    slices: list[Row] = [(str(name or ""), *map(_number, values)) for name, *values in rows]
    return sorted(slices, key=lambda row: (-(row[1] or 0), row[0]))[:most]


def total(
    database: Database, table: LandedTable, columns: Sequence[str], window: Window
) -> tuple[Any, ...]:
    """The sum of each column over the window; None where it has no rows."""
    ((*values,),) = _run(database, table, _sums(columns), window, "")
    return tuple(map(_number, values))


def _run(
    database: Database, table: LandedTable, chosen: str, window: Window, rest: str
) -> list[tuple[Any, ...]]:
    bounds = [database.instant(window.start), database.instant(window.end)]
    return database.run(
        f"SELECT {chosen} FROM {table.name.sql} "
        f"WHERE {BUCKET_TIME} >= \0 AND {BUCKET_TIME} < \0 {rest}",
        bounds,
    )


def _sums(columns: Sequence[str]) -> str:
    return ", ".join(f"sum({quoted(name)})" for name in columns)


def _number(value: Any) -> int | float | None:
    """A sum as a number to draw; databases give decimals for integers, too."""
    if value is None or isinstance(value, float):
        return value
    return int(value) if value == int(value) else float(value)
