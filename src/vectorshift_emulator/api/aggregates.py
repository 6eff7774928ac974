"""Aggregations: every operation at every level of the group-by in one statement.

GROUPING SETS compute each total from the events themselves, so percentiles and distinct counts of
a level are exact and never combined from those below. Source: CONTRACT.md A4, A5, F, G4-G6.
"""

from collections.abc import Callable
from typing import Any

import duckdb

from vectorshift_emulator.api.requests import Aggregation, Aggregator, Operation
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

LABELS = {
    "MODEL_ID": "model_id",
    "PIPELINE_ID": "pipeline_id",
    "FEEDBACK_TYPE": "feedback_type",
    "SEARCH_TYPE": "search_type",
    "NODE_TYPE": "node_type",
}
"""The column of each dimension but TIME."""


def label(dimension: str, interval: str | None) -> str:
    """The label of an event's bucket: UTC bucket start, weeks from Monday; null is "" (G4)."""
    if dimension == "TIME":
        bucket = f"date_trunc('{interval}', start_time)::TIMESTAMP"
        return f"strftime({bucket}, '%Y-%m-%dT%H:%M:%SZ')"
    return f"coalesce({LABELS[dimension]}, '')"


def aggregate(operation: Operation, value: str) -> str:
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
            return f"nullif(count(DISTINCT {value}), 0)"
        case Aggregator.PERCENTILE:
            return f"quantile_cont({value}::DOUBLE, {operation.percent} / 100)"


def statement(request: Aggregation, condition: Sql) -> Sql:
    """All totals and buckets: a row is (depth, labels..., operations...), shallow rows first.

    A bucket in which an operation has no value holds null for it.
    """
    names = [f"label_{number}" for number, _ in enumerate(request.dimensions)]
    labels = [
        f"{label(dimension, request.interval)} AS {name}"
        for dimension, name in zip(request.dimensions, names, strict=True)
    ]
    fields = sorted({operation.field for operation in request.operations})
    values = [f"{VALUES[field]} AS {field.lower()}_value" for field in fields]
    results = [
        aggregate(operation, f"{operation.field.lower()}_value") for operation in request.operations
    ]
    levels = ["(" + ", ".join(names[:depth]) + ")" for depth in range(len(names) + 1)]
    depth = " + ".join(f"(1 - grouping({name}))" for name in names)
    return Sql(
        f"SELECT {depth} AS depth, {', '.join(names)}, {', '.join(results)} "
        f"FROM (SELECT {', '.join(labels + values)} FROM events WHERE {condition.text}) "
        f"GROUP BY GROUPING SETS ({', '.join(levels)}) ORDER BY depth, {', '.join(names)}",
        condition.parameters,
    )


def result(
    cursor: duckdb.DuckDBPyConnection,
    request: Aggregation,
    condition: Sql,
    name: Callable[[str], str],
) -> dict[str, Any]:
    """The results by operation label; an operation without any value is absent (G5).

    Every level carries its total beside its map (CONTRACT.md A5). `name` spells the keys.
    """
    query = statement(request, condition)
    rows = cursor.execute(query.text, query.arguments).fetchall()
    tree = _Tree(len(request.dimensions), name)
    for depth, *cells in rows:
        path, results = cells[:depth], cells[tree.depth :]
        for operation, value in zip(request.operations, results, strict=True):
            if value is not None:
                tree.place(operation.label, path, _number(value))
    return tree.results


class _Tree:
    """Nested results, built from shallow buckets to deep ones."""

    def __init__(self, depth: int, name: Callable[[str], str]) -> None:
        self.depth = depth
        self.results: dict[str, Any] = {}
        self._name = name

    def place(self, operation: str, path: list[str], total: int | float) -> None:
        """Put the value of one bucket where its path of labels leads."""
        if not path:
            self.results[operation] = self._total(total)
            return
        level = self.results[operation]
        for label_ in path[:-1]:
            level = self._buckets(level, "nested_result", "nested_aggregation_map")[label_]
        if len(path) < self.depth:
            buckets = self._buckets(level, "nested_result", "nested_aggregation_map")
            buckets[path[-1]] = self._total(total)
        else:
            self._buckets(level, "result", "aggregation_map")[path[-1]] = total

    def _total(self, total: int | float) -> dict[str, Any]:
        return {self._name("total_aggregation"): total}

    def _buckets(self, level: dict[str, Any], wrapper: str, key: str) -> dict[str, Any]:
        held = level.setdefault(self._name(wrapper), {self._name(key): {}})
        buckets: dict[str, Any] = held[self._name(key)]
        return buckets


def _number(value: Any) -> int | float:
    """A result as a JSON number; integers stay exact."""
    return value if isinstance(value, int | float) else float(value)
