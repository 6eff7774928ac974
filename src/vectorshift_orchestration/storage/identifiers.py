"""Names of tables and columns, quoted so that any name is only ever a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from vectorshift_orchestration.errors import StorageError


def quoted(name: str) -> str:
    """An SQL identifier, whatever it contains. Raises `StorageError` for one no database takes."""
    if not name or "\0" in name:
        raise StorageError(f"{name!r} cannot be the name of a table or a column.")
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class TableName:
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
            raise StorageError(f"{text!r} is no table name. Write table or schema.table.")
        name, *qualifiers = reversed(parts)
        return cls(name, *qualifiers)

    def beside(self, name: str) -> TableName:
        """Another table in the same schema."""
        return TableName(name, self.schema, self.database)

    @property
    def sql(self) -> str:
        """The name for a statement, every part quoted."""
        return ".".join(quoted(part) for part in (self.database, self.schema, self.name) if part)

    @property
    def schema_sql(self) -> str | None:
        """The schema for a statement, or None for the connection's own."""
        return ".".join(quoted(part) for part in (self.database, self.schema) if part) or None
