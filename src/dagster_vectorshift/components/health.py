"""Tables of pipeline health as a component."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import dagster as dg
from dagster.components.resolved.base import resolve_fields
from pydantic import ConfigDict

from dagster_vectorshift.assets import build_health_definitions
from dagster_vectorshift.components.parts import (
    Account,
    BackfillPolicy,
    MeasuredEvents,
    Partitions,
    Planned,
    RetryPolicy,
    TableStorage,
    bound,
)
from dagster_vectorshift.components.scaffolders import HealthScaffolder
from dagster_vectorshift.tables import DEFAULT_METRICS, ErrorTable, HealthCheck, HealthTable, Table
from dagster_vectorshift.translator import DagsterVectorShiftTranslator
from vectorshift_orchestration.thresholds.rules import rule_from_dict


class TableModel(dg.Model, dg.Resolvable):
    """One table: name, metrics, group_by, interval, table, description."""

    name: str
    metrics: Sequence[str] = DEFAULT_METRICS
    group_by: Sequence[str] = ("pipeline_id",)
    interval: str = "day"
    table: str | None = None
    description: str | None = None


class ErrorTableModel(dg.Model, dg.Resolvable):
    """A table of error messages: name, limit, table, description."""

    name: str = "error_messages"
    limit: int = 20
    table: str | None = None
    description: str | None = None


class CheckModel(dg.Model, dg.Resolvable):
    """One check: the table's name, a rule in the words of `vectorshift_orchestration.thresholds.rules`."""

    table: str
    rule: Mapping[str, Any]
    name: str | None = None
    blocking: bool = False
    description: str | None = None


def _table(context: dg.ResolutionContext, model: Any) -> HealthTable:
    return HealthTable(**resolve_fields(model, TableModel, context))


def _error_table(context: dg.ResolutionContext, model: Any) -> ErrorTable | None:
    return None if model is None else ErrorTable(**resolve_fields(model, ErrorTableModel, context))


def _check(context: dg.ResolutionContext, model: Any) -> HealthCheck:
    fields = dict(resolve_fields(model, CheckModel, context))
    return HealthCheck(**fields | {"rule": rule_from_dict(fields["rule"])})


@dg.scaffold_with(HealthScaffolder)
class VectorShiftHealthComponent(dg.Component, dg.Model, dg.Resolvable):
    """Tables of VectorShift pipeline health, kept by partition, with checks and their schedule."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    partitions: Partitions
    tables: Sequence[
        Annotated[HealthTable, dg.Resolver(_table, model_field_type=TableModel.model())]
    ]
    error_messages: Annotated[
        ErrorTable | None,
        dg.Resolver(
            _error_table,
            model_field_type=ErrorTableModel.model() | None,
            description="A table of the commonest error messages; {} takes every default.",
        ),
    ] = None
    account: Account = None
    storage: TableStorage = None
    checks: Sequence[
        Annotated[HealthCheck, dg.Resolver(_check, model_field_type=CheckModel.model())]
    ] = ()
    query: MeasuredEvents = None
    schedule: Planned = None
    automation_condition: dg.Injected[dg.AutomationCondition[Any]] | None = None
    name: str | None = None
    backfill_policy: BackfillPolicy = None
    retry_policy: RetryPolicy = None
    key_prefix: str | Sequence[str] = ()
    group_name: str | None = None
    owners: Sequence[str] = ()
    tags: Mapping[str, str] = {}
    kinds: Sequence[str] = ()
    pool: str | None = "vectorshift"
    share_requests: bool = True
    io_manager_key: str | None = None
    as_type: Literal["arrow", "pandas", "polars"] = "arrow"

    def get_translator(self) -> DagsterVectorShiftTranslator:
        """How the assets are named and described; for you to override."""
        return DagsterVectorShiftTranslator()

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets, their checks, their schedule, and the resources that are written here."""
        tables: list[Table] = [*self.tables]
        if self.error_messages is not None:
            tables.append(self.error_messages)
        name = self.name or "_".join(table.name for table in tables)
        resources, (account_key, storage_key) = bound(name, self.account, self.storage)
        defs = build_health_definitions(
            tables=tables,
            partitions_def=self.partitions,
            schedule=self.schedule,
            automation_condition=self.automation_condition,
            query=self.query,
            checks=self.checks,
            name=name,
            key_prefix=self.key_prefix,
            group_name=self.group_name,
            owners=self.owners,
            tags=self.tags,
            kinds=set(self.kinds),
            backfill_policy=self.backfill_policy,
            retry_policy=self.retry_policy,
            pool=self.pool,
            share_requests=self.share_requests,
            io_manager_key=self.io_manager_key,
            as_type=self.as_type,
            translator=self.get_translator(),
            resource_key=account_key,
            storage_key=storage_key,
        )
        return dg.Definitions.merge(defs, dg.Definitions(resources=resources))
