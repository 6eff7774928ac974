"""A sensor that needs no worker: it starts and ends in the triggerer."""

from airflow.sdk import DAG, task

from airflow_provider_vectorshift.sensors import VectorShiftExportSensor

with DAG(dag_id="sensor", schedule=None):

    @task
    def read(told):
        """What a task after the sensor gets of it."""
        return {"got": told, "type": type(told).__name__}

    wait = VectorShiftExportSensor(
        task_id="wait",
        export_id="{{ dag_run.conf['export'] }}",
        vectorshift_conn_id="vs_sensor",
        deferrable=True,
        complete_in_triggerer=True,
        start_from_trigger=True,
    )
    read(wait.output)
