"""Requests as SQL: small pure functions from the values of `requests.py` to (text, parameters)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import duckdb

from vectorshift_emulator._settings import Bounds
from vectorshift_emulator.api.columns import Column
from vectorshift_emulator.api.requests import (
    AnyOf,
    Comparison,
    Conditions,
    Filter,
    Kind,
    Matches,
    Operand,
    Page,
    Table,
    TableColumn,
)

BOUND_OPERATORS: dict[Bounds, tuple[str, str]] = {
    "closed": (">=", "<="),
    "open": (">", "<"),
    "half-open": (">=", "<"),
    "open-closed": (">", "<="),
}
NEWEST_FIRST = "ORDER BY start_time DESC, span_id"
OLDEST_FIRST = "ORDER BY start_time, parent_span_id IS NOT NULL, span_id"


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


def where(conditions: Conditions, bounds: Bounds = "closed") -> Sql:
    """The condition on an event: kinds, times and pinned filters AND the joined filters (G2)."""
    after, before = BOUND_OPERATORS[bounds]
    return joined(
        [
            *times(conditions.start, after),
            *times(conditions.end, before),
            kinds(conditions.kinds),
            *map(filter_, conditions.pinned),
            joined(map(filter_, conditions.filters), any_of=conditions.any_of),
        ]
    )


def times(bound: datetime | None, operator: str) -> list[Sql]:
    """The condition of one bound on the start time, if there is one."""
    return [] if bound is None else [Sql(f"start_time {operator} ?", (stored(bound),))]


def kinds(wanted: Iterable[Kind]) -> Sql:
    """Spans of any of the kinds; no kinds exclude nothing."""
    return joined(map(kind, wanted), any_of=True)


def kind(wanted: Kind) -> Sql:
    """Spans of one kind; variant `all` is any span of the entity (CONTRACT.md G8)."""
    if wanted.variant == "all":
        return Sql("entity = ?", (wanted.entity,))
    return Sql("span_kind = ?", (f"{wanted.entity}.{wanted.variant}",))


def filter_(condition: Filter) -> Sql:
    """The condition of one filter."""
    match condition:
        case Comparison():
            return comparison(condition)
        case Matches():
            return matches(condition)
        case AnyOf():
            return any_of(condition)


def comparison(condition: Comparison) -> Sql:
    """A column compared with a value; a list column equals what it contains."""
    column, value = condition.column, stored(condition.value)
    if column.type == "users":
        return Sql(f"list_contains({column.stored}, ?)", (value,))
    if column.type == "status":
        return Sql(f"lower({column.stored}) {condition.operator} lower(?)", (value,))
    return Sql(f"{text_of(column)} {condition.operator} ?", (value,))


def matches(condition: Matches) -> Sql:
    """A regex search, case-sensitive but for STATUS; substring when it is no regex (G7)."""
    column, pattern = condition.column, condition.pattern
    if is_regex(pattern):
        options = "'i'" if column.type == "status" else "'c'"
        test = f"regexp_matches({{}}, ?, {options})"
    elif column.type == "status":
        test = "contains(lower({}), lower(?))"
    else:
        test = "contains({}, ?)"
    if column.type == "users":
        found = f"list_filter({column.stored}, lambda name: {test.format('name')})"
        return Sql(f"len({found}) > 0", (pattern,))
    return Sql(test.format(text_of(column)), (pattern,))


def any_of(condition: AnyOf) -> Sql:
    """A column equal to any value, a list column that shares one; no values match nothing."""
    column, values = condition.column, tuple(map(stored, condition.values))
    if not values:
        return FALSE
    marks = ", ".join("?" for _ in values)
    if column.type == "users":
        return Sql(f"list_has_any({column.stored}, [{marks}])", values)
    if column.type == "status":
        return Sql(f"lower({column.stored}) IN ({', '.join('lower(?)' for _ in values)})", values)
    return Sql(f"{text_of(column)} IN ({marks})", values)


def text_of(column: Column) -> str:
    """The expression that filters compare: JSON as its compact text, the rest as it is."""
    return f"{column.stored}::VARCHAR" if column.type == "json" else column.stored


@lru_cache(maxsize=1024)
def is_regex(pattern: str) -> bool:
    """Whether the engine compiles `pattern`."""
    with duckdb.connect(":memory:") as engine:
        try:
            engine.execute("SELECT regexp_matches('', ?)", [pattern])
        except duckdb.Error:
            return False
    return True


def stored(value: Operand) -> Operand:
    """A value as table `events` holds it: instants are naive UTC."""
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def instant(column: str) -> str:
    """RFC3339 text, `Z`, milliseconds; null stays null."""
    return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%gZ')"


def count(condition: Sql) -> Sql:
    """How many events fulfil the condition."""
    return Sql(f"SELECT count(*) FROM events WHERE {condition.text}", condition.parameters)


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


def export(table: Table, condition: Sql) -> Sql:
    """Every row of the table, typed columns named by their labels, newest first."""
    selected = ", ".join(map(export_column, table.columns))
    return Sql(
        f"SELECT {selected} FROM events WHERE {condition.text} "
        "ORDER BY events.start_time DESC, events.span_id",
        condition.parameters,
    )


def export_column(column: TableColumn) -> str:
    """One column of an export under its label."""
    return f"{column.column.stored} AS {quoted(column.label)}"


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
