"""What the assets are called and how they are described: one class to inherit from."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import dagster as dg

from dagster_vectorshift.tables import Table
from vectorshift_orchestration.columns import EVENT_COLUMNS
from vectorshift_orchestration.specs.documents import digest

if TYPE_CHECKING:
    from dagster_vectorshift.storage._protocol import ExportStorage
    from vectorshift.analytics import Query

KIND = "vectorshift"
TABLE_NAME = "dagster/table_name"
COLUMN_SCHEMA = "dagster/column_schema"
STORAGE_KIND = "dagster/storage_kind"

_CADENCES = {"HOURLY": "an hour", "DAILY": "a day", "WEEKLY": "a week", "MONTHLY": "a month"}


def place_of(storage: "ExportStorage | None", table: str) -> dict[str, str]:
    """The table's whole name and what it is in, as far as the storage is known and tells it."""
    if storage is None:
        return {TABLE_NAME: table}
    qualified = getattr(storage, "qualified", lambda name: name)
    return {TABLE_NAME: qualified(table), STORAGE_KIND: storage.kind}


def cadence_of(partitions_def: dg.TimeWindowPartitionsDefinition | None) -> dict[str, str]:
    """How wide a partition is, and in which time zone it is cut."""
    if partitions_def is None:
        return {}
    cron, cadence = partitions_def.cron_schedule, partitions_def.schedule_type
    width = f"windows by {cron}" if cadence is None else _CADENCES[cadence.name]
    return {"vectorshift/window": f"{width}, {partitions_def.timezone}"}


def table_schema(
    columns: Mapping[str, str], descriptions: Mapping[str, str] = MappingProxyType({})
) -> dg.TableSchema:
    """Columns, by the names of their types, as Dagster shows them."""
    return dg.TableSchema(
        [dg.TableColumn(name, kind, descriptions.get(name)) for name, kind in columns.items()]
    )


@dataclass(frozen=True)
class HealthTableProps:
    """A table of health or of error messages, and the query whose events it measures (None: every event).

    `storage` is where the table is kept, if that is known, and `partitions_def` what cuts it.
    """

    table: Table
    query: "Query | None" = None
    storage: "ExportStorage | None" = None
    partitions_def: dg.TimeWindowPartitionsDefinition | None = None


@dataclass(frozen=True)
class ExportProps:
    """An export: the asset's name, its query (None: every event) and its file format.

    `table` is the table, or the folder of files, in the storage, named like the asset unless given.
    `storage` and `partitions_def` are as in `HealthTableProps`.
    """

    name: str
    query: "Query | None"
    format: str
    description: str | None
    table: str | None = None
    storage: "ExportStorage | None" = None
    partitions_def: dg.TimeWindowPartitionsDefinition | None = None


class DagsterVectorShiftTranslator:
    """Turns a table or an export into the spec of its asset. Inherit from it to change keys,
    groups, tags, owners, kinds or anything else of `dg.AssetSpec`:

        class Ours(DagsterVectorShiftTranslator):
            def get_asset_spec(self, props):
                spec = super().get_asset_spec(props)
                return spec.replace_attributes(key=spec.key.with_prefix("ai"), owners=["team:ai"])
    """

    def get_asset_spec(self, props: HealthTableProps | ExportProps) -> dg.AssetSpec:
        """The asset of a table or an export. Its code version follows from the request."""
        query = props.query.to_dict() if props.query is not None else {}
        if isinstance(props, HealthTableProps):
            name, table, request = props.table.name, props.table.table_name, props.table.definition
            description = props.table.description or props.table.summary
        else:
            name, table, request = props.name, props.table or props.name, {"format": props.format}
            description = props.description or "Events of VectorShift, one row for each."
        return dg.AssetSpec(
            dg.AssetKey([name]),
            description=description,
            metadata={
                **place_of(props.storage, table),
                COLUMN_SCHEMA: self.get_column_schema(props),
                "vectorshift/source": dg.MetadataValue.json(query) if query else "every event",
                **cadence_of(props.partitions_def),
            },
            code_version=digest({"query": query, "asked": request}),
            kinds={KIND},
        )

    def get_column_schema(self, props: HealthTableProps | ExportProps) -> dg.TableSchema:
        """The columns of a table or of exported events, with their types and what they hold."""
        if isinstance(props, ExportProps):
            return table_schema(EVENT_COLUMNS)
        return table_schema(props.table.columns, props.table.descriptions)

    def get_source_spec(self) -> dg.AssetSpec:
        """The account's events as an external asset: what column lineage leads to.

        It is not a dependency: an automation condition waits for what it depends on to be updated, and
        nothing in Dagster updates this. A project may hold this spec once, to describe it.
        """
        return dg.AssetSpec(
            dg.AssetKey([KIND, "analytics"]),
            description="The events of the VectorShift account, as its Analytics API measures them.",
            kinds={KIND},
        )

    def get_column_lineage(self, table: Table) -> dg.TableColumnLineage:
        """Which measured fields and dimensions of the source each column is made of."""
        source = self.get_source_spec().key
        return dg.TableColumnLineage(
            {
                name: [dg.TableColumnDep(source, field) for field in fields]
                for name, fields in table.origins.items()
            }
        )
