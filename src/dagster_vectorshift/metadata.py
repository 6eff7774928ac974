"""What a materialization tells: about the table, and about each partition of it.

Keys under `dagster/` are those that Dagster's interface knows. Ours are under `vectorshift/` and
numeric where they can be, because Dagster plots numbers over partitions.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_vectorshift.previews import preview, trends
from vectorshift_orchestration.specs import AggregationSpec, Metric, Ratio
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

_EXTREMES = ("max", "min")
_PREFIX = "vectorshift/"


def table_metadata(
    schema: "pa.Schema",
    lineage: dg.TableColumnLineage,
    *,
    table: str,
    uri: str | None,
    storage_kind: str | None,
    ui_url: str | None,
) -> dict[str, Any]:
    """Name, place, columns and origins of the table that was written; what is unknown is left out."""
    columns = [dg.TableColumn(field.name, str(field.type)) for field in schema]
    told = {
        "dagster/table_name": table,
        "dagster/uri": uri,
        "dagster/storage_kind": storage_kind,
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/column_lineage": lineage,
        "vectorshift/ui": None if ui_url is None else dg.MetadataValue.url(ui_url),
    }
    return {name: value for name, value in told.items() if value is not None}


def partition_metadata(
    window: Window, rows: "pa.Table", spec: AggregationSpec, history: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    """The partition's window, its rows, its figures over all slices, a preview and their trend.

    `history` has the figures of earlier partitions, oldest first, as `totals` gives them.
    """
    now = totals(rows, spec)
    past = [*history, now]
    sort_by = next((c.column for c in spec.columns if isinstance(c, Metric)), None)
    return {
        "dagster/partition_row_count": rows.num_rows,
        "vectorshift/window_start": dg.MetadataValue.timestamp(window.start),
        "vectorshift/window_end": dg.MetadataValue.timestamp(window.end),
        **{f"{_PREFIX}{name}": value for name, value in now.items()},
        "vectorshift/preview": dg.MetadataValue.md(preview(rows, sort_by)),
        "vectorshift/trend": dg.MetadataValue.md(
            trends({name: [figures.get(name) for figures in past] for name in now})
        ),
    }


def told_totals(
    metadata: Mapping[str, dg.MetadataValue[Any]], spec: AggregationSpec
) -> dict[str, float]:
    """The figures that `partition_metadata` put into a materialization."""
    found = {}
    for name in _total_names(spec):
        value = metadata.get(f"{_PREFIX}{name}")
        if value is not None and isinstance(value.value, int | float):
            found[name] = value.value
    return found


def totals(rows: "pa.Table", spec: AggregationSpec) -> dict[str, float]:
    """One figure for each column whose slices can be told as one, in the order of the columns.

    Sums add up, and a ratio is that of the sums when the table has both. Of percentiles and maxima
    only the greatest is known (`latency_p95_max`), of minima the least. Means and distinct counts
    of slices say nothing about the whole, so they are left out, as is what has no value.
    """
    found: dict[str, float | None] = {}
    for column, name in zip(spec.columns, map(_total_name, spec.columns), strict=True):
        if isinstance(column, Ratio):
            found[column.column] = _ratio(rows, column)
        elif name is not None:
            found[name] = _total(rows, column)
    return {name: value for name, value in found.items() if value is not None}


def _total_names(spec: AggregationSpec) -> list[str]:
    return [name for name in map(_total_name, spec.columns) if name is not None]


def _total_name(column: Metric | Ratio) -> str | None:
    if isinstance(column, Ratio):
        return column.column
    from vectorshift.analytics import Percentile

    op = column.operation.op
    if isinstance(op, Percentile):
        return f"{column.column}_max"
    return column.column if op == "sum" or op in _EXTREMES else None


def _total(rows: "pa.Table", metric: Metric) -> float | None:
    import pyarrow.compute as pc

    op = str(metric.operation.op)
    values = rows[metric.column]
    if op == "sum":
        total: float | None = pc.sum(values, min_count=0).as_py()
        return total
    least_or_most: float | None = (pc.min if op == "min" else pc.max)(values).as_py()
    return least_or_most


def _ratio(rows: "pa.Table", ratio: Ratio) -> float | None:
    import pyarrow.compute as pc

    parts = (ratio.numerator.column, ratio.denominator.column)
    if not set(parts) <= set(rows.column_names):
        return None
    above, below = (pc.sum(rows[name], min_count=0).as_py() for name in parts)
    return above / below if below else None
