"""What the assets are called and how they are described: one class to inherit from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from dagster_vectorshift.tables import Table
from vectorshift_orchestration.specs.documents import digest

if TYPE_CHECKING:
    from vectorshift.analytics import Query

KIND = "vectorshift"
TABLE_NAME = "dagster/table_name"


@dataclass(frozen=True)
class HealthTableProps:
    """A table of health or of error messages, and the query whose events it measures (None: every event)."""

    table: Table
    query: "Query | None" = None


@dataclass(frozen=True)
class ExportProps:
    """An export: the asset's name, its query (None: every event) and its file format.

    `table` is the table, or the folder of files, in the storage, named like the asset unless given.
    """

    name: str
    query: "Query | None"
    format: str
    description: str | None
    table: str | None = None


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
            metadata={TABLE_NAME: table},
            code_version=digest({"query": query, "asked": request}),
            kinds={KIND},
        )

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
