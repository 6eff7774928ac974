"""The rows of a part in its table: whose they are, how many, and that they are those that were sent."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.databases import Database, as_utc
from vectorshift_orchestration.storage.identifiers import quoted
from vectorshift_orchestration.storage.incoming import Span
from vectorshift_orchestration.storage.ledger import taken
from vectorshift_orchestration.storage.parts import SOURCE, Part


@dataclass(frozen=True, slots=True)
class Place:
    """The rows of a part, inside the transaction that replaces them."""

    database: Database
    part: Part
    time_column: str

    def claim(self, replace_other: bool) -> None:
        """Raise `WindowTakenError` for rows in the window without a source.

        Nobody knows whether they are this source's, in which case they would be there twice.
        """
        if self.part.source is None or replace_other:
            return
        ownerless = f"{self._window()} AND {quoted(SOURCE)} IS NULL"
        ask = f"SELECT count(*) FROM {self.part.table.sql} WHERE {ownerless}"
        ((count,),) = self.database.run(ask, self._edges())
        if count:
            raise taken(self.part, f"rows without a {SOURCE}")

    def clear(self, replace_other: bool) -> list[int]:
        """Delete the rows of the part, with those of no source if they may go; how many of each window."""
        condition, values = self._condition()
        if self.part.source is not None and replace_other:
            condition = f"{self._window()} AND ({quoted(SOURCE)} = \0 OR {quoted(SOURCE)} IS NULL)"
        several = len(self.part.windows) > 1
        held = self._spans(condition, values) if several else []
        delete = f"DELETE FROM {self.part.table.sql} WHERE {condition}"
        deleted = self.database.changed(delete, values)
        return [each.rows for each in held] if several else [deleted]

    def require(self, sent: Sequence[Span]) -> None:
        """Raise `StorageError` unless each window of the table holds the rows that were sent."""
        for window, written, stored in zip(
            self.part.windows, sent, self._spans(*self._condition()), strict=True
        ):
            part = self.part.only(window)
            if stored.rows != written.rows:
                raise StorageError(
                    f"{part} was not changed: {written.rows:,} rows were inserted, and then the table "
                    f"held {stored.rows:,} of it. A trigger, a rule or a view changes what is written, "
                    "or another writer changes it now. Write to a separate table."
                )
            if stored != written:
                raise StorageError(
                    f"{part} was not changed: its times from {written.first} to {written.last} came out of "
                    f"{self.time_column!r} as {stored.first} to {stored.last}. The database, or the "
                    "session's time zone, changes them: this driver cannot be used with such a column."
                )

    def _spans(self, condition: str, values: list[Any]) -> list[Span]:
        """The content of each window. Several are distinguished by their times, which are few."""
        time = quoted(self.time_column)
        ends = [self.database.instant_text(f"{end}({time})") for end in ("min", "max")]
        grouped = f" GROUP BY {time}" if len(self.part.windows) > 1 else ""
        rows = self.database.run(
            f"SELECT count(*), {', '.join(ends)} FROM {self.part.table.sql} WHERE {condition}{grouped}",
            values,
        )
        starts = [window.start for window in self.part.windows]
        spans = [Span() for _ in starts]
        for count, first, last in rows:
            if count:
                place = bisect_right(starts, self._instant(first)) - 1
                spans[max(place, 0)].add(int(count), self._instant(first), self._instant(last))
        return spans

    def _instant(self, value: Any) -> datetime:
        try:
            return as_utc(value)
        except ValueError:
            raise StorageError(
                f"{self.part} was not changed: {self.time_column!r} holds {value!r}, which is not a time."
            ) from None

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
