"""Defining a task: what it costs to import, what it refuses, and what survives serialization."""

import asyncio
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_vectorshift.operators import VectorShiftExportOperator
from tests.airflow.running import last_day
from vectorshift import Analytics

QUERY = Analytics.query(object_type="pipeline").where(status="failure")


def test_importing_adds_little():
    """After `import airflow`, the operators bring only small modules of ours: no data library."""
    script = (
        "import airflow, airflow.sdk, sys\n"
        "from airflow.sdk import BaseOperator, BaseHook, conf, exceptions\n"
        "before = set(sys.modules)\n"
        "import airflow_provider_vectorshift.operators\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    added = done.stdout.splitlines()[-1].split()
    ours = {"airflow_provider_vectorshift", "vectorshift", "vectorshift_orchestration"}
    others = {name.split(".")[0] for name in added} - ours - sys.stdlib_module_names
    assert others == set()  # neither duckdb nor pyarrow, nor more of Airflow than it had loaded
    assert len(added) <= 25


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "nowhere to land"),
        ({"table": "events"}, "belong together"),
        ({"duckdb_path": "x", "destination": "y"}, "belong together"),
        ({"destination": "y", "timeout": 0}, "timeout="),
        ({"destination": "y", "poll_interval": -1}, "poll_interval="),
    ],
)
def test_bad_arguments(arguments, words):
    """Arguments that cannot work are refused where the DAG is read, with operator and argument."""
    with pytest.raises(ValueError, match=words) as caught:
        VectorShiftExportOperator(task_id="export", **arguments)
    assert "VectorShiftExportOperator 'export'" in str(caught.value)


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
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG(dag_id="d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        VectorShiftExportOperator(
            task_id="export", query=QUERY, destination="dt={{ ds }}", deferrable=True
        )
    again = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    task = again.get_task("export")
    assert task.task_type == "VectorShiftExportOperator"
    assert task.destination == "dt={{ ds }}"
    assert task.query == QUERY.to_dict()


def test_deferral_lands_what_was_asked(emulator, tmp_path):
    """A window that is rendered anew after the deferral does not change what lands.

    `dag.test()` drops a deferral's arguments, so this follows Airflow's steps by hand.
    """
    from airflow.sdk.exceptions import TaskDeferred

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
    trigger, asked = deferred.value.trigger, deferred.value.kwargs
    assert began + 60 <= trigger.deadline <= time.time() + 60
    assert deferred.value.timeout > timedelta(seconds=60)  # the scheduler's, if no triggerer lives

    async def first_event():
        return (await anext(trigger.run())).payload

    event = asyncio.run(first_event())
    task.start = task.start - timedelta(hours=1)
    done = getattr(task, deferred.value.method_name)({}, event=event, **asked)
    assert done["window"] == day.to_dict()
    assert "download_url" not in str([event, asked, trigger.serialize()])


def test_windows_without_an_interval(emulator):
    """A run without a data interval is told what to do, and a half explicit one uses the rest."""
    from airflow_provider_vectorshift._context import window_of
    from vectorshift_orchestration import WindowError

    day = last_day()
    with pytest.raises(WindowError, match=r"no data interval.*logical date"):
        window_of({}, None, day.end)
    context = {"data_interval_start": day.start, "data_interval_end": day.end}
    assert window_of(context, None, None) == day
    earlier = day.start - timedelta(days=1)
    assert window_of(context, earlier, None) == day.lookback(1)
