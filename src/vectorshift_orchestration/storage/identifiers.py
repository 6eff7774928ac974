"""Names of tables and columns, quoted so that any name is only ever a name; and values, bound and read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace

from vectorshift_orchestration.errors import StorageError

VALUE = "\0"
"""Stands for a bound value in our statements. No identifier can hold it, so none is taken for one."""

ICEBERG_NAMESPACE = "default"
"""Of an Iceberg table whose name has none."""

_QUOTED = re.compile(r'"((?:[^"]|"")+)"')

_MARKERS: dict[str, Callable[[int], str]] = {
    "qmark": lambda position: "?",
    "format": lambda position: "%s",
    "pyformat": lambda position: "%s",
    "numeric": lambda position: f":{position}",
    "numeric_dollar": lambda position: f"${position}",
    "named": lambda position: f":v{position}",
}


def quoted(name: str) -> str:
    """An SQL identifier, whatever it contains. Raises `StorageError` for one no database takes."""
    if not name or "\0" in name:
        raise StorageError(f"{name!r} cannot be the name of a table or a column.")
    return '"' + name.replace('"', '""') + '"'


def listed(names: Sequence[str]) -> str:
    """Identifiers for a statement, with commas between them."""
    return ", ".join(quoted(name) for name in names)


def marked(statement: str, style: str) -> str:
    """The statement with each `VALUE` as the driver's `paramstyle` writes it (PEP 249).

    Raises `StorageError` for a style that PEP 249 does not know.
    """
    if style not in _MARKERS:
        raise StorageError(f"The driver's paramstyle is {style!r}, which no statement can be in.")
    marker = _MARKERS[style]
    if marker(1) == "%s":
        statement = statement.replace("%", "%%")
    first, *rest = statement.split(VALUE)
    return first + "".join(marker(position) + part for position, part in enumerate(rest, 1))


def respelled(statement: str, spell: Callable[[str], str]) -> str:
    """One of our statements, whose only double quotes are those of `quoted`, with its names in another spelling."""
    return _QUOTED.sub(lambda match: spell(match[1].replace('""', '"')), statement)


def bound(values: Sequence[Any], style: str) -> Sequence[Any] | dict[str, Any]:
    """The values in the form that goes with `marked`."""
    if style == "named":
        return {f"v{position}": value for position, value in enumerate(values, 1)}
    return values


def as_text(value: Any) -> Any:
    """Text that a driver gives as bytes, as text; any other value as it is."""
    return bytes(value).decode(errors="replace") if isinstance(value, bytes | bytearray) else value


class TableName(Struct, frozen=True):
    """A table, perhaps in a schema, perhaps in a database."""

    name: str
    schema: str | None = None
    database: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """A name from `table`, `schema.table` or `database.schema.table`.

        Raises `StorageError` for an empty part or more than three.
        """
        parts = text.split(".")
        if len(parts) > 3 or not all(part.strip() for part in parts):
            raise StorageError(f"{text!r} is not a table name. Write table or schema.table.")
        name, *qualifiers = reversed(parts)
        return cls(name, *qualifiers)

    def beside(self, name: str) -> Self:
        """Another table in the same schema."""
        return replace(self, name=name)

    def within(self, schema: str, database: str | None = None) -> Self:
        """The same table with the schema and the database that its name leaves open."""
        return replace(self, schema=self.schema or schema, database=self.database or database)

    @property
    def dotted(self) -> str:
        """The name as people write it."""
        return ".".join(self.parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are known, the widest first."""
        return tuple(part for part in (self.database, self.schema, self.name) if part)

    @property
    def sql(self) -> str:
        """The name for a statement, every part quoted."""
        return ".".join(quoted(part) for part in self.parts)

    @property
    def schema_sql(self) -> str | None:
        """The schema for a statement, or None for the connection's own."""
        return ".".join(quoted(part) for part in self.parts[:-1]) or None


def not_a_table(table: TableName, kind: str) -> StorageError:
    """The error for a name that something else than a table has."""
    return StorageError(
        f"{table.sql} is a {kind}, and windows are replaced in tables only. Name the table itself."
    )
