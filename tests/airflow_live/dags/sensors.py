"""Sensors that need no worker: they start and end in the triggerer."""

import os

from airflow.sdk import DAG, task

from airflow_provider_vectorshift.sensors import VectorShiftExportSensor


def wait(account, number=0):
    """A sensor for one of the exports that the run's conf names."""
    return VectorShiftExportSensor(
        task_id=f"wait_{number}",
        export_id=f"{{{{ dag_run.conf['exports'][{number}] }}}}",
        vectorshift_conn_id=f"vs_{account}",
        deferrable=True,
        complete_in_triggerer=True,
        start_from_trigger=True,
    )


with DAG(dag_id="sensor", schedule=None):

    @task
    def read(told):
        """What a task after the sensor gets of it."""
        return {"got": told, "type": type(told).__name__}

    read(wait("sensor").output)

# Ten in a DAG: for each of them the triggerer reads the whole DAG.
with DAG(dag_id="sensors", schedule=None, max_active_runs=1000):
    for index in range(int(os.environ["LIVE_SENSORS"])):
        wait("sensors", index)
