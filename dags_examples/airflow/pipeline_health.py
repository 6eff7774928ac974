"""Every day, how the pipelines are: three tables, three kinds of checks, and what follows from them.

    <home>/health.duckdb      health_by_pipeline, health_by_model (by day), health_by_hour
    <home>/health.html        the health page of the last run, out of these tables

`<home>` is the environment variable VECTORSHIFT_EXAMPLES_HOME, or ~/vectorshift. The connection is
`vectorshift_default`. The pool, which limits how many tasks ask the service at once, has to be made:

    airflow pools set vectorshift 4 "Tasks that ask VectorShift at once"

A table is one request, however many days it covers. After days without a run (the scheduler was
down, the DAG was paused) the next run measures from where the last successful one ended; the checks
judge the day alone. Any range can be measured and judged again, here October:

    airflow dags trigger pipeline_health \\
        --conf '{"start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}'
"""

import os
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import DAG, Param, task
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_vectorshift.operators import (
    VectorShiftAggregateOperator,
    VectorShiftReportOperator,
    VectorShiftThresholdCheckOperator,
)
from vectorshift import Analytics, Pipeline
from vectorshift_orchestration import Absolute, Baseline, Rate

HOME = Path(os.environ.get("VECTORSHIFT_EXAMPLES_HOME", "~/vectorshift")).expanduser()
PIPELINES = ["pl_1", "pl_2"]  # the ids of those that are looked at one by one
RUNS = Analytics.query(object_type="pipeline")
AN_INSTANT = {"type": ["null", "string"], "format": "date-time"}

with DAG(
    dag_id="pipeline_health",
    description="Figures, thresholds and trends of VectorShift pipelines",
    # A plain "@daily" would have an empty data interval in Airflow 3.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2020, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={"start": Param(None, **AN_INSTANT), "end": Param(None, **AN_INSTANT)},
    default_args={
        "start": "{{ params.start or data_interval_start }}",
        "end": "{{ params.end or data_interval_end }}",
        "retries": 2,
        "retry_delay": pendulum.duration(minutes=1),
    },
    tags=["vectorshift"],
    doc_md=__doc__,
):
    # Each mapped task writes a table of its own: two with one table would replace each other's rows.
    measured = VectorShiftAggregateOperator.partial(
        task_id="measure",
        query=RUNS,
        metrics=["runs.sum", "errors.sum", "error_rate", "latency.p95", "model_costs.sum"],
        duckdb_path=HOME / "health.duckdb",
        # From where the last successful run ended, and never less than this run's own interval.
        start="{{ params.start or [prev_data_interval_end_success or data_interval_start, "
        "data_interval_start] | min }}",
        pool="vectorshift",
        max_active_tis_per_dagrun=1,  # a DuckDB file has one writer at a time
        map_index_template="{{ task.table }}",
    ).expand_kwargs(
        [
            {"table": "health_by_pipeline", "group_by": ["pipeline_id"], "interval": "day"},
            {"table": "health_by_model", "group_by": ["model_id"], "interval": "day"},
            {"table": "health_by_hour", "interval": "hour"},
        ]
    )

    # The extra `report` draws it.
    measured >> VectorShiftReportOperator(
        task_id="page",
        tables=["health_by_pipeline", "health_by_model", "health_by_hour"],
        destination=HOME / "health.html",
        duckdb_path=HOME / "health.duckdb",
    )

    # Fails at once, with the reason, when runs take much longer than they used to.
    VectorShiftThresholdCheckOperator(
        task_id="check_latency",
        query=RUNS,
        rule=Baseline(metric="latency.mean", warn=3.5, error=10),
    )

    # One check for each pipeline; none fails, and one task tells of all.
    verdicts = VectorShiftThresholdCheckOperator.partial(
        task_id="check_pipeline",
        rule=Absolute(metric="errors.sum", warn=0, error=10),
        fail_on="never",
        message="{{ task.query.object_id }}: {{ reason }}",
        pool="vectorshift",
        map_index_template="{{ task.query.object_id }}",
    ).expand(query=[Analytics.query(object=Pipeline(each)) for each in PIPELINES])

    @task
    def tell(verdicts: list[dict[str, Any]]) -> list[str]:
        """What is to be said of the pipelines with failed runs; `print` stands for your notifier."""
        messages = [verdict["message"] for verdict in verdicts if not verdict["ok"]]
        print(*messages, sep="\n")
        return messages

    tell(verdicts.output)

    # Goes on only while few runs fail. The figures are few, so they need no table.
    errors = VectorShiftThresholdCheckOperator(
        task_id="check_errors",
        query=RUNS,
        rule=Rate(error=0.2, minimum_sample=20),
        fail_on="never",
    )
    totals = VectorShiftAggregateOperator(
        task_id="totals", query=RUNS, metrics=["runs.sum", "model_costs.sum"]
    )

    @task.short_circuit
    def healthy(verdict: dict[str, Any]) -> bool:
        """Whether what comes after should run."""
        return verdict["ok"]

    @task
    def summary(rows: list[dict[str, Any]]) -> str:
        """A sentence about the window; `print` stands for whatever the figures are for."""
        [row] = rows
        text = f"{row['runs_sum']:,} runs since {row['bucket_start']} cost ${row['model_costs_sum']:.2f}"
        print(text)
        return text

    healthy(errors.output) >> summary(totals.output)
