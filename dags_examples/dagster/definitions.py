"""Pipeline health, one row for each pipeline and day, in a DuckDB table.

    dagster dev -f dags_examples/dagster/definitions.py

    <home>/health.duckdb, table pipeline_health

`<home>` is the environment variable VECTORSHIFT_EXAMPLES_HOME, or ~/vectorshift. The key is read
from VECTORSHIFT_API_KEY where a run executes, and so is VECTORSHIFT_BASE_URL, which is needed only
for another address than the hosted service's. The first day is VECTORSHIFT_EXAMPLES_START.
"""

import os
from pathlib import Path

import dagster as dg

from dagster_vectorshift import (
    DuckDBStorage,
    HealthTable,
    VectorShiftResource,
    build_health_assets,
)
from vectorshift import Analytics

HOME = Path(os.environ.get("VECTORSHIFT_EXAMPLES_HOME", "~/vectorshift")).expanduser()
START = os.environ.get("VECTORSHIFT_EXAMPLES_START", "2026-01-01")

pipeline_health = build_health_assets(
    tables=[
        HealthTable(
            "pipeline_health",
            metrics=[
                "runs.sum",
                "errors.sum",
                "error_rate",
                "latency.p95",
                "tokens.sum",
                "model_costs.sum",
            ],
            group_by=["pipeline_id"],
            description="Runs, errors, latency (ms), tokens and costs (USD) by pipeline and day.",
        )
    ],
    query=Analytics.query(object_type="pipeline"),
    partitions_def=dg.DailyPartitionsDefinition(START),
    group_name="vectorshift",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
)

# A day is measured two hours after its end, when its last runs have ended.
daily_health = dg.build_schedule_from_partitioned_job(
    dg.define_asset_job("daily_pipeline_health", selection=[pipeline_health]), hour_of_day=2
)

defs = dg.Definitions(
    assets=[pipeline_health],
    schedules=[daily_health],
    executor=dg.in_process_executor,  # a run has one step, which needs no process of its own
    resources={
        "vectorshift": VectorShiftResource(api_key=dg.EnvVar("VECTORSHIFT_API_KEY")),
        "storage": DuckDBStorage(path=str(HOME / "health.duckdb")),
    },
)
