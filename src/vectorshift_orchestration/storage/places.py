"""The rows of a part in its table: whose they are, how many, and that they are those that were sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.databases import Database, as_utc
from vectorshift_orchestration.storage.identifiers import quoted
from vectorshift_orchestration.storage.incoming import Incoming
from vectorshift_orchestration.storage.ledger import taken
from vectorshift_orchestration.storage.parts import SOURCE, Part


@dataclass(frozen=True, slots=True)
class Place:
    """The rows of a part, inside the transaction that replaces them."""

    database: Database
    part: Part
    time_column: str

    def claim(self, replace_other: bool) -> None:
        """Raise `WindowTakenError` for rows in the window of which no source is told.

        Nobody knows whether they are this source's, in which case they would be there twice.
        """
        if self.part.source is None or replace_other:
            return
        ownerless = f" AND {quoted(SOURCE)} IS NULL"
        if self._ask("count(*)", self._window() + ownerless, self._edges())[0]:
            raise taken(self.part, f"rows without a {SOURCE}")

    def clear(self, replace_other: bool) -> int:
        """Delete the rows of the part, with those of no source if they may go; their number."""
        condition, values = self._condition()
        if self.part.source is not None and replace_other:
            condition = f"{self._window()} AND ({quoted(SOURCE)} = \0 OR {quoted(SOURCE)} IS NULL)"
        return self.database.changed(f"DELETE FROM {self.part.table.sql} WHERE {condition}", values)

    def require(self, sent: Incoming) -> int:
        """The number of rows in the table. Raises `StorageError` unless they are those that were sent."""
        time = quoted(self.time_column)
        ends = ", ".join(self.database.instant_text(f"{end}({time})") for end in ("min", "max"))
        count, first, last = self._ask(f"count(*), {ends}", *self._condition())
        if count != sent.rows:
            raise StorageError(
                f"{self.part} was not changed: {sent.rows:,} rows were inserted, and then the table "
                f"held {count:,} of it. A trigger, a rule or a view changes what is written, or "
                "somebody else writes there now. Write to a table of its own."
            )
        if count and (as_utc(first), as_utc(last)) != (_utc(sent.first), _utc(sent.last)):
            raise StorageError(
                f"{self.part} was not changed: its times from {_utc(sent.first)} to "
                f"{_utc(sent.last)} came out of {self.time_column!r} as {first} to {last}. The "
                "database, or the session's time zone, changes them: this driver cannot be used "
                "with such a column."
            )
        return int(count)

    def _window(self) -> str:
        column = quoted(self.time_column)
        return f"{column} >= \0 AND {column} < \0"

    def _edges(self) -> list[Any]:
        window = self.part.window
        return [self.database.instant(window.start), self.database.instant(window.end)]

    def _condition(self) -> tuple[str, list[Any]]:
        if self.part.source is None:
            return self._window(), self._edges()
        return f"{self._window()} AND {quoted(SOURCE)} = \0", [*self._edges(), self.part.source]

    def _ask(self, what: str, condition: str, values: list[Any]) -> tuple[Any, ...]:
        (row,) = self.database.run(
            f"SELECT {what} FROM {self.part.table.sql} WHERE {condition}", values
        )
        return row


def _utc(instant: datetime | None) -> datetime:
    assert instant is not None
    return as_utc(instant)
