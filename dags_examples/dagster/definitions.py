"""Pipeline health by pipeline, by model and by error source, in one DuckDB file.

    dagster dev -f dags_examples/dagster/definitions.py

    <home>/health.duckdb, tables pipeline_health, model_health and error_sources

`<home>` is the environment variable VECTORSHIFT_EXAMPLES_HOME, or ~/vectorshift. The key is read
from VECTORSHIFT_API_KEY where a run executes, and so is VECTORSHIFT_BASE_URL, which is needed only
for another address than the hosted service's. The first day is VECTORSHIFT_EXAMPLES_START. File
defs/pipeline_health/defs.yaml says the same in YAML.
"""

import os
from datetime import timedelta
from pathlib import Path

import dagster as dg

from dagster_vectorshift import (
    DuckDBStorage,
    HealthCheck,
    HealthTable,
    VectorShiftResource,
    build_health_definitions,
)
from vectorshift import Analytics
from vectorshift_orchestration.thresholds.rules import Rate

HOME = Path(os.environ.get("VECTORSHIFT_EXAMPLES_HOME", "~/vectorshift")).expanduser()
START = os.environ.get("VECTORSHIFT_EXAMPLES_START", "2026-01-01")
STORAGE = DuckDBStorage(path=str(HOME / "health.duckdb"))
SUMS = ["runs.sum", "errors.sum", "error_rate", "tokens.sum", "model_costs.sum"]

defs = dg.Definitions.merge(
    build_health_definitions(
        # All three come from one request to the service.
        tables=[
            HealthTable(
                "pipeline_health",
                metrics=[*SUMS, "latency.p95"],
                group_by=["pipeline_id"],
                description="Runs, errors, latency (ms), tokens and costs (USD) by pipeline and day.",
            ),
            HealthTable("model_health", metrics=SUMS, group_by=["model_id"]),
            HealthTable(
                "error_sources", metrics=["errors.sum"], group_by=["pipeline_id", "model_id"]
            ),
        ],
        checks=[HealthCheck("pipeline_health", Rate(warn=0.02, error=0.1))],
        query=Analytics.query(object_type="pipeline"),
        partitions_def=dg.DailyPartitionsDefinition(START),
        # A day is measured two hours after its end, when its last runs have ended, and twice more
        # after that, because events may arrive late.
        schedule={
            "name": "daily_pipeline_health_schedule",
            "settle": timedelta(hours=2),
            "lookback": 2,
        },
        group_name="vectorshift",
        storage=STORAGE,  # the catalog shows it before the first run
        retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
    ),
    dg.Definitions(
        executor=dg.in_process_executor,  # a run has one step, which needs no process of its own
        resources={
            "vectorshift": VectorShiftResource(api_key=dg.EnvVar("VECTORSHIFT_API_KEY")),
            "storage": STORAGE,
        },
    ),
)
