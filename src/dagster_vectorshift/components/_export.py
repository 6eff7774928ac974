"""Exports of events as a component."""

from dataclasses import dataclass

import dagster as dg

from dagster_vectorshift.components._resources import BringsResources
from dagster_vectorshift.components._scaffolders import ExportScaffolder
from dagster_vectorshift.exports._assets import export_definitions
from dagster_vectorshift.exports._options import ExportDefinitionsOptions


@dg.scaffold_with(ExportScaffolder)
@dataclass(frozen=True, kw_only=True)
class VectorShiftExportComponent(BringsResources, ExportDefinitionsOptions, dg.Component):
    """A VectorShift export of every event, one partition at a time, with its schedule."""

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset or the two, their schedule, and the resources that are written here."""
        options, resources = self.bound(self.op)
        return dg.Definitions.merge(export_definitions(options), resources)
