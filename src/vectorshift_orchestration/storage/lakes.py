"""What a lake is asked for: a table as it stands, and one commit that replaces a part of it.

A lake has no locks and no transactions of statements. Its commits are optimistic: each says which state of
the table it was made from, and is refused when another came first. So what locks and a ledger are elsewhere
is here in the commits themselves: each carries the notes of the windows that it wrote.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from vectorshift_orchestration.errors import SchemaMismatch, StorageError
from vectorshift_orchestration.storage.column_types import inexact, is_text, plain_schema
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.tables import INSTANT
from vectorshift_orchestration.windows import Window

NOTES = "vectorshift.windows"
"""The key under which a commit carries its notes, as JSON."""

_PATH = re.compile(r"[^\x00-\x1f/\\]+")
_MOST_DIGITS = 38


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a window: all, or those of a source, or those of no source."""

    time_column: str
    window: Window
    source: str | None = None
    ownerless: bool = False
    """With a source: its rows and those of no source; without: those of no source alone."""


@dataclass(frozen=True, slots=True)
class State:
    """A table at one moment: its columns, the notes of its commits (the oldest first), and what the library made of it."""

    schema: pa.Schema
    notes: tuple[str, ...]
    handle: Any


class Lake(ABC):
    """Tables of one place. Methods raise the library's own errors."""

    exact_texts = True
    errors: tuple[type[Exception], ...]
    conflicts: tuple[type[Exception], ...]
    """Of these errors, those that say that another commit came first."""

    def close(self) -> None:  # noqa: B027  # most lakes hold nothing open
        """Let go of what is open."""

    @abstractmethod
    def address(self, table: TableName) -> str:
        """Where the table is, for messages and metadata."""

    @abstractmethod
    def state(self, table: TableName) -> State | None:
        """The table as it stands; None where it does not exist."""

    @abstractmethod
    def count(self, state: State, rows: Rows) -> int:
        """How many rows these are."""

    @abstractmethod
    def times(self, state: State, rows: Rows) -> Iterable[Any]:
        """The times of these rows."""

    @abstractmethod
    def create(self, table: TableName, schema: pa.Schema) -> None:
        """Make an empty table, unless somebody else just did."""

    @abstractmethod
    def replace(
        self,
        state: State,
        rows: Rows,
        incoming: pa.RecordBatchReader,
        *,
        note: str,
        new: pa.Schema,
        any_there: bool,
    ) -> None:
        """In one commit on the state: give the table `new` columns, replace the rows if there are any, record the note."""


def kept_schema(schema: pa.Schema) -> pa.Schema:
    """The types in which a lake keeps these columns: instants in UTC, whole numbers as int64, texts as strings.

    Raises `SchemaMismatch` for what it would not keep exactly.
    """
    return pa.schema([pa.field(field.name, _kept(field)) for field in plain_schema(schema)])


def fitted(schema: pa.Schema, present: pa.Schema | None, where: str) -> tuple[pa.Schema, pa.Schema]:
    """The rows' columns in the types that the table has for them, and those columns that it lacks.

    Raises `SchemaMismatch` when two of the columns mean the same, or one of the table's would change values.
    """
    expected, new = [], []
    present_fields = {} if present is None else {field.name.lower(): field for field in present}
    names = [name.lower() for name in schema.names]
    for field, stored in zip(schema, kept_schema(schema), strict=True):
        if names.count(field.name.lower()) > 1:
            raise SchemaMismatch(f"Two columns of the rows for {where} are named {field.name!r}.")
        there = present_fields.get(field.name.lower())
        if there is None:
            new.append(stored)
            expected.append(stored)
        elif pa.types.is_null(field.type) or _takes(there.type, stored.type):
            expected.append(pa.field(there.name, _read(there.type)))
        else:
            raise SchemaMismatch(
                f"Column {field.name!r} of {where} is {there.type}, and the rows bring {stored.type}. No row "
                "was changed. Convert the column, or write to another table."
            )
    return pa.schema(expected), pa.schema(new)


def require_path(part: str) -> str:
    """A part of a table's name as a folder's. Raises `StorageError` for what is not one."""
    if not _PATH.fullmatch(part) or part in (".", ".."):
        raise StorageError(f"{part!r} cannot be the name of a table's folder.")
    return part


def _kept(field: pa.Field) -> pa.DataType:
    kind = field.type
    if pa.types.is_uint64(kind):
        return pa.decimal128(20, 0)
    if pa.types.is_decimal(kind) and kind.precision <= _MOST_DIGITS and kind.scale >= 0:
        return pa.decimal128(kind.precision, kind.scale)
    for fits, stored in (
        (pa.types.is_integer, pa.int64()),
        (pa.types.is_floating, pa.float64()),
        (is_text, pa.string()),
        (pa.types.is_boolean, pa.bool_()),
        (pa.types.is_timestamp, INSTANT),
        (pa.types.is_date, pa.date32()),
    ):
        if fits(kind):
            return stored
    raise inexact(field)


def _takes(present: pa.DataType, incoming: pa.DataType) -> bool:
    """Whether a column takes each value exactly; digits that do not fit are an error in Arrow."""
    if pa.types.is_decimal(present) and pa.types.is_decimal(incoming):
        return bool(present.scale >= incoming.scale)
    if pa.types.is_integer(present) and pa.types.is_integer(incoming):
        return True
    return bool(_read(present) == incoming)


def _read(kind: pa.DataType) -> pa.DataType:
    """A type as lakes report it, which differs in the size of offsets or the unit from library to library."""
    if is_text(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return INSTANT
    return kind
