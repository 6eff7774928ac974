"""What the assets are called and how they are described: one class to inherit from."""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from dagster_vectorshift.tables import HealthTable
from vectorshift_orchestration.specs import Ratio

if TYPE_CHECKING:
    from vectorshift.analytics import Query

KIND = "vectorshift"


@dataclass(frozen=True)
class HealthTableProps:
    """A table of health, and the query whose events it measures (None: every event)."""

    table: HealthTable
    query: "Query | None" = None


@dataclass(frozen=True)
class ExportProps:
    """An export: the asset's name, its query (None: every event) and its file format."""

    name: str
    query: "Query | None" = None
    format: str = "CSV"
    description: str | None = None


class DagsterVectorShiftTranslator:
    """Turns a table or an export into the spec of its asset. Inherit from it to change keys,
    groups, tags, owners, kinds or anything else of `dg.AssetSpec`:

        class Ours(DagsterVectorShiftTranslator):
            def get_asset_spec(self, props):
                spec = super().get_asset_spec(props)
                return spec.replace_attributes(key=spec.key.with_prefix("ai"), owners=["team:ai"])
    """

    def get_asset_spec(self, props: HealthTableProps | ExportProps) -> dg.AssetSpec:
        """The asset of a table or an export. Its code version follows from what is asked."""
        stated = props.query.to_dict() if props.query is not None else {}
        if isinstance(props, HealthTableProps):
            name, description = props.table.name, props.table.description
            asked = props.table.spec.to_dict()
        else:
            name, description, asked = props.name, props.description, {"format": props.format}
        return dg.AssetSpec(
            dg.AssetKey([name]),
            deps=[self.get_source_spec().key],
            description=description,
            code_version=_digest({"query": stated, "asked": asked}),
            kinds={KIND},
        )

    def get_source_spec(self) -> dg.AssetSpec:
        """The account's events as an external asset: what column lineage leads to."""
        return dg.AssetSpec(
            dg.AssetKey([KIND, "analytics"]),
            description="The events of the VectorShift account, as its Analytics API measures them.",
            kinds={KIND},
        )

    def get_column_lineage(self, table: HealthTable) -> dg.TableColumnLineage:
        """Which measured fields and dimensions of the source each column is made of."""
        source = self.get_source_spec().key
        origins = {"bucket_start": ["time"]} | {name: [name] for name in table.group_by}
        for column in table.spec.columns:
            parts = (
                [column.numerator, column.denominator] if isinstance(column, Ratio) else [column]
            )
            origins[column.column] = [str(part.operation.field) for part in parts]
        return dg.TableColumnLineage(
            {
                name: [dg.TableColumnDep(source, field) for field in fields]
                for name, fields in origins.items()
            }
        )


def _digest(asked: object) -> str:
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
