"""What the live tests run: tables that are backfilled, scheduled and automated, and a key as nobody should give it."""

import os

import dagster as dg

from dagster_vectorshift import (
    DuckDBStorage,
    ErrorTable,
    HealthCheck,
    HealthTable,
    VectorShiftResource,
    build_health_assets,
    build_health_definitions,
)
from vectorshift import Analytics
from vectorshift_orchestration.thresholds.rules import Baseline, Rate

METRICS = ["runs.sum", "errors.sum", "error_rate", "tokens.sum", "model_costs.sum", "latency.max"]
DAYS = dg.DailyPartitionsDefinition(os.environ["LIVE_START"])
PIPELINES = Analytics.query(object_type="pipeline")

backfilled = build_health_assets(
    tables=[
        HealthTable("by_pipeline", metrics=METRICS),
        HealthTable("by_model", metrics=METRICS, group_by=["model_id"]),
        HealthTable("by_hour", metrics=METRICS, group_by=[], interval="hour"),
        HealthTable("errors", metrics=["errors.sum"], group_by=["pipeline_id", "model_id"]),
        ErrorTable("messages"),
    ],
    checks=[
        HealthCheck("by_pipeline", Rate(warn=0.05, error=0.5)),
        HealthCheck("by_hour", Baseline(metric="runs.sum", warn=6.0)),
    ],
    query=PIPELINES,
    partitions_def=DAYS,
    pool="backfilled",
)


automated = build_health_assets(
    tables=[HealthTable("automated_runs", metrics=METRICS)],
    query=PIPELINES,
    partitions_def=DAYS,
    automation_condition=dg.AutomationCondition.on_cron("* * * * *"),
    pool="automated",
    resource_key="nightly_account",
    storage_key="automated_storage",
)
automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.assets(automated),
    default_status=dg.DefaultSensorStatus.RUNNING,
)


@dg.asset
def talkative(context: dg.AssetExecutionContext, control: VectorShiftResource) -> None:
    """What nobody should write: a key in a log."""
    context.log.info("The key is %s.", control.api_key)


defs = dg.Definitions.merge(
    build_health_definitions(
        tables=[HealthTable("nightly_runs", metrics=METRICS)],
        query=PIPELINES,
        partitions_def=DAYS,
        schedule={
            "name": "nightly",
            "lookback": 1,
            "cron_schedule": "* * * * *",
            "default_status": dg.DefaultScheduleStatus.RUNNING,
        },
        group_name="vectorshift",
        owners=["team:ai"],
        pool="nightly",
        resource_key="nightly_account",
        storage_key="nightly_storage",
    ),
    dg.Definitions(
        assets=[backfilled, automated, talkative],
        sensors=[automation],
        executor=dg.in_process_executor,
        resources={
            "vectorshift": VectorShiftResource(
                api_key=dg.EnvVar("LIVE_KEY"), base_url=dg.EnvVar("LIVE_URL"), time_precision="us"
            ),
            "storage": DuckDBStorage(path=os.environ["LIVE_DATABASE"]),
            "nightly_account": VectorShiftResource(
                api_key=dg.EnvVar("NIGHTLY_KEY"), base_url=dg.EnvVar("NIGHTLY_URL")
            ),
            "nightly_storage": DuckDBStorage(path=os.environ["NIGHTLY_DATABASE"]),
            "automated_storage": DuckDBStorage(path=os.environ["AUTOMATED_DATABASE"]),
            # The control of the search for keys: a literal is found where names are not.
            "control": VectorShiftResource(api_key=os.environ["LIVE_LITERAL"]),
        },
    ),
)
