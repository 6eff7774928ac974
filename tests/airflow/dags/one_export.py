"""One task, with the arguments that the test put into the environment."""

import json
import os
from pathlib import Path

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_vectorshift.operators import VectorShiftExportOperator

SCHEDULES = {
    "daily": CronDataIntervalTimetable("@daily", timezone="UTC"),
    "trigger": "@daily",
}


def note_error(context):
    """Write down what the task failed with: `dag.test()` only logs it."""
    error = context["exception"]
    with open(os.environ["ONE_EXPORT_ERRORS"], "a") as file:
        file.write(json.dumps([type(error).__name__, str(error)]) + "\n")


def note_and_clear_the_way(context):
    """Between two tries, take away the file that stood in the way of the first."""
    note_error(context)
    Path(os.environ["ONE_EXPORT_OBSTACLE"]).unlink(missing_ok=True)


with DAG(
    dag_id="one_export",
    schedule=SCHEDULES[os.environ.get("ONE_EXPORT_SCHEDULE", "daily")],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
):
    arguments = {
        "task_id": "export",
        "on_failure_callback": note_error,
        "on_retry_callback": note_and_clear_the_way,
        "outlets": [Asset(uri) for uri in os.environ.get("ONE_EXPORT_ASSET", "").split()],
        **json.loads(os.environ.get("ONE_EXPORT", '{"destination": "unused"}')),
    }
    if by := os.environ.get("ONE_EXPORT_ASSET_REF"):
        known = Asset(name="referred", uri="x-lake://referred")
        EmptyOperator(task_id="knows_the_asset", outlets=[known])
        arguments["outlets"] = [Asset.ref(**{by: getattr(known, by)})]
    if each := json.loads(os.environ.get("ONE_EXPORT_EACH", "[]")):
        VectorShiftExportOperator.partial(**arguments).expand_kwargs(each)
    else:
        VectorShiftExportOperator(**arguments)
