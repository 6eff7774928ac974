"""Every operator in the ways of writing a DAG that Airflow offers, with templates that come out as Python objects."""

import os
from datetime import timedelta

from airflow.sdk import DAG, Asset, AssetAlias, task

from airflow_provider_vectorshift.operators import (
    VectorShiftAggregateOperator,
    VectorShiftExportOperator,
    VectorShiftThresholdCheckOperator,
)
from airflow_provider_vectorshift.sensors import VectorShiftErrorCountSensor
from tests.days import MIDNIGHT
from vectorshift_orchestration import Absolute

FOLDER = os.environ.get("IDIOMS_FOLDER", "/tmp")

with DAG(
    "idioms",
    schedule=None,
    render_template_as_native_obj=True,
    default_args={"execution_timeout": timedelta(minutes=5)},
    params={"before": 1, "query": {"object_type": "pipeline"}, "limit": 1_000_000},
):

    @task(multiple_outputs=True)
    def asked():
        """What the other tasks are to look at: a query, a datetime, a text."""
        day = MIDNIGHT
        return {"query": {}, "start": day - timedelta(days=1), "end": day.isoformat()}

    found = asked()
    window = {"start": found["start"], "end": found["end"]}
    export = VectorShiftExportOperator(
        task_id="export",
        query=found["query"],
        table="events",
        duckdb_path=f"{FOLDER}/events.duckdb",
        lookback="{{ params.before }}",
        poll_interval=0.1,
        deferrable=True,
        outlets=[Asset("idioms_events"), AssetAlias("idioms_aliased")],
        **window,
    )
    figures = VectorShiftAggregateOperator(
        task_id="figures",
        query="{{ params.query }}",
        metrics="{{ ['runs.sum', 'errors.sum'] }}",
        interval="hour",
        outlets=[AssetAlias("idioms_figures")],
        **window,
    )
    check = VectorShiftThresholdCheckOperator(
        task_id="check",
        rule={"rule": "absolute", "metric": "errors.sum", "error": "{{ params.limit }}"},
        trigger_rule="all_done",
        **window,
    )
    pulled = VectorShiftThresholdCheckOperator(
        task_id="pulled",
        rule=Absolute(metric="errors.sum", error=0),
        start="{{ ti.xcom_pull(task_ids='asked')['start'] }}",
        end="{{ ti.xcom_pull(task_ids='asked')['end'] }}",
        fail_on="never",
    )
    VectorShiftErrorCountSensor(
        task_id="sensor",
        threshold="{{ params.limit - 1_000_000 }}",
        timeout=30,
        deferrable=True,
        **window,
    )
    VectorShiftExportOperator.partial(task_id="mapped", poll_interval=0.1, **window).expand_kwargs(
        [
            {"query": None, "destination": f"{FOLDER}/all.csv"},
            {"query": "{{ params.query }}", "destination": f"{FOLDER}/pipelines.csv"},
        ]
    )
    export >> [figures, check] >> pulled
