"""One export on a worker and one in the triggerer, for the tests that kill what they run on."""

import os
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import DAG

from airflow_provider_vectorshift.operators import VectorShiftExportOperator

OUT = Path(os.environ["LIVE_OUT"])

for name, waits_in_triggerer in {"sync": False, "deferred": True}.items():
    with DAG(
        dag_id=name,
        schedule=None,
        start_date=pendulum.today("UTC").subtract(days=10),
        # A worker that starts while there is no api-server uses up a try.
        default_args={"retries": 100, "retry_delay": timedelta(seconds=5)},
    ):
        VectorShiftExportOperator(
            task_id="export",
            vectorshift_conn_id=f"vs_{name}",
            destination=OUT / name / "{{ ts_nodash }}.csv",
            table=name,
            sql_conn_id="warehouse",
            deferrable=waits_in_triggerer,
            poll_interval=0.5,
        )
