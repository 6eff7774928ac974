"""Tables of pipeline health, and exports of events, as components."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import dagster as dg

from dagster_vectorshift.components._resources import BringsResources, TableStorage
from dagster_vectorshift.components._scaffolders import (
    EXPORT_EXAMPLES,
    HEALTH_EXAMPLES,
    ExportScaffolder,
    HealthScaffolder,
)
from dagster_vectorshift.exports._assets import build_export_definitions
from dagster_vectorshift.exports._options import ExportDefinitionsOptions
from dagster_vectorshift.health._assets import build_health_definitions
from dagster_vectorshift.health._options import HealthDefinitionsOptions
from dagster_vectorshift.tables import ErrorTable, HealthTable, Table


@dg.scaffold_with(HealthScaffolder)
@dataclass(frozen=True, kw_only=True)
class VectorShiftHealthComponent(BringsResources, HealthDefinitionsOptions, dg.Component):
    """Tables of VectorShift pipeline health, kept by partition, with checks and their schedule.

    error_messages: also keep the commonest error messages of each partition; {} is enough.
    """

    examples: ClassVar[Mapping[str, Any]] = HEALTH_EXAMPLES

    tables: Sequence[HealthTable]
    error_messages: ErrorTable | None = None
    storage: TableStorage = None

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets, their checks, their schedule, and the resources that are written here."""
        tables: list[Table] = [*self.tables]
        if self.error_messages is not None:
            tables.append(self.error_messages)
        every = replace(self, tables=tables)  # type: ignore[arg-type]  # messages, too
        options, resources = every.bound(self.op)
        return dg.Definitions.merge(build_health_definitions.of(options), resources)


@dg.scaffold_with(ExportScaffolder)
@dataclass(frozen=True, kw_only=True)
class VectorShiftExportComponent(BringsResources, ExportDefinitionsOptions, dg.Component):
    """A VectorShift export of every event, one partition at a time, with its schedule."""

    examples: ClassVar[Mapping[str, Any]] = EXPORT_EXAMPLES

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset or the two, their schedule, and the resources that are written here."""
        options, resources = self.bound(self.op)
        return dg.Definitions.merge(build_export_definitions.of(options), resources)
