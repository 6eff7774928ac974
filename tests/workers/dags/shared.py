"""Mapped exports of many pipelines into one table and one bucket, over whatever workers there are."""

import json
import os
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_vectorshift.operators import VectorShiftExportOperator
from vectorshift import Analytics

PARTS = json.loads(Path(os.environ["LIVE_PARTS"]).read_text())

with DAG(dag_id="shared", schedule=None):
    VectorShiftExportOperator.partial(
        task_id="export",
        vectorshift_conn_id="vs_shared",
        table="events",
        sql_conn_id="warehouse",
        pool="vectorshift",
        deferrable=True,
        retries=5,
        retry_delay=timedelta(seconds=1),
    ).expand_kwargs(
        [
            {
                "query": Analytics.query(object_type="pipeline", object_ids=[pipeline]).to_dict(),
                "source": pipeline,
                "start": start,
                "end": end,
                "destination": f"s3://lake/{pipeline}/{number}.csv",
            }
            for number, (pipeline, start, end) in enumerate(PARTS)
        ]
    )
