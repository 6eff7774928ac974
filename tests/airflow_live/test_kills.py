"""What dies or is ended half-way: the export is found again, and the rows are right each time."""

import time

import pytest

from tests.airflow.running import truth
from tests.airflow_live.accounts import release

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]


@pytest.fixture
def timed(request, figures):
    """Notes how long the test took."""
    began = time.monotonic()
    yield
    figures[f"{request.node.name}_s"] = round(time.monotonic() - began, 1)


def assert_landed_once(stack, account, warehouse, day, name, run_id):
    """The run succeeded with one export, and the day's rows are there."""
    assert stack.ended(name, run_id) == "success"
    assert account.counters()["exports_created"] == 1
    assert warehouse.rows(name) == truth(account, day) != []


def test_worker_killed(stack, accounts, begun, warehouse, day, timed):
    """The worker dies with its supervisor while it polls: the retry goes on with the same export."""
    account, run_id = accounts["worker_killed"], begun["worker_killed"]
    stack.until(lambda: account.counters()["polls"] > 0, "the worker polls")
    task = stack.state("worker_killed", run_id, "export", "running")
    stack.kill_worker(task)
    stack.until(
        lambda: stack.rest.task("worker_killed", run_id, "export")["try_number"] == 2,
        "Airflow misses the heartbeat and tries again",
    )
    release(account)
    assert_landed_once(stack, account, warehouse, day, "worker_killed", run_id)


def test_triggerer_killed(stack, accounts, begun, warehouse, day, timed):
    """The triggerer dies while the task is deferred: the next one goes on watching."""
    account, run_id = accounts["triggerer_killed"], begun["triggerer_killed"]
    stack.state("triggerer_killed", run_id, "export", "deferred")
    stack.until(lambda: account.counters()["polls"] > 0, "the triggerer polls")
    stack.kill("triggerer")
    release(account)
    stack.start("triggerer")
    assert_landed_once(stack, account, warehouse, day, "triggerer_killed", run_id)
    assert stack.rest.task("triggerer_killed", run_id, "export")["try_number"] == 1


def test_scheduler_killed(stack, accounts, begun, warehouse, day, timed):
    """The scheduler dies with all its workers, one of them polling, one task deferred: both go on."""
    deferred, running = "scheduler_killed_deferred", "scheduler_killed"
    stack.state(deferred, begun[deferred], "export", "deferred")
    stack.state(running, begun[running], "export", "running")
    for name in (deferred, running):
        stack.until(lambda name=name: accounts[name].counters()["polls"] > 0, f"{name} polls")
    stack.kill("scheduler")
    for name in (deferred, running):
        release(accounts[name])
    stack.start("scheduler")
    for name in (deferred, running):
        assert_landed_once(stack, accounts[name], warehouse, day, name, begun[name])


def test_cleared(stack, accounts, begun, warehouse, day, timed):
    """Clearing a task that succeeded exports again: late events arrive, and no row is there twice."""
    account, run_id = accounts["cleared"], begun["cleared"]
    assert_landed_once(stack, account, warehouse, day, "cleared", run_id)
    before = warehouse.rows("cleared")
    account.burst(3, at=day.start)
    stack.rest.clear("cleared", run_id, "export")
    assert stack.ended("cleared", run_id) == "success"
    assert account.counters()["exports_created"] == 2
    assert warehouse.rows("cleared") == truth(account, day)
    assert len(warehouse.rows("cleared")) == len(before) + 3


def test_marked_failed(stack, accounts, begun, warehouse, day, timed):
    """A deferred task that a user fails lands nothing; cleared, it lands the export that went on."""
    account, run_id = accounts["marked_failed"], begun["marked_failed"]
    stack.state("marked_failed", run_id, "export", "deferred")
    stack.rest.mark("marked_failed", run_id, "export", "failed")
    release(account)
    assert stack.ended("marked_failed", run_id) == "failed"
    assert account.counters()["exports_created"] == 1
    assert warehouse.rows("marked_failed") == []
    assert not (stack.out / "marked_failed").exists()
    stack.rest.clear("marked_failed", run_id, "export")
    assert_landed_once(stack, account, warehouse, day, "marked_failed", run_id)
