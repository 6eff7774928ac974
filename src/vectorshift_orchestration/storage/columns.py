"""Make a table fit the rows: create it, add what it lacks, refuse what would change a value."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from vectorshift_orchestration.errors import SchemaMismatch
from vectorshift_orchestration.storage.column_types import plain_schema
from vectorshift_orchestration.storage.databases import Database
from vectorshift_orchestration.storage.identifiers import TableName


def fit(
    database: Database,
    table: TableName,
    schema: pa.Schema,
    *,
    primary_key: Sequence[str] = (),
    checked: bool = True,
) -> tuple[str, ...]:
    """Create the table or add the columns it lacks; returns the columns that an old table gained.

    Nothing is dropped, reordered or retyped. With `checked=False` the types of the table's columns are
    taken as they are. Raises `SchemaMismatch` when a column of the table
    would round, cut or shift the values that come, and when two columns of the rows mean the same.
    """
    expected = database.types(plain_schema(schema))
    names = [database.fold(name) for name in schema.names]
    twice = [
        name for name, folded in zip(schema.names, names, strict=True) if names.count(folded) > 1
    ]
    if twice:
        raise SchemaMismatch(
            f"Two columns of the rows for {table.sql} are named {twice[0]!r}. Rename one of them."
        )
    existing = database.columns(table)
    if existing is None:
        database.create(table, expected, primary_key)
        existing = database.columns(table) or expected
    present = {database.fold(name): kind for name, kind in existing.items()}
    missing = [name for name in expected if database.fold(name) not in present]
    for name in missing:
        database.add_column(table, name, expected[name])
    for field in schema if checked else ():
        if pa.types.is_null(field.type):
            continue  # nulls go into a column of any type
        kind = expected[field.name]
        _check(database, table, field, kind, present.get(database.fold(field.name), kind))
    return tuple(missing)


def _check(
    database: Database, table: TableName, field: pa.Field, incoming: str, present: str
) -> None:
    if incoming == present or database.accepts(incoming, present):
        return
    why = ""
    if incoming == database.time_type:
        why = f" Times are stored as {incoming} in UTC."
    elif pa.types.is_decimal(field.type):
        why = " Amounts are exact decimals, which another type could round."
    raise SchemaMismatch(
        f"Column {field.name!r} of {table.sql} is {present}, and the rows bring {incoming}. No row "
        f"was changed. Convert the column with ALTER TABLE, or write to another table.{why}"
    )
