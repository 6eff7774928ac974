"""An example of each component, and what `dg scaffold defs` writes of it: YAML that loads as it stands."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

_BOTH: dict[str, Any] = {
    "account": {"api_key": "{{ env.VECTORSHIFT_API_KEY }}"},
    "storage": {"type": "duckdb", "path": "~/vectorshift/health.duckdb"},
    "partitions": {"type": "daily", "start_date": f"{datetime.now(UTC):%Y-01-01}"},
    "query": {"object_type": "pipeline"},
    "schedule": {"settle_minutes": 120, "lookback": 2},
}
HEALTH = _BOTH | {
    "tables": [{"name": "pipeline_health", "group_by": ["pipeline_id"]}],
    "checks": [{"table": "pipeline_health", "rule": {"rule": "rate", "warn": 0.02, "error": 0.1}}],
}
EXPORT = {"name": "pipeline_events"} | _BOTH


class HealthScaffolder(dg.Scaffolder[Any]):
    """A table of health by pipeline and day, with its schedule and a check."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the component's file."""
        dg.scaffold_component(request, HEALTH)


class ExportScaffolder(dg.Scaffolder[Any]):
    """A nightly export of pipeline events, with its schedule."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the component's file."""
        dg.scaffold_component(request, EXPORT)
