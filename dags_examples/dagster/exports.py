"""Every pipeline event of each day, exported at night into a DuckDB table.

    dagster dev -f dags_examples/dagster/exports.py

    <home>/health.duckdb, table pipeline_events

`<home>` and the key are as in definitions.py; defs/pipeline_events/defs.yaml says the same in YAML.
"""

import os
from datetime import timedelta
from pathlib import Path

import dagster as dg

from dagster_vectorshift import DuckDBStorage, VectorShiftResource, build_export_definitions
from vectorshift import Analytics

HOME = Path(os.environ.get("VECTORSHIFT_EXAMPLES_HOME", "~/vectorshift")).expanduser()
START = os.environ.get("VECTORSHIFT_EXAMPLES_START", "2026-01-01")
STORAGE = DuckDBStorage(path=str(HOME / "health.duckdb"))

defs = dg.Definitions.merge(
    build_export_definitions(
        "pipeline_events",
        query=Analytics.query(object_type="pipeline"),
        partitions_def=dg.DailyPartitionsDefinition(START),
        schedule={"settle": timedelta(hours=2), "lookback": 2},
        group_name="vectorshift_events",
        storage=STORAGE,  # the catalog shows it before the first run
        retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
    ),
    dg.Definitions(
        executor=dg.in_process_executor,
        resources={
            "vectorshift": VectorShiftResource(api_key=dg.EnvVar("VECTORSHIFT_API_KEY")),
            "storage": STORAGE,
        },
    ),
)
