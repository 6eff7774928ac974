"""One DAG for each scenario, each with an account of its own, so that its exports can be counted."""

import os
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import DAG
from airflow.sdk.definitions.timetables.interval import CronDataIntervalTimetable

from airflow_provider_vectorshift.operators import VectorShiftExportOperator
from vectorshift import Analytics

OUT = Path(os.environ["LIVE_OUT"])
PIPELINES = os.environ["LIVE_PIPELINES"].split(",")


def dag(dag_id, schedule=None):
    """A DAG that starts yesterday, with one retry that comes at once."""
    return DAG(
        dag_id=dag_id,
        schedule=schedule,
        start_date=pendulum.today("UTC").subtract(days=1),
        catchup=False,
        default_args={"retries": 1, "retry_delay": timedelta(0)},
    )


def export(scenario, *, deferrable):
    """The scenario's task: a file, and a table of the warehouse."""
    VectorShiftExportOperator(
        task_id="export",
        vectorshift_conn_id=f"vs_{scenario}",
        destination=OUT / scenario / "events.csv",
        table=scenario,
        sql_conn_id="warehouse",
        deferrable=deferrable,
        poll_interval=0.5,
    )


with dag("nightly", CronDataIntervalTimetable("@daily", timezone="UTC")):
    export("nightly", deferrable=False)

for name, waits_in_triggerer in {
    "deferred": True,
    "worker_killed": False,
    "triggerer_killed": True,
    "scheduler_killed": False,
    "scheduler_killed_deferred": True,
    "cleared": True,
    "marked_failed": True,
    "canary": True,
}.items():
    with dag(name):
        export(name, deferrable=waits_in_triggerer)

with dag("mapped"):
    VectorShiftExportOperator.partial(
        task_id="export", vectorshift_conn_id="vs_mapped", pool="vectorshift", poll_interval=0.2
    ).expand_kwargs(
        [
            {
                "query": Analytics.query(object_type="pipeline", object_ids=[pipeline]).to_dict(),
                "destination": str(OUT / "mapped" / f"{pipeline}.csv"),
            }
            for pipeline in PIPELINES
        ]
    )
