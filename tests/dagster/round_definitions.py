"""An export and a health table by the hour, for the tests that kill what they run on."""

import os

import dagster as dg

from dagster_vectorshift import (
    HealthTable,
    PostgresStorage,
    VectorShiftResource,
    build_export_asset,
    build_health_assets,
)

HOURS = dg.HourlyPartitionsDefinition("2025-01-01-00:00")

defs = dg.Definitions(
    assets=[
        build_export_asset(
            "exported", partitions_def=HOURS, poll_interval=0.5, work_dir=os.environ["ROUND_WORK"]
        ),
        build_health_assets(
            tables=[HealthTable("health", metrics=["runs.sum", "errors.sum"], interval="hour")],
            partitions_def=HOURS,
        ),
    ],
    executor=dg.in_process_executor,
    resources={
        "vectorshift": VectorShiftResource(
            api_key=dg.EnvVar("ROUND_KEY"), base_url=dg.EnvVar("ROUND_URL"), time_precision="us"
        ),
        "storage": PostgresStorage(url=dg.EnvVar("ROUND_DATABASE")),
    },
)
