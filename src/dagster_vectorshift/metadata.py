"""What a materialization tells: about the table, and about each partition of it.

Keys under `dagster/` are those that Dagster's interface knows. Ours are under `vectorshift/` and
numeric where they can be, because Dagster plots numbers over partitions.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from vectorshift_orchestration.specs import AggregationSpec, Metric, Ratio
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift_orchestration.storage.sql import Written

_EXTREMES = ("max", "min")


def table_metadata(table: str, uri: str, schema: "pa.Schema") -> dict[str, Any]:
    """Name, place and columns of the table that was written."""
    columns = [dg.TableColumn(field.name, str(field.type)) for field in schema]
    return {
        "dagster/table_name": table,
        "dagster/uri": uri,
        "dagster/column_schema": dg.TableSchema(columns),
    }


def partition_metadata(
    window: Window, rows: "pa.Table", written: "Written", spec: AggregationSpec
) -> dict[str, Any]:
    """The partition's window, its rows now and before, and its figures over all slices."""
    return {
        "dagster/partition_row_count": written.rows,
        "vectorshift/rows_replaced": written.deleted,
        "vectorshift/window_start": dg.MetadataValue.timestamp(window.start),
        "vectorshift/window_end": dg.MetadataValue.timestamp(window.end),
        **{f"vectorshift/{name}": value for name, value in _totals(rows, spec).items()},
    }


def _totals(rows: "pa.Table", spec: AggregationSpec) -> Mapping[str, float]:
    """One figure for each column whose slices can be told as one, in the order of the columns.

    Sums add up, and a ratio is that of the sums when the table has both. Of percentiles and maxima
    only the greatest is known (`latency_p95_max`), of minima the least. Means and distinct counts
    of slices say nothing about the whole, so they are left out, as is what has no value.
    """
    totals: dict[str, float | None] = {}
    for column in spec.columns:
        if isinstance(column, Ratio):
            totals[column.column] = _ratio(rows, column)
        else:
            totals.update(_total(rows, column))
    return {name: value for name, value in totals.items() if value is not None}


def _total(rows: "pa.Table", metric: Metric) -> Mapping[str, float | None]:
    import pyarrow.compute as pc

    from vectorshift.analytics import Percentile

    values, op = rows[metric.column], metric.operation.op
    if op == "sum":
        return {metric.column: pc.sum(values, min_count=0).as_py()}
    if isinstance(op, Percentile):
        return {f"{metric.column}_max": pc.max(values).as_py()}
    if op in _EXTREMES:
        return {metric.column: getattr(pc, str(op))(values).as_py()}
    return {}


def _ratio(rows: "pa.Table", ratio: Ratio) -> float | None:
    import pyarrow.compute as pc

    parts = (ratio.numerator.column, ratio.denominator.column)
    if not set(parts) <= set(rows.column_names):
        return None
    above, below = (pc.sum(rows[name], min_count=0).as_py() for name in parts)
    return above / below if below else None
