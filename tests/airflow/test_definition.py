"""Defining a task: what it costs to import, what it refuses, and what survives serialization."""

import asyncio
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift.operators import (
    VectorShiftAggregateOperator,
    VectorShiftExportOperator,
)
from tests.airflow.moved import TaskDeferred
from tests.airflow.running import last_day, stored_and_read
from vectorshift import Analytics
from vectorshift_orchestration.values import as_json

QUERY = Analytics.query(object_type="pipeline").where(status="failure")


def test_importing_adds_little():
    """After `import airflow`, the operators bring only small modules of ours: no data library."""
    script = (
        "import airflow, airflow.sdk, sys\n"
        "from airflow.sdk import BaseOperator, BaseOperatorLink, BaseHook\n"
        "import airflow_provider_vectorshift._airflow\n"
        "before = set(sys.modules)\n"
        "from airflow_provider_vectorshift.operators import *\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    added = done.stdout.splitlines()[-1].split()
    ours = {"airflow_provider_vectorshift", "vectorshift", "vectorshift_orchestration"}
    others = {name.split(".")[0] for name in added} - ours - sys.stdlib_module_names
    assert others == set()  # neither duckdb nor pyarrow, nor more of Airflow than it had loaded
    assert len(added) <= 35


FILE = {"destination": "y.csv"}
TABLE = {"table": "events", "duckdb_path": "x"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "nowhere to land"),
        ({"destination": ""}, "destination= is a text"),
        ({"destination": 3}, "destination= is a text"),
        ({"table": "events"}, "either sql_conn_id= .* or duckdb_path="),
        (TABLE | {"sql_conn_id": "pg"}, "not both"),
        ({"destination": "/a/"}, "destination= cannot be used. /a/ is a folder"),
        ({"destination": "s3://bucket"}, "destination= cannot .* bucket"),
        ({"destination": "https://a/b.csv"}, "destination= cannot .* not a storage"),
        ({"table": "a.b.c.d", "sql_conn_id": "pg"}, "table= cannot .* not a table name"),
        (TABLE | {"table": "a."}, "table= cannot .* Write table or schema.table"),
        ({"table": "t", "duckdb_path": ":memory:"}, "duckdb_path= cannot .* file of this machine"),
        (FILE | {"duckdb_path": "x"}, "duckdb_path= names a database. Give table="),
        (FILE | {"sql_conn_id": "x"}, "sql_conn_id= names a database. Give table="),
        (FILE | {"timeout": 0}, "timeout= is a timedelta or a number of seconds above 0, not 0"),
        (FILE | {"timeout": float("inf")}, "timeout="),
        (FILE | {"poll_interval": -1}, "poll_interval="),
        (FILE | {"poll_interval": "2"}, "poll_interval="),
        (FILE | {"poll_interval": True}, "poll_interval="),
        (FILE | {"late_arrival": "3600"}, "late_arrival= is a timedelta"),
        (FILE | {"late_arrival": timedelta(hours=-1)}, "late_arrival="),
        (TABLE | {"chunks": 0}, "chunks= is a whole number from 1 to 100, not 0"),
        (TABLE | FILE | {"chunks": 2}, "chunks=2 makes as many files"),
        (FILE | {"deferrable": "yes"}, "deferrable= is True or False"),
        (FILE | {"durable": 1}, "durable="),
        (FILE | {"file_format": "CVS"}, "file_format= .* Did you mean csv?"),
        (FILE | {"file_format": "PARQUET"}, "file_format= .* Known: csv, json, xlsx"),
        (FILE | {"file_format": None}, "file_format="),
        (FILE | {"file_format": "JSON"}, r"named \.csv and would hold JSON"),
        (FILE | {"parquet": True}, r"named \.csv and would hold PARQUET"),
        (TABLE | {"parquet": True}, "parquet= needs a file"),
        (TABLE | {"lookback": -1}, "lookback= is a whole number"),
        (TABLE | {"lookback": 1.5}, "lookback= is a whole number"),
        (TABLE | {"lookback": True}, "lookback="),
        (TABLE | FILE | {"lookback": 1}, "lookback= overwrites earlier intervals"),
        (FILE | {"start": datetime(2026, 11, 22)}, "start= cannot .* no time zone"),  # noqa: DTZ001
        (FILE | {"start": "yesterday"}, "start= cannot .* ISO 8601"),
        (FILE | {"end": "2026-11-22T00:00:00"}, "end= cannot .* no time zone"),
        (FILE | {"end": 5}, "end= cannot .* is 5; give an aware datetime"),
        (
            FILE | {"start": "2026-11-23T00Z", "end": "2026-11-22T00Z"},
            "start= and end= cannot .* after",
        ),
        (FILE | {"vectorshift_conn_id": ""}, "vectorshift_conn_id="),
        (FILE | {"query": "pl_1"}, "query= cannot be used"),
        (FILE | {"query": {"where": [], "objekt_id": "pl_1"}}, "query= cannot .*objekt_id"),
        (FILE | {"query": QUERY.group_by("pipeline_id").to_dict()}, "query= cannot .* grouped"),
    ],
)
def test_bad_arguments(arguments, words):
    """Arguments that cannot work are refused where the DAG is read, in one sentence with operator and argument."""
    with pytest.raises(ValueError, match=words) as caught:
        VectorShiftExportOperator(task_id="export", **arguments)
    assert "VectorShiftExportOperator 'export'" in str(caught.value)


@pytest.mark.parametrize("late", [timedelta(minutes=30), 1800])
@pytest.mark.parametrize("timeout", [timedelta(minutes=5), 300, 300.0])
@pytest.mark.parametrize("interval", [timedelta(seconds=4), 4])
def test_durations(late, timeout, interval):
    """A duration may be a timedelta or a number of seconds, whichever argument it is for."""
    task = VectorShiftExportOperator(
        task_id="export", **FILE, late_arrival=late, timeout=timeout, poll_interval=interval
    )
    options = task.options
    assert (options.late_arrival, options.timeout, options.poll_interval) == (
        timedelta(minutes=30),
        300,
        4,
    )


@pytest.mark.parametrize("name", ["poll_interval", "timeout", "late_arrival"])
@pytest.mark.parametrize("value", [True, None, "soon", timedelta(seconds=-1), float("nan"), [1]])
def test_what_is_not_a_duration(name, value):
    """Everything else is refused in one sentence that says what to give."""
    with pytest.raises(
        ValueError, match=rf"'export': {name}= is a timedelta or a number of seconds"
    ):
        VectorShiftExportOperator(task_id="export", **FILE, **{name: value})


@pytest.mark.parametrize(
    "text",
    [
        "['runs.sum', 'latency.p95']",
        ' ["runs.sum", "latency.p95"]',
        '["runs.sum",\n"latency.p95"]',
    ],
)
def test_a_list_without_tojson(text):
    """What `{{ params.metrics }}` comes out as is read as the list that it is."""
    assert as_json(text) == ["runs.sum", "latency.p95"]


def test_a_document_without_tojson():
    """So is a query or a rule; a text that is not the literal of a JSON value stays a text."""
    document = {"where": None, "object_ids": ["pl_1"], "x": [{"y": True, "z": 0.5}]}
    assert as_json(str(document)) == document
    for text in (
        "{1: 'a'}",
        "{'a': (1, 2)}",
        "{'a', 'b'}",
        "[f(x)]",
        "{'a': b'x'}",
        "[nan]",
        "{{ x }}",
    ):
        assert as_json(text) == text


@pytest.mark.parametrize("name", ["query", "metrics", "group_by"])
def test_a_text_that_is_not_json(name):
    """A template that comes out as something else names `tojson`."""
    arguments = {"query": None, "metrics": ["runs.sum"], "group_by": []} | {name: "{{ params.x }}"}
    task = VectorShiftAggregateOperator(
        task_id="measure", start="2026-01-01T00Z", end="2026-01-02T00Z", **arguments
    )
    with pytest.raises(AirflowFailException, match=rf"'measure': {name}= .*\| tojson"):
        task.render_template_fields({"params": {"x": {"at": datetime(2026, 1, 1, tzinfo=UTC)}}})


def test_templates_and_other_tasks_results_are_let_pass():
    """What is only known at run time is not judged where the DAG is read."""
    from airflow.sdk import DAG

    template = "{{ params.x }}"
    with DAG("d", schedule=None):
        before = VectorShiftExportOperator(task_id="before", **TABLE)
        task = VectorShiftExportOperator(
            task_id="export",
            query={"object_id": template},
            file_format=template,
            destination=template,
            table=before.output["table"],
            sql_conn_id=template,
            start=template,
            end=before.output["window"]["end"],
            lookback=template,
        )
    assert task.upstream_task_ids == {"before"}


def test_query_object_and_its_json_are_one():
    """A Query becomes its JSON form, which templates reach into; paths become text."""
    tasks = [
        VectorShiftExportOperator(task_id="export", query=query, destination=destination)
        for query, destination in ((QUERY, Path("a/b")), (QUERY.to_dict(), "a/b"))
    ]
    assert tasks[0].query == tasks[1].query == QUERY.to_dict()
    assert tasks[0].destination == tasks[1].destination == "a/b"


def test_serialized_dag_round_trip():
    """A DAG with the operator serializes to JSON and back with its template fields unchanged."""
    from airflow.sdk import DAG

    with DAG(dag_id="d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        VectorShiftExportOperator(
            task_id="export", query=QUERY, destination="dt={{ ds }}", deferrable=True
        )
    task = stored_and_read(dag).get_task("export")
    assert task.task_type == "VectorShiftExportOperator"
    assert task.destination == "dt={{ ds }}"
    assert task.query == QUERY.to_dict()
    assert task.extra_links == ["VectorShift export"]


def test_deferral_lands_what_was_requested(emulator, tmp_path):
    """A window that is rendered anew after the deferral does not change what lands.

    `dag.test()` drops a deferral's arguments, so this follows Airflow's steps by hand.
    """
    day = last_day()
    task = VectorShiftExportOperator(
        task_id="export",
        destination=tmp_path / "events.csv",
        start=day.start,
        end=day.end,
        deferrable=True,
        poll_interval=0.05,
        timeout=60,
    )
    began = time.time()
    with pytest.raises(TaskDeferred) as deferred:
        task.execute({})
    trigger, requested = deferred.value.trigger, deferred.value.kwargs
    assert began + 60 <= trigger.deadline <= time.time() + 60
    assert deferred.value.timeout > timedelta(seconds=60)  # the scheduler's, if no triggerer lives

    async def first_event():
        return (await anext(trigger.run())).payload

    event = asyncio.run(first_event())
    task.start = task.start - timedelta(hours=1)
    done = getattr(task, deferred.value.method_name)({}, event=event, **requested)
    assert done["window"] == day.to_dict()
    assert "download_url" not in str([event, requested, trigger.serialize()])
