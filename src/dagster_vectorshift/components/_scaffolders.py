"""What `dg scaffold defs` writes: YAML that loads as it stands."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

_ACCOUNT = {"api_key": "{{ env.VECTORSHIFT_API_KEY }}"}
_STORAGE = {"type": "duckdb", "path": "~/vectorshift/health.duckdb"}
_SCHEDULE = {"settle_minutes": 120, "lookback": 2}


class HealthScaffolder(dg.Scaffolder[Any]):
    """A table of health by pipeline and day, with its schedule and a check."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the component's file."""
        attributes = {
            "account": _ACCOUNT,
            "storage": _STORAGE,
            "partitions": _partitions(),
            "query": {"object_type": "pipeline"},
            "tables": [{"name": "pipeline_health", "group_by": ["pipeline_id"]}],
            "checks": [
                {"table": "pipeline_health", "rule": {"rule": "rate", "warn": 0.02, "error": 0.1}}
            ],
            "schedule": _SCHEDULE,
        }
        dg.scaffold_component(request, attributes)


class ExportScaffolder(dg.Scaffolder[Any]):
    """A nightly export of pipeline events, with its schedule."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the component's file."""
        attributes = {
            "name": "pipeline_events",
            "account": _ACCOUNT,
            "storage": _STORAGE,
            "partitions": _partitions(),
            "query": {"object_type": "pipeline"},
            "schedule": _SCHEDULE,
        }
        dg.scaffold_component(request, attributes)


def _partitions() -> dict[str, str]:
    return {"type": "daily", "start_date": f"{datetime.now(UTC):%Y-01-01}"}
