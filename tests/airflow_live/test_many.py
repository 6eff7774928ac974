"""Hundreds of deferred exports at once in one triggerer."""

import os
import time
from itertools import accumulate, repeat, takewhile

import pytest

from tests.airflow.running import truth
from tests.airflow_live.accounts import release
from tests.airflow_live.conftest import EXPORTS
from tests.airflow_live.landing import ids_in
from tests.airflow_live.witness import Witness

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
]
PATIENCE = 900
ON_WORKERS = 5
"""How often the workers look at an export, at most: before the task defers, and for the file's address."""


def looks_in(seconds):
    """How often one trigger may look, at most: the first after 2 s, then half as long again each time."""
    times = accumulate(repeat(1.5), lambda gap, growth: gap * growth, initial=2.0)
    return sum(1 for _ in takewhile(lambda at: at <= seconds, accumulate(times))) + 1


def waiting(stack):
    """How many exports wait, and in how many triggerers."""
    statement = """
        SELECT count(trigger.triggerer_id), count(DISTINCT trigger.triggerer_id) FROM task_instance
        JOIN trigger ON trigger.id = task_instance.trigger_id WHERE dag_id = 'many'
    """
    return stack.query(statement)[0]


@pytest.fixture
def witness():
    """Watches the machine during the test."""
    witness = Witness()
    with witness.watching():
        yield witness


def test_many(stack, accounts, day, figures, witness):
    """All exports wait in one triggerer at once, whose loop is never blocked while the machine has time, and land."""
    account, log = accounts["many"], stack.components["triggerer"].log
    before, began = log.stat().st_size, time.monotonic()
    run_id = stack.rest.trigger("many", (day.start, day.end))
    stack.until(lambda: waiting(stack) == (EXPORTS, 1), "every export waits", seconds=PATIENCE)
    deferred = time.monotonic() - began
    release(account)
    assert stack.ended("many", run_id, seconds=PATIENCE) == "success"
    landed = time.monotonic() - began
    expected = truth(account, day)
    for number in range(EXPORTS):
        assert ids_in(stack.out / "many" / f"{number}.csv") == expected != []
    assert account.counters()["exports_created"] == EXPORTS
    requests = dict(account.counters()["requests"])
    polls = requests.pop("export_poll")
    assert polls <= EXPORTS * (ON_WORKERS + looks_in(landed))
    assert requests == dict.fromkeys(("export_create", "count", "download"), EXPORTS)
    with log.open() as file:
        file.seek(before)
        blocked = [line for line in file if "async thread was blocked" in line]
    figures["many"] = {
        "exports": EXPORTS,
        "deferred_s": round(deferred, 1),
        "landed_s": round(landed, 1),
        "polls": polls,
        "blocked": len(blocked),
        "machine_late": witness.late,
    }
    # Beside other tests and on a full machine everybody is late now and then; the figures tell.
    beside_others = "PYTEST_XDIST_WORKER" in os.environ
    assert beside_others or witness.late or blocked == []
