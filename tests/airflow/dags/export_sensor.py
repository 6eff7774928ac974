"""One task that only asks for an export, and sensors that wait for it, as the test wants them.

The environment holds their arguments by task id; an `export_id` among them replaces that of the
asking task.
"""

import json
import os

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.sensors import VectorShiftExportSensor


def note_error(context):
    """Write down what a task failed with: `dag.test()` only logs it."""
    error = context["exception"]
    with open(os.environ["EXPORT_SENSORS_ERRORS"], "a") as file:
        file.write(json.dumps([context["ti"].task_id, type(error).__name__, str(error)]) + "\n")


with DAG(
    dag_id="export_sensor",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    default_args={
        "retries": 1,
        "retry_delay": 0,
        "on_failure_callback": note_error,
        "on_retry_callback": note_error,
    },
):

    @task
    def submit():
        """Ask for every event and do not wait."""
        with VectorShiftHook().get_conn() as client:
            return client.query().export("CSV", "everything.csv")["task_id"]

    asked = submit()
    for task_id, arguments in json.loads(os.environ.get("EXPORT_SENSORS", "{}")).items():
        VectorShiftExportSensor(task_id=task_id, **{"export_id": asked} | arguments)
