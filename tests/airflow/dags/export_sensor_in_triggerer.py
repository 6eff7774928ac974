"""Sensors that the triggerer ends, or that never see a worker, for a live Airflow.

`EXPORT_SENSOR_CONNECTION` names the connection; `vectorshift_default` by default.
"""

import os

import pendulum
from airflow.sdk import DAG, Param, task

from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.sensors import VectorShiftExportSensor

CONNECTION = os.environ.get("EXPORT_SENSOR_CONNECTION", VectorShiftHook.default_conn_name)
WAITING = {
    "task_id": "wait",
    "vectorshift_conn_id": CONNECTION,
    "poke_interval": 1,
    "timeout": 120,
    "deferrable": True,
    "complete_in_triggerer": True,
}


def dag(dag_id, **arguments):
    """A DAG that runs when it is told to."""
    start = pendulum.datetime(2026, 1, 1, tz="UTC")
    return DAG(dag_id=dag_id, schedule=None, start_date=start, **arguments)


@task
def submit(number=0):
    """Ask for every event and do not wait."""
    with VectorShiftHook(CONNECTION).get_conn() as client:
        return client.query().export("CSV", f"everything-{number}.csv")["task_id"]


@task
def use(seen):
    """Something downstream, which takes the sensor's result."""
    return seen


with dag("sensor_in_triggerer"):
    use(VectorShiftExportSensor(export_id=submit(), **WAITING).output)

with dag("sensor_from_trigger", params={"export_id": Param("ex_unknown", type="string")}):
    use(
        VectorShiftExportSensor(
            export_id="{{ params.export_id }}", start_from_trigger=True, **WAITING
        ).output
    )

with dag("sensor_started_in_triggerer", params={"export_id": Param("ex_unknown", type="string")}):
    # It starts in the triggerer and finishes on a worker.
    on_worker = WAITING | {"complete_in_triggerer": False}
    use(
        VectorShiftExportSensor(
            export_id="{{ dag_run.conf['export_id'] }}", start_from_trigger=True, **on_worker
        ).output
    )

with dag("sensor_skips_in_triggerer"):
    VectorShiftExportSensor(
        export_id="ex_unknown", soft_fail=True, start_from_trigger=True, **WAITING
    )

with dag("sensor_mapped_in_triggerer"):
    VectorShiftExportSensor.partial(**WAITING).expand(
        export_id=submit.expand(number=list(range(20)))
    )
