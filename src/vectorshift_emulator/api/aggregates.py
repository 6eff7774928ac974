"""Aggregations: every operation at every level of the group-by in one statement.

GROUPING SETS compute each total from the events themselves, so percentiles and distinct counts of
a level are never combined from those below. Source: docs/contract.md A4, A5, F, G4-G6.
"""

import duckdb

from vectorshift_emulator._settings import Settings
from vectorshift_emulator.api import buckets
from vectorshift_emulator.api.requests import Aggregation, Aggregator, Operation
from vectorshift_emulator.api.results import Tree
from vectorshift_emulator.api.sql import Sql

VALUES = {
    "RUNS": "CASE WHEN is_run THEN 1 END",
    "ERRORS": "CASE WHEN is_run THEN (status = 'failure')::INTEGER END",
    "TOKENS": "CASE WHEN is_run THEN tokens END",
    "MODEL_COSTS": "CASE WHEN is_run THEN model_costs END",
    "AI_CREDITS": "CASE WHEN is_run THEN ai_credits END",
    "LATENCY": "CASE WHEN is_run THEN latency END",
    "NODE_LATENCY": "node_latency",
    "FEEDBACK": "CASE WHEN feedback_type IS NOT NULL THEN 1 END",
    "USERS": "user_id",
    "START_TIME": "epoch_ms(start_time)",
    "END_TIME": "epoch_ms(end_time)",
    "CREATE": "CASE WHEN span_kind = 'session.create' THEN 1 END",
    "ADD_MESSAGE": "CASE WHEN span_kind = 'session.add_message' THEN 1 END",
}
"""The value of an event for each aggregation field; null counts for nothing."""

FRACTIONAL = {"MODEL_COSTS", "AI_CREDITS", "LATENCY", "NODE_LATENCY"}
"""Fields whose sums need compensation, so that the order of the rows does not show."""

SAMPLE = 8192
"""Values that a sampled percentile reads, as many as ClickHouse's quantile() keeps."""

DISTINCT = 65_536
"""Distinct values up to which an approximate count is exact, as with ClickHouse's uniq()."""
_HALVINGS = 8


def value_of(field: str, settings: Settings) -> str:
    """The value of an event for a field; with switch `absent`, stored columns are never null."""
    if settings.absent == "null":
        return VALUES[field]
    match field:
        case "TOKENS" | "MODEL_COSTS" | "AI_CREDITS" | "LATENCY" | "NODE_LATENCY" | "END_TIME":
            return f"coalesce({VALUES[field]}, 0)"
        case "USERS":
            return "coalesce(user_id, '')"
    return VALUES[field]


def aggregate(operation: Operation, value: str, settings: Settings) -> str:
    """The SQL aggregate of one operation over column `value`."""
    fractional = operation.field in FRACTIONAL
    match operation.aggregator:
        case Aggregator.SUM:
            return f"{'fsum' if fractional else 'sum'}({value})"
        case Aggregator.MEAN:
            return f"{'favg' if fractional else 'avg'}({value})"
        case Aggregator.MIN:
            return f"min({value})"
        case Aggregator.MAX:
            return f"max({value})"
        case Aggregator.COUNT_DISTINCT:
            return f"nullif({distinct(value, settings)}, 0)"
        case Aggregator.PERCENTILE:
            assert operation.percent is not None
            return percentile(value, operation.percent, settings)


def percentile(value: str, percent: int, settings: Settings) -> str:
    """A percentile of a column: between two values, one of the values, or from a sample."""
    match settings.percentile:
        case "linear":
            return f"quantile_cont({value}::DOUBLE, {percent} / 100)"
        case "element":
            ordered = f"list({value} ORDER BY {value}) FILTER ({value} IS NOT NULL)"
            place = f"least(floor({percent} / 100 * count({value}))::BIGINT + 1, count({value}))"
            return f"({ordered})[{place}]"
        case "sampled":
            drawn = f"list({value} ORDER BY draw) FILTER ({value} IS NOT NULL)"
            return (
                f"list_aggregate(({drawn})[:{SAMPLE}]::DOUBLE[], 'quantile_cont', {percent} / 100)"
            )


def distinct(value: str, settings: Settings) -> str:
    """The number of distinct values; approximate ones are counted by a share of their hashes."""
    exact = f"count(DISTINCT {value})"
    if settings.distinct == "exact":
        return exact
    cases = " ".join(
        f"WHEN {exact} <= {DISTINCT << halvings} THEN {1 << halvings} * "
        f"count(DISTINCT CASE WHEN hash({value}) % {1 << halvings} = 0 THEN {value} END)"
        for halvings in range(1, _HALVINGS + 1)
    )
    return f"CASE WHEN {exact} <= {DISTINCT} THEN {exact} {cases} END"


def statement(request: Aggregation, condition: Sql, settings: Settings) -> Sql:
    """All totals and buckets: a row is (depth, labels..., operations...), shallow rows first.

    A bucket in which an operation has no value holds null for it.
    """
    names = [f"label_{number}" for number, _ in enumerate(request.dimensions)]
    labels = [
        f"{buckets.key(dimension, request.interval, settings)} AS {name}"
        for dimension, name in zip(request.dimensions, names, strict=True)
    ]
    fields = sorted({operation.field for operation in request.operations})
    values = [f"{value_of(field, settings)} AS {field.lower()}_value" for field in fields]
    results = [
        aggregate(operation, f"{operation.field.lower()}_value", settings)
        for operation in request.operations
    ]
    levels = ["(" + ", ".join(names[:depth]) + ")" for depth in range(len(names) + 1)]
    depth = " + ".join(f"(1 - grouping({name}))" for name in names)
    selected = ", ".join([*labels, *values, "hash(span_id) AS draw"])
    return Sql(
        f"SELECT {depth} AS depth, {', '.join(names)}, {', '.join(results)} "
        f"FROM (SELECT {selected} FROM events WHERE {condition.text}) "
        f"GROUP BY GROUPING SETS ({', '.join(levels)}) ORDER BY depth, {', '.join(names)}",
        condition.parameters,
    )


def result(
    cursor: duckdb.DuckDBPyConnection, request: Aggregation, condition: Sql, settings: Settings
) -> dict[str, object]:
    """The results by operation label; an operation without any value is absent (G5).

    Every level carries its total beside its map (docs/contract.md A5).
    """
    query = statement(request, condition, settings)
    rows = cursor.execute(query.text, query.arguments).fetchall()
    tree = Tree(len(request.dimensions), settings)
    for depth, *cells in rows:
        path = [
            buckets.label(dimension, key, request.interval, settings)
            for dimension, key in zip(request.dimensions, cells[:depth], strict=False)
        ]
        for operation, value in zip(request.operations, cells[tree.depth :], strict=True):
            if value is not None:
                tree.place(operation.label, path, value)
    return tree.results
