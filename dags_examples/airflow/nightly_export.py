"""Every night, yesterday's events: one file and one table.

    <home>/events/dt=2026-11-22/events.csv      the file, published whole
    <home>/events.duckdb, table events          the same rows, replacing that day

`<home>` is the environment variable VECTORSHIFT_EXAMPLES_HOME, or ~/vectorshift. The connection is
`vectorshift_default`. A day runs after it has ended, so to export 22 November, name the 23rd:

    airflow dags test nightly_export 2026-11-23

Without a date that command exports the last complete day (UTC).
"""

import os
from pathlib import Path

import pendulum
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_vectorshift.operators import VectorShiftExportOperator

HOME = Path(os.environ.get("VECTORSHIFT_EXAMPLES_HOME", "~/vectorshift")).expanduser()

with DAG(
    dag_id="nightly_export",
    description="Yesterday's VectorShift events into a file and a DuckDB table",
    # A plain "@daily" would have an empty data interval in Airflow 3.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2020, 1, 1, tz="UTC"),  # any day from here on can be exported
    catchup=False,
    max_active_runs=1,  # a DuckDB file has one writer at a time
    default_args={"retries": 2, "retry_delay": pendulum.duration(minutes=1)},
    tags=["vectorshift"],
    doc_md=__doc__,
):
    VectorShiftExportOperator(
        task_id="export_events",
        destination=f"{HOME}/events/dt={{{{ data_interval_start | ds }}}}/events.csv",
        table="events",
        duckdb_path=f"{HOME}/events.duckdb",
    )
