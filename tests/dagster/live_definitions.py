"""Definitions of the live tests: four tables in one round trip, checks, a schedule that is due every minute."""

import os

import dagster as dg

from dagster_vectorshift import (
    DuckDBStorage,
    HealthCheck,
    HealthTable,
    VectorShiftResource,
    build_health_definitions,
)
from vectorshift import Analytics
from vectorshift_orchestration.thresholds.rules import Baseline, Rate

METRICS = ["runs.sum", "errors.sum", "error_rate", "tokens.sum", "model_costs.sum", "latency.max"]

defs = dg.Definitions.merge(
    build_health_definitions(
        tables=[
            HealthTable("by_pipeline", metrics=METRICS),
            HealthTable("by_model", metrics=METRICS, group_by=["model_id"]),
            HealthTable("by_hour", metrics=METRICS, group_by=[], interval="hour"),
            HealthTable("errors", metrics=["errors.sum"], group_by=["pipeline_id", "model_id"]),
        ],
        checks=[
            HealthCheck("by_pipeline", Rate(warn=0.05, error=0.5)),
            HealthCheck("by_hour", Baseline(metric="runs.sum", warn=6.0)),
        ],
        query=Analytics.query(object_type="pipeline"),
        partitions_def=dg.DailyPartitionsDefinition(os.environ["LIVE_START"]),
        schedule={
            "name": "health",
            "lookback": 1,
            "cron_schedule": "* * * * *",
            "default_status": dg.DefaultScheduleStatus.RUNNING,
        },
        name="health",
        group_name="vectorshift",
        owners=["team:ai"],
    ),
    dg.Definitions(
        executor=dg.in_process_executor,
        resources={
            "vectorshift": VectorShiftResource(
                api_key=dg.EnvVar("VECTORSHIFT_API_KEY"),
                base_url=dg.EnvVar("VECTORSHIFT_BASE_URL"),
            ),
            "storage": DuckDBStorage(path=os.environ["LIVE_DATABASE"]),
        },
    ),
)
