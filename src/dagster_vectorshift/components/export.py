"""Exports of events as a component."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import dagster as dg
from pydantic import ConfigDict

from dagster_vectorshift.components.parts import (
    Account,
    BackfillPolicy,
    Events,
    Partitions,
    Planned,
    RetryPolicy,
    Storage,
    bound,
)
from dagster_vectorshift.components.scaffolders import ExportScaffolder
from dagster_vectorshift.exports import build_export_definitions
from dagster_vectorshift.translator import DagsterVectorShiftTranslator


@dg.scaffold_with(ExportScaffolder)
class VectorShiftExportComponent(dg.Component, dg.Model, dg.Resolvable):
    """A VectorShift export of every event, one partition at a time, with its schedule."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    name: str
    partitions: Partitions
    account: Account = None
    storage: Storage = None
    query: Events = None
    format: Literal["CSV", "JSON", "XLSX"] = "CSV"
    table: str | None = None
    two_phase: bool = False
    schedule: Planned = None
    automation_condition: dg.Injected[dg.AutomationCondition[Any]] | None = None
    backfill_policy: BackfillPolicy = None
    retry_policy: RetryPolicy = None
    timeout: float = 3600.0
    poll_interval: float = 5.0
    work_dir: str | None = None
    key_prefix: str | Sequence[str] = ()
    group_name: str | None = None
    owners: Sequence[str] = ()
    tags: Mapping[str, str] = {}
    kinds: Sequence[str] = ()
    description: str | None = None
    pool: str | None = "vectorshift"

    def get_translator(self) -> DagsterVectorShiftTranslator:
        """How the assets are named and described; for you to override."""
        return DagsterVectorShiftTranslator()

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset or the two, their schedule, and the resources that are written here."""
        resources, (account_key, storage_key) = bound(self.name, self.account, self.storage)
        defs = build_export_definitions(
            self.name,
            partitions_def=self.partitions,
            schedule=self.schedule,
            automation_condition=self.automation_condition,
            two_phase=self.two_phase,
            query=self.query,
            format=self.format,
            table=self.table,
            timeout=self.timeout,
            poll_interval=self.poll_interval,
            work_dir=self.work_dir,
            key_prefix=self.key_prefix,
            group_name=self.group_name,
            owners=self.owners,
            tags=self.tags,
            kinds=set(self.kinds),
            description=self.description,
            backfill_policy=self.backfill_policy,
            retry_policy=self.retry_policy,
            pool=self.pool,
            translator=self.get_translator(),
            resource_key=account_key,
            storage_key=storage_key,
        )
        return dg.Definitions.merge(defs, dg.Definitions(resources=resources))
