"""The export sensor in whole runs of real Airflow: every mode ends alike."""

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_vectorshift.triggers import VectorShiftExportTrigger
from tests.airflow.running import run_dag

pytestmark = pytest.mark.airflow
IN_TRIGGERER = {"deferrable": True, "complete_in_triggerer": True}
QUICK = {"poke_interval": 0.05, "timeout": 30}


@dataclass
class Ran:
    """A finished run: the tasks' states, results and links, and failed tries as (task, error, text)."""

    dag_run: Any
    states: dict
    results: dict
    links: dict
    errors: list


@pytest.fixture
def run(tmp_path, monkeypatch, metadata_database):
    """Runs sensors, whose arguments are given by task id, after a task that asks for an export."""
    errors = tmp_path / "errors.jsonl"
    errors.touch()

    def go(**sensors):
        everything = {task_id: QUICK | arguments for task_id, arguments in sensors.items()}
        monkeypatch.setenv("EXPORT_SENSORS", json.dumps(everything))
        monkeypatch.setenv("EXPORT_SENSORS_ERRORS", str(errors))
        done = run_dag("export_sensor", None)
        tasks = {task_id: done.get_task_instance(task_id) for task_id in ["submit", *sensors]}
        return Ran(
            done,
            {task_id: str(task.state) for task_id, task in tasks.items()},
            {task_id: task.xcom_pull(task_ids=task_id) for task_id, task in tasks.items()},
            {
                task_id: tasks[task_id].xcom_pull(task_ids=task_id, key="vectorshift_export_link")
                for task_id in sensors
            },
            [json.loads(line) for line in errors.read_text().splitlines()],
        )

    return go


def test_every_mode_gives_the_same_result(emulator, run):
    """Poke, reschedule and deferred, each waits for the upstream task's export and returns the same."""
    done = run(
        poke={},
        reschedule={"mode": "reschedule"},
        deferred={"deferrable": True},
        in_triggerer=IN_TRIGGERER,
    )
    assert set(done.states.values()) == {"success"}
    expected = {"export_id": done.results.pop("submit"), "status": "ready"}
    assert done.results == dict.fromkeys(
        ["poke", "reschedule", "deferred", "in_triggerer"], expected
    )
    assert emulator.counters()["exports_created"] == 1


def test_unknown_export(emulator, run):
    """An export that the service does not know fails each mode at its first try, or skips it."""
    missing = {"export_id": "ex_unknown"}
    done = run(
        poke=missing,
        reschedule=missing | {"mode": "reschedule"},
        deferred=missing | {"deferrable": True},
        soft=missing | {"soft_fail": True},
        soft_deferred=missing | {"soft_fail": True, "deferrable": True},
    )
    failing = ["poke", "reschedule", "deferred"]
    assert done.states == dict.fromkeys(failing, "failed") | {
        "submit": "success",
        "soft": "skipped",
        "soft_deferred": "skipped",
    }
    assert sorted(error[:2] for error in done.errors) == sorted(
        [task_id, "AirflowFailException"] for task_id in failing
    )
    assert {error[2] for error in done.errors if "ex_unknown" not in error[2]} == set()


def test_timeout(emulator, run):
    """An export that never gets ready times out as any sensor does, or skips, in every mode."""
    emulator.fault("export_poll", "never_ready", times=0)
    short = {"timeout": 0.5}
    done = run(
        poke=short,
        deferred=short | {"deferrable": True},
        soft=short | {"soft_fail": True},
        soft_deferred=short | {"soft_fail": True, "deferrable": True},
    )
    assert done.states == {
        "submit": "success",
        "poke": "failed",
        "deferred": "failed",
        "soft": "skipped",
        "soft_deferred": "skipped",
    }
    assert sorted(error[:2] for error in done.errors) == [
        ["deferred", "AirflowSensorTimeout"],
        ["poke", "AirflowSensorTimeout"],
    ]


@pytest.mark.airflow33
def test_result_stored_by_the_triggerer(emulator, run, metadata_database, monkeypatch):
    """What the triggerer stores is what a worker stores, to the letter."""
    from airflow.sdk.api.datamodels._generated import TaskInstance
    from airflow.sdk.execution_time.supervisor import (
        InProcessSupervisorComms,
        InProcessTestSupervisor,
    )

    async def asend(comms, message):
        return comms.send(message)

    # What a triggerer has, and Airflow's stand-in for tests has not.
    monkeypatch.setattr(InProcessSupervisorComms, "asend", asend, raising=False)
    done = run(poke={}, wait={"do_xcom_push": False}).dag_run
    task = done.get_task_instance("wait")
    trigger = VectorShiftExportTrigger(
        vectorshift_conn_id="vectorshift_default",
        export_id=done.get_task_instance("submit").xcom_pull(task_ids="submit"),
        timeout=30,
        poll_interval=0.05,
        complete_in_triggerer=True,
    )
    trigger.task_instance = TaskInstance(
        id=task.id,
        dag_id=task.dag_id,
        task_id=task.task_id,
        run_id=task.run_id,
        try_number=task.try_number,
        dag_version_id=task.dag_version_id,
    )
    event = InProcessTestSupervisor.run_trigger_in_process(trigger=trigger, ti=task)
    assert type(event).__name__ == "TaskSuccessEvent"
    with sqlite3.connect(metadata_database) as connection:
        query = "SELECT task_id, value FROM xcom WHERE run_id = ? AND key = 'return_value'"
        stored = dict(connection.execute(query, [done.run_id]).fetchall())
    assert stored["wait"] == stored["poke"]


def test_documented_example(emulator, metadata_database, tmp_path, monkeypatch):
    """The example of docs/airflow-waiting.md runs: requested, waited for, loaded by its id."""
    monkeypatch.setenv("EXPORT_SENSOR_FOLDER", str(tmp_path))
    done = run_dag("failures", None)
    assert str(done.state) == "success"
    loaded = done.get_task_instance("load").xcom_pull(task_ids="load")
    assert loaded == (tmp_path / "failures.csv").stat().st_size > 0
    assert emulator.counters()["exports_created"] == 1
