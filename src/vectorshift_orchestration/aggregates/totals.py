"""One figure for each measured column over all slices of a window, where there is one."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from vectorshift_orchestration.specs import AggregationSpec, Metric, Ratio

if TYPE_CHECKING:
    import pyarrow as pa

_EXTREMES = ("max", "min")


def total_names(spec: AggregationSpec) -> list[str]:
    """The names of the figures that `totals` may return, in the order of the columns."""
    return [name for name in map(_total_name, spec.columns) if name is not None]


def totals(rows: pa.Table, spec: AggregationSpec) -> dict[str, float]:
    """The figure of each column whose slices can be combined, in the order of the columns.

    Sums add up, and a ratio is that of the sums when the table has both. Of percentiles and maxima
    only the greatest is known (`latency_p95_max`), of minima the least. Means and distinct counts
    of slices say nothing about the whole, so they are left out, as is what has no value.
    """
    figures: dict[str, float | None] = {}
    for column, name in zip(spec.columns, map(_total_name, spec.columns), strict=True):
        if isinstance(column, Ratio):
            figures[column.column] = _ratio(rows, column)
        elif name is not None:
            figures[name] = _total(rows, column)
    return {name: value for name, value in figures.items() if value is not None}


def _total_name(column: Metric | Ratio) -> str | None:
    if isinstance(column, Ratio):
        return column.column
    from vectorshift.analytics import Percentile

    op = column.operation.op
    if isinstance(op, Percentile):
        return f"{column.column}_max"
    return column.column if op == "sum" or op in _EXTREMES else None


def _total(rows: pa.Table, metric: Metric) -> float | None:
    import pyarrow.compute as pc

    op = str(metric.operation.op)
    values = rows[metric.column]
    if op == "sum":
        return _plotted(pc.sum(values, min_count=0).as_py())
    return _plotted((pc.min if op == "min" else pc.max)(values).as_py())


def _ratio(rows: pa.Table, ratio: Ratio) -> float | None:
    import pyarrow.compute as pc

    parts = (ratio.numerator.column, ratio.denominator.column)
    if not set(parts) <= set(rows.column_names):
        return None
    above, below = (pc.sum(rows[name], min_count=0).as_py() for name in parts)
    return _plotted(above / below) if below else None


def _plotted(value: Decimal | float | None) -> float | None:
    """A number that can be plotted: charts take no decimals, and the table has the exact ones."""
    return float(value) if isinstance(value, Decimal) else value
