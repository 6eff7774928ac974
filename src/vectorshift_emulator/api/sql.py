"""SQL with its parameters: pages, counts and orders over a condition."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vectorshift_emulator._settings import Settings
from vectorshift_emulator.api.requests import Export, Page
from vectorshift_emulator.api.values import in_file

OLDEST_FIRST = "ORDER BY start_time, start_ns, parent_span_id IS NOT NULL, span_id"


@dataclass(frozen=True)
class Sql:
    """A piece of SQL with the parameters of its question marks."""

    text: str
    parameters: tuple[Any, ...] = ()

    @property
    def arguments(self) -> list[Any]:
        """The parameters as DuckDB takes them."""
        return list(self.parameters)


TRUE = Sql("true")
FALSE = Sql("false")


def joined(pieces: Iterable[Sql], *, any_of: bool = False) -> Sql:
    """All pieces ANDed, or ORed; no pieces exclude nothing."""
    every = list(pieces)
    if not every:
        return TRUE
    text = (" OR " if any_of else " AND ").join(f"({piece.text})" for piece in every)
    return Sql(text, tuple(value for piece in every for value in piece.parameters))


def count(condition: Sql) -> Sql:
    """How many events fulfil the condition."""
    return Sql(f"SELECT count(*) FROM events WHERE {condition.text}", condition.parameters)


def newest_first(settings: Settings, seed: int) -> str:
    """The order of a page; where switch `order` leaves it open, each seed gives another."""
    match settings.order:
        case "total":
            return "ORDER BY start_time DESC, start_ns DESC, span_id"
        case "ties":
            return f"ORDER BY start_time DESC, start_ns DESC, hash(rowid + {seed})"
        case "none":
            return f"ORDER BY hash(rowid + {seed})"


def objects(json: str, condition: Sql, order: str, *, limit: int, offset: int = 0) -> Sql:
    """One JSON text per event: expression `json` over the events of the condition, in order.

    Only row numbers are sorted; the wide rows are fetched for the page alone.
    """
    page = f"SELECT rowid FROM events WHERE {condition.text} {order} LIMIT ? OFFSET ?"
    return Sql(
        f"SELECT {json} FROM events WHERE rowid IN ({page}) {order}",
        (*condition.parameters, limit, offset),
    )


def table_offset(page: Page) -> int:
    """Where a table's page starts: tables page by number and ignore the offset (A3)."""
    return (page.number - 1) * page.size


def export(request: Export, condition: Sql, settings: Settings, *, limit: int | None = None) -> Sql:
    """Every row of an export's table, columns named by their labels, newest first."""
    columns = ", ".join(
        in_file(each, request.extension, settings) for each in request.table.columns
    )
    return Sql(
        f"SELECT {columns} FROM events WHERE {condition.text} "
        "ORDER BY events.start_time DESC, events.start_ns DESC, events.span_id"
        + ("" if limit is None else f" LIMIT {limit}"),
        condition.parameters,
    )
