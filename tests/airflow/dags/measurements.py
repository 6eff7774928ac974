"""Tasks that measure, with the arguments that the test put into the environment.

MEASUREMENTS is JSON: for each task id, the class's name and its arguments. Those under `expand` or
`expand_kwargs` are mapped; the queries under `group` map a group around the task. What a task fails with is noted in the file MEASUREMENTS_ERRORS.
"""

import json
import os

import pendulum
from airflow.sdk import DAG, BaseNotifier, task_group
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_vectorshift import operators

UNUSED = {"unused": {"class": "VectorShiftAggregateOperator", "metrics": ["runs.sum"]}}


class Note(BaseNotifier):
    """Writes down what the task failed with, as a notifier's template tells it."""

    template_fields = ("text",)

    def __init__(self):
        super().__init__()
        self.text = "{{ exception }}"

    def notify(self, context):
        """Add a line to the file."""
        with open(os.environ["MEASUREMENTS_ERRORS"], "a") as file:
            file.write(json.dumps([type(context["exception"]).__name__, self.text]) + "\n")


def task(task_id, arguments):
    """One task, mapped or not."""
    operator = getattr(operators, arguments.pop("class"))
    mapped = {
        name: arguments.pop(name)
        for name in ("expand", "expand_kwargs", "group")
        if name in arguments
    }
    plain = {
        "task_id": task_id,
        "on_failure_callback": Note(),
        "on_retry_callback": Note(),
        **arguments,
    }
    if "expand" in mapped:
        operator.partial(**plain).expand(**mapped["expand"])
    elif "expand_kwargs" in mapped:
        operator.partial(**plain).expand_kwargs(mapped["expand_kwargs"])
    elif "group" in mapped:

        @task_group(group_id="group")
        def group(query):
            operator(**plain, query=query)

        group.expand(query=mapped["group"])
    else:
        operator(**plain)


with DAG(
    dag_id="measurements",
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
):
    for task_id, arguments in json.loads(
        os.environ.get("MEASUREMENTS", json.dumps(UNUSED))
    ).items():
        task(task_id, arguments)
