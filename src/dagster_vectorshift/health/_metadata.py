"""The metadata of a materialization: of the table, and of each of its partitions.

Keys under `dagster/` are those that Dagster's interface knows. Ours are under `vectorshift/` and
numeric where they can be, because Dagster plots numbers over partitions.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_vectorshift._partitions import edges_of
from dagster_vectorshift.translator import COLUMN_SCHEMA, TABLE_NAME, table_schema
from vectorshift_orchestration.previews import fingerprint, preview, trends
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from dagster_vectorshift.tables import Table

_PREFIX = "vectorshift/"


def table_metadata(lineage: dg.TableColumnLineage, table: "Table") -> dict[str, Any]:
    """Name, columns and origins of the table."""
    return {
        TABLE_NAME: table.table_name,
        COLUMN_SCHEMA: table_schema(table.columns, table.descriptions),
        "dagster/column_lineage": lineage,
    }


def partition_metadata(
    window: Window,
    rows: "pa.Table",
    table: "Table",
    figures: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    """The partition's window, its rows, its figures over all slices, a preview and their trend.

    `figures` are those of earlier partitions, as `figures_in` gives them, and last its own.
    """
    now = figures[-1]
    return {
        "dagster/partition_row_count": rows.num_rows,
        "vectorshift/fingerprint": fingerprint(rows),
        **edges_of(window),
        **{f"{_PREFIX}{name}": value for name, value in now.items()},
        "vectorshift/preview": dg.MetadataValue.md(preview(rows, table.sort_by)),
        "vectorshift/trend": dg.MetadataValue.md(
            trends({name: [each.get(name) for each in figures] for name in now})
        ),
    }


def figures_in(metadata: Mapping[str, dg.MetadataValue[Any]], table: "Table") -> dict[str, float]:
    """The figures that `partition_metadata` put into a materialization."""
    figures = {}
    for name in table.figure_names:
        value = metadata.get(f"{_PREFIX}{name}")
        if value is not None and isinstance(value.value, int | float):
            figures[name] = value.value
    return figures
