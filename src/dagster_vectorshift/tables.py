"""What a set of health assets keeps and checks: the core's tables, as Python and YAML state them."""

from dataclasses import dataclass
from typing import TypeAlias

from dagster_vectorshift._documents import Document, OptionalText, Text, Texts
from vectorshift_orchestration import health
from vectorshift_orchestration.health import DEFAULT_METRICS as DEFAULT_METRICS


@dataclass(frozen=True)
class HealthTable(Document, health.HealthTable):
    __doc__ = health.HealthTable.__doc__

    name: Text
    metrics: Texts = health.HealthTable.metrics
    group_by: Texts = health.HealthTable.group_by
    interval: Text = health.HealthTable.interval
    table: OptionalText = None
    description: OptionalText = None


@dataclass(frozen=True)
class ErrorTable(Document, health.ErrorTable):
    __doc__ = health.ErrorTable.__doc__

    name: Text = health.ErrorTable.name
    limit: int = health.ErrorTable.limit
    table: OptionalText = None
    description: OptionalText = None


Table: TypeAlias = HealthTable | ErrorTable
"""What a set of health assets may consist of."""
