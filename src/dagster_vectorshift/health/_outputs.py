"""Where the rows of a table go: to a storage, or to Dagster as the asset's value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from dagster_vectorshift.health._frames import RowType, converted
from dagster_vectorshift.tables import Table
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from dagster_vectorshift.storage._protocol import TableStorage


@dataclass(frozen=True)
class Kept:
    """Metadata of the table and of each window that was kept, and the asset's value where it has one."""

    table: Mapping[str, Any]
    windows: Mapping[Window, Mapping[str, Any]] = field(default_factory=dict)
    value: Mapping[str, Any] = field(default_factory=dict)


Output: TypeAlias = "Callable[[Table, pa.Table, Mapping[Window, pa.Table]], Kept]"
"""Keeps the rows of a table, which it gets as a whole and window by window."""


def to_storage(storage: "TableStorage", ui_url: str | None) -> Output:
    """An output that writes to a storage, each partition at once."""

    def keep(table: Table, rows: "pa.Table", parts: "Mapping[Window, pa.Table]") -> Kept:
        name = table.table_name
        written = storage.overwrite(name, parts)
        place = {"dagster/uri": storage.locate(name), "dagster/storage_kind": storage.kind}
        windows = {
            window: {
                "vectorshift/rows_replaced": written[window].deleted,
                "dagster/uri": storage.locate(name, window),
            }
            for window in parts
        }
        return Kept(place | _page(ui_url), windows)

    return keep


def to_io_manager(as_type: RowType, ui_url: str | None) -> Output:
    """An output that hands the rows of all partitions to Dagster, with naive UTC times."""
    return lambda table, rows, parts: Kept(_page(ui_url), value={"value": converted(rows, as_type)})


def _page(ui_url: str | None) -> dict[str, Any]:
    return {} if ui_url is None else {"vectorshift/ui": dg.MetadataValue.url(ui_url)}
