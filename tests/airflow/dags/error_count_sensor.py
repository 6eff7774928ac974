"""Error-count sensors, and what acts on their verdict, with the arguments that the test put into the environment.

ERROR_COUNT_SENSORS is JSON: the arguments by task id.
"""

import json
import os

import pendulum
from airflow.sdk import DAG, task
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_vectorshift.sensors import VectorShiftErrorCountSensor

with DAG(
    dag_id="error_count_sensor",
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
):

    @task.short_circuit
    def severe(verdict):
        """Go on only where the error limit was passed."""
        return verdict["severity"] == "ERROR"

    @task
    def act():
        """What happens then."""
        return "acted"

    for task_id, arguments in json.loads(os.environ.get("ERROR_COUNT_SENSORS", "{}")).items():
        sensor = VectorShiftErrorCountSensor(task_id=task_id, **arguments)
        if task_id == "poke":
            severe(sensor.output) >> act()
