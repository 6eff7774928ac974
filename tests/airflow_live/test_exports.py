"""Exports that nothing disturbs: by the scheduler, in the triggerer, mapped, and waited for without a worker."""

from datetime import datetime

import pytest

from tests.airflow.running import truth
from tests.airflow_live.accounts import submit
from tests.airflow_live.conftest import PIPELINES
from tests.airflow_live.landing import ids_in

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]


def seconds_of(run):
    """How long a run took."""
    began, ended = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    return round((ended - began).total_seconds(), 1)


def test_nightly(stack, accounts, warehouse, day, figures):
    """The scheduler starts the last day's run by itself; file and table have the day's rows."""
    (run,) = stack.until(lambda: stack.rest.runs("nightly"), "the scheduler starts the day")
    assert stack.ended("nightly", run["dag_run_id"]) == "success"
    (run,) = stack.rest.runs("nightly")
    assert run["run_type"] == "scheduled"
    expected = truth(accounts["nightly"], day)
    assert warehouse.rows("nightly") == expected != []
    assert ids_in(stack.out / "nightly" / "events.csv") == expected
    assert accounts["nightly"].counters()["exports_created"] == 1
    figures["nightly_s"] = seconds_of(run)


def test_deferred(stack, accounts, begun, warehouse, day, figures):
    """Waiting in the triggerer lands the same, and its result is what the sync one's is."""
    assert stack.ended("deferred", begun["deferred"]) == "success"
    expected = truth(accounts["deferred"], day)
    assert warehouse.rows("deferred") == expected
    assert ids_in(stack.out / "deferred" / "events.csv") == expected
    assert accounts["deferred"].counters()["exports_created"] == 1
    result = stack.rest.xcom("deferred", begun["deferred"], "export")
    assert result["rows"] == len(expected)
    (run,) = stack.rest.runs("nightly")
    stack.ended("nightly", run["dag_run_id"])
    sync = stack.rest.xcom("nightly", run["dag_run_id"], "export")
    variable = ("task_id", "uri", "table", "sha256", "bytes")
    assert set(result) == set(sync)
    assert {name: result[name] for name in result if name not in variable} == {
        name: sync[name] for name in sync if name not in variable
    }
    (run,) = stack.rest.runs("deferred")
    figures["deferred_s"] = seconds_of(run)


def test_mapped(stack, accounts, begun, day, figures):
    """20 pipelines, two at a time: each lands its own rows, by one export."""
    assert stack.ended("mapped", begun["mapped"], seconds=400) == "success"
    tasks = stack.rest.tasks("mapped", begun["mapped"])
    assert [(task["state"], task["pool"]) for task in tasks] == [("success", "vectorshift")] * 20
    assert accounts["mapped"].counters()["exports_created"] == 20
    for pipeline in PIPELINES:
        expected = truth(accounts["mapped"], day, f"pipeline_id = '{pipeline}'")
        assert ids_in(stack.out / "mapped" / f"{pipeline}.csv") == expected != []
    changes = sorted(
        change for task in tasks for change in ((task["start_date"], 1), (task["end_date"], -1))
    )
    running = [sum(step for _, step in changes[: number + 1]) for number in range(len(changes))]
    assert max(running) == 2
    (run,) = stack.rest.runs("mapped")
    figures["mapped_20_s"] = seconds_of(run)


def test_sensor(stack, accounts, figures):
    """The sensor starts, waits and ends in the triggerer: no worker ever had it, and its result is whole."""
    export_id = submit(accounts["sensor"])
    run_id = stack.rest.trigger("sensor", conf={"export": export_id})
    assert stack.ended("sensor", run_id) == "success"
    task = stack.rest.task("sensor", run_id, "wait")
    assert (task["state"], task["pid"], task["hostname"]) == ("success", None, "")
    reported = {"export_id": export_id, "status": "ready"}
    assert stack.rest.xcom("sensor", run_id, "read") == {"got": reported, "type": "dict"}
    figures["sensor_s"] = round(task["duration"], 1)
