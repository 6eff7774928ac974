"""An example of each key of each component, and what `dg scaffold defs` writes: YAML that loads as it stands."""

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

_BOTH_MORE: dict[str, Any] = {
    "key_prefix": ["ai"],
    "group_name": "ai",
    "owners": ["team:ai"],
    "tags": {"tier": "1"},
    "kinds": ["gold"],
    "automation_condition": "{{ dg.AutomationCondition.on_cron('@daily') }}",
    "freshness_policy": "{{ dg.FreshnessPolicy.time_window(fail_window=datetime.timedelta(hours=36)) }}",
    "backfill_policy": {"type": "multi_run", "max_partitions_per_run": 10},
    "retry_policy": {"max_retries": 2, "delay": 30, "backoff": "exponential"},
    "pool": "vectorshift",
    "resource_key": "vectorshift",
    "storage_key": "storage",
    "source": "orders",
    "replace_other": True,
    "replace_characters": True,
    "translator": "{{ ours }}",
}
HEALTH_EXAMPLES = (
    HEALTH
    | _BOTH_MORE
    | {
        "name": "pipeline_health",
        "io_manager_key": "tables",
        "as_type": "polars",
        "share_requests": False,
        "error_messages": {"limit": 5},
    }
)
EXPORT_EXAMPLES = (
    EXPORT
    | _BOTH_MORE
    | {
        "op_name": "pipeline_events",
        "format": "JSON",
        "table": "raw.pipeline_events",
        "timeout": 7200,
        "poll_interval": 10,
        "late_arrival_minutes": 90,
        "chunks": 4,
        "work_dir": "/data/exports",
        "description": "Every run of every pipeline.",
        "minimum_interval_seconds": 60,
        "default_status": "RUNNING",
        "two_phase": True,
    }
)


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
