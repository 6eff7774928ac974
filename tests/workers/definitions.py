"""Exports and a health table of the same days, in one database, for runs on whatever workers there are."""

import os

import dagster as dg

from dagster_vectorshift import (
    HealthTable,
    PostgresStorage,
    VectorShiftResource,
    build_export_asset,
    build_health_assets,
)
from vectorshift import Analytics

PIPELINES = Analytics.query(object_type="pipeline")
DAYS = dg.DailyPartitionsDefinition(os.environ["WORKERS_START"], end_date=os.environ["WORKERS_END"])
HOURS = dg.HourlyPartitionsDefinition(
    os.environ["WORKERS_FIRST_HOUR"], end_date=f"{os.environ['WORKERS_END']}-00:00"
)


def chunks(name: str) -> dg.BackfillPolicy:
    """At most so many partitions in a run."""
    return dg.BackfillPolicy.multi_run(max_partitions_per_run=int(os.environ[name]))


defs = dg.Definitions(
    assets=[
        build_export_asset("events", partitions_def=DAYS, backfill_policy=chunks("WORKERS_CHUNK")),
        build_health_assets(
            tables=[HealthTable("runs", metrics=["runs.sum", "errors.sum"], group_by=[])],
            query=PIPELINES,
            partitions_def=DAYS,
            backfill_policy=chunks("WORKERS_CHUNK"),
        ),
        build_health_assets(
            tables=[HealthTable("hourly", metrics=["runs.sum"], group_by=[], interval="hour")],
            query=PIPELINES,
            partitions_def=HOURS,
            backfill_policy=chunks("WORKERS_HOURS_CHUNK"),
        ),
    ],
    executor=dg.in_process_executor,
    resources={
        "vectorshift": VectorShiftResource(
            api_key=dg.EnvVar("WORKERS_KEY"), base_url=dg.EnvVar("WORKERS_URL"), time_precision="us"
        ),
        "storage": PostgresStorage(url=dg.EnvVar("WORKERS_WAREHOUSE")),
    },
)
