"""What an event must fulfil, as SQL: kinds, instants and filters, read as the switches say."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

import duckdb

from vectorshift_emulator._settings import Settings
from vectorshift_emulator.api.columns import DATA, Column
from vectorshift_emulator.api.requests import (
    AnyOf,
    Comparison,
    Conditions,
    Filter,
    Kind,
    Matches,
    Operand,
)
from vectorshift_emulator.api.sql import FALSE, Sql, joined
from vectorshift_emulator.api.values import expression

BOUND_OPERATORS = {
    "closed": (">=", "<="),
    "open": (">", "<"),
    "half-open": (">=", "<"),
    "open-closed": (">", "<="),
}
GRID = {"us": 1, "ms": 1_000, "s": 1_000_000}
"""Microseconds between two instants that a request can name, by switch `bound_precision`."""

_START = DATA["SPAN_START_TIME"]


class FailedQuery(ValueError):
    """A query that the service's database cannot run; the text is its own."""


def where(conditions: Conditions, settings: Settings) -> Sql:
    """The condition on an event: kinds, times and pinned filters AND the joined filters (G2)."""
    after, before = BOUND_OPERATORS[settings.bounds]
    bounds = ((conditions.start, after), (conditions.end, before))
    return joined(
        [
            *(instant(_START, how, bound, settings) for bound, how in bounds if bound is not None),
            kinds(conditions.kinds),
            *(filter_(pinned, settings) for pinned in conditions.pinned),
            joined(
                (filter_(each, settings) for each in conditions.filters),
                any_of=conditions.any_of,
            ),
        ]
    )


def kinds(selected: Iterable[Kind]) -> Sql:
    """Spans of any of the kinds; no kinds exclude nothing."""
    return joined(map(kind, selected), any_of=True)


def kind(selected: Kind) -> Sql:
    """Spans of one kind; variant `all` is any span of the entity (docs/contract.md G8)."""
    if selected.variant == "all":
        return Sql("entity = ?", (selected.entity,))
    return Sql("span_kind = ?", (f"{selected.entity}.{selected.variant}",))


def filter_(condition: Filter, settings: Settings) -> Sql:
    """The condition of one filter."""
    match condition:
        case Comparison():
            return comparison(condition, settings)
        case Matches():
            return matches(condition, settings)
        case AnyOf():
            return any_of(condition, settings)


def comparison(condition: Comparison, settings: Settings) -> Sql:
    """A column compared with a value; a list column equals what it contains."""
    column, value = condition.column, condition.value
    if isinstance(value, datetime):
        return instant(column, condition.operator, value, settings)
    if column.type == "users":
        return Sql(f"list_contains({column.stored}, ?)", (value,))
    if column.type == "status":
        return Sql(f"lower({column.stored}) {condition.operator} lower(?)", (value,))
    return Sql(f"{text_of(column, settings)} {condition.operator} ?", (value,))


def instant(column: Column, operator: str, moment: datetime, settings: Settings) -> Sql:
    """A time column compared with an instant, which is cut first."""
    value = stored(moment, settings)
    plain = Sql(f"{expression(column, settings)} {operator} ?", (value,))
    if column is not _START:
        return plain
    # What a start has beyond its microsecond lies in a column of its own.
    match operator:
        case ">":
            return Sql("start_time >= ? AND (start_time > ? OR start_ns > 0)", (value, value))
        case "<=":
            return Sql("start_time <= ? AND (start_time < ? OR start_ns = 0)", (value, value))
        case "=":
            return Sql("start_time = ? AND start_ns = 0", (value,))
    return plain


def matches(condition: Matches, settings: Settings) -> Sql:
    """A regex search, case-sensitive but for STATUS (G7).

    Raises:
        FailedQuery: the pattern does not compile, and switch `matches` does not let that pass.
    """
    column, pattern = condition.column, condition.pattern
    options = "i" if column.type == "status" else "c"
    if settings.matches == "clickhouse":
        if problem := regex_problem(pattern):
            raise FailedQuery(
                f"Code: 427. DB::Exception: OptimizedRegularExpression: cannot compile re2: "
                f"{pattern}, error: {problem}. (CANNOT_COMPILE_REGEXP)"
            )
        test = f"regexp_matches({{}}, ?, '{options}s')"
    elif regex_problem(pattern) is None:
        test = f"regexp_matches({{}}, ?, '{options}')"
    elif column.type == "status":
        test = "contains(lower({}), lower(?))"
    else:
        test = "contains({}, ?)"
    if column.type == "users":
        matching = f"list_filter({column.stored}, lambda name: {test.format('name')})"
        return Sql(f"len({matching}) > 0", (pattern,))
    return Sql(test.format(text_of(column, settings)), (pattern,))


def any_of(condition: AnyOf, settings: Settings) -> Sql:
    """A column equal to any value, a list column that shares one; no values match nothing."""
    column, values = condition.column, condition.values
    if not values:
        return FALSE
    if column.type == "time":
        each = (Comparison(column, "=", value) for value in values)
        return joined((comparison(one, settings) for one in each), any_of=True)
    marks = ", ".join("?" for _ in values)
    if column.type == "users":
        return Sql(f"list_has_any({column.stored}, [{marks}])", values)
    if column.type == "status":
        return Sql(f"lower({column.stored}) IN ({', '.join('lower(?)' for _ in values)})", values)
    return Sql(f"{text_of(column, settings)} IN ({marks})", values)


def text_of(column: Column, settings: Settings) -> str:
    """The expression that filters compare: JSON as its compact text, the rest as it is."""
    if column.type == "json":
        return f"{column.stored}::VARCHAR"
    return expression(column, settings)


@lru_cache(maxsize=1024)
def regex_problem(pattern: str) -> str | None:
    """Why the engine does not compile `pattern`, None when it does."""
    with duckdb.connect(":memory:") as engine:
        try:
            engine.execute("SELECT regexp_matches('', ?)", [pattern])
        except duckdb.Error as error:
            return str(error).partition("\n")[0]
    return None


def stored(moment: Operand, settings: Settings) -> datetime:
    """An instant as table `events` holds it, naive UTC, cut as switch `bound_precision` says."""
    assert isinstance(moment, datetime)
    grid = GRID[settings.bound_precision]
    naive = moment.astimezone(UTC).replace(tzinfo=None)
    return naive.replace(microsecond=naive.microsecond // grid * grid)
