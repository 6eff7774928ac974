"""Many exports that wait at once. In a file of its own, because each worker reads the file of its task."""

import os
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_vectorshift.operators import VectorShiftExportOperator

OUT = Path(os.environ["LIVE_OUT"])

with DAG(dag_id="many", schedule=None):
    VectorShiftExportOperator.partial(
        task_id="export", vectorshift_conn_id="vs_many", deferrable=True
    ).expand(
        destination=[
            str(OUT / "many" / f"{number}.csv") for number in range(int(os.environ["LIVE_EXPORTS"]))
        ]
    )
