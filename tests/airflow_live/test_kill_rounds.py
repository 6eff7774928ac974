"""Every process of Airflow is killed again and again while exports are under way: the rows are right after each round.

`make kills` runs it, and says how often each process is killed.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests.airflow.running import truth
from tests.airflow_live.accounts import hold, release
from tests.airflow_live.landing import ids_in
from tests.airflow_live.stack import HEALTHY, running
from tests.processes import free_port
from vectorshift_emulator import serve
from vectorshift_orchestration import Window
from vectorshift_orchestration.storage.ledger import committed

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.timeout(14_000),
]
KILLS = int(os.environ.get("LIVE_KILLS", "1"))
"""How often each process is killed."""
IN_A_ROW = 4
"""How many of these kills one pair of exports outlives."""
SEED = int(os.environ.get("KILL_SEED", "1"))
MODES = ("sync", "deferred")
TRIGGERERS = ("triggerer", "triggerer-2")
OTHERS = ("scheduler", "api-server", "dag-processor")
HOLDER = """
    SELECT trigger.triggerer_id FROM task_instance JOIN trigger ON trigger.id = trigger_id
    WHERE dag_id = 'deferred' AND state = 'deferred'
"""


@pytest.fixture(scope="module")
def accounts(day):
    """An account for each way to wait."""
    with ExitStack() as resources:
        yield {
            name: resources.enter_context(serve(events=1000, days=3, end=day.end)) for name in MODES
        }


@pytest.fixture(scope="module")
def stack(postgres, warehouse, accounts):
    """Airflow with a pair of triggerers."""
    home = Path(tempfile.mkdtemp(prefix="airflow-rounds-"))
    env = {
        "AIRFLOW_CONN_WAREHOUSE": warehouse.uri,
        "LIVE_OUT": str(home / "out"),
    } | {
        f"AIRFLOW_CONN_VS_{name.upper()}": json.dumps(
            {"conn_type": "vectorshift", "host": account.base_url, "password": account.api_key}
        )
        for name, account in accounts.items()
    }
    try:
        with running(home, postgres, Path(__file__).parent / "round_dags", env, nice=0) as made:
            yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


class Triggerers:
    """Both triggerers, by their ids in Airflow's database, which come anew with each start."""

    def __init__(self, stack):
        self.stack = stack
        self.ids = {"triggerer": self._newest()}
        port = {"AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port())}
        stack.add("triggerer-2", ["triggerer"], port)
        stack.start("triggerer-2")
        self.learn("triggerer-2")

    def _newest(self):
        return self.stack.query("SELECT max(id) FROM job WHERE job_type = 'TriggererJob'")[0][0]

    def learn(self, name):
        """Wait until one that was started is in the database, and remember its id."""
        known = max(self.ids.values())
        self.stack.until(lambda: self._newest() > known, f"{name} is there")
        self.ids[name] = self._newest()

    def holder(self):
        """Which one has the trigger of the deferred task; None when neither has it."""
        held = {held for (held,) in self.stack.query(HOLDER)}
        return next((name for name, number in self.ids.items() if number in held), None)

    def held(self, *names):
        """Wait until one of these has the trigger; its name."""
        return self.stack.until(
            lambda: name if (name := self.holder()) in names else None,
            f"one of {names} has the trigger",
        )

    def freeze(self):
        """Stop the one that watches until the other one watches, and let it go on; the name of the other one."""
        frozen = self.held(*TRIGGERERS)
        self._signal(frozen, signal.SIGSTOP)
        watching = self.held(*(name for name in TRIGGERERS if name != frozen))
        self._signal(frozen, signal.SIGCONT)
        return watching

    def _signal(self, name, number):
        for pid in self.stack.components[name].members():
            os.kill(pid, number)


def landed(warehouse, table, window):
    """The rows of a table, and how many of the window its ledger tells."""
    with psycopg.connect(warehouse.conninfo) as connection:
        rows = connection.execute(f"SELECT span_id, status FROM {table}").fetchall()
        return Counter(rows), committed(connection, table, window).rows


def true_rows(account, window):
    """The rows that a table should have."""
    found = account.truth(
        f"SELECT span_id, status FROM events WHERE start_time >= TIMESTAMP '{window.start:%F %T}'"
        f" AND start_time < TIMESTAMP '{window.end:%F %T}'"
    )
    return Counter((row["span_id"], row["status"]) for row in found)


def calamity(stack, accounts, runs, triggerers, dice):
    """Freeze the triggerer that watches, then kill the other one, the worker and all the rest, and start them again; the dead."""
    polled = {name: account.counters()["polls"] for name, account in accounts.items()}
    for name, account in accounts.items():
        stack.until(
            lambda name=name, account=account: account.counters()["polls"] > polled[name],
            f"{name} polls",
        )
    watching = triggerers.freeze()
    stack.kill_worker(stack.rest.task("sync", runs["sync"], "export"))
    victims = [watching, *OTHERS]
    for victim in dice.sample(victims, len(victims)):
        stack.kill(victim)
        time.sleep(dice.uniform(0, 1))
    for victim in dice.sample(victims, len(victims)):
        stack.start(victim)
    triggerers.learn(watching)
    stack.until(lambda: stack.rest.health() == HEALTHY, "all are back")
    return ["triggerer frozen", "worker", "triggerer", *OTHERS]


def test_rounds_of_kills(stack, accounts, warehouse, day, figures):
    """A worker, both triggerers, scheduler, api-server and dag-processor die in each round; one export each, all rows once."""
    dice = random.Random(SEED)
    triggerers, kills, seconds = Triggerers(stack), Counter(), []
    for number in range(-(-KILLS // IN_A_ROW)):
        window = Window(
            day.start + timedelta(hours=number), day.start + timedelta(hours=number + 1)
        )
        for account in accounts.values():
            account.burst(5, at=window.start)
            account.reset_counters()
            hold(account)
        runs = {name: stack.rest.trigger(name, (window.start, window.end)) for name in MODES}
        for _ in range(min(IN_A_ROW, KILLS - number * IN_A_ROW)):
            began = time.monotonic()
            kills.update(calamity(stack, accounts, runs, triggerers, dice))
            seconds.append(round(time.monotonic() - began))
        for account in accounts.values():
            release(account)
        for name, account in accounts.items():
            assert stack.ended(name, runs[name]) == "success"
            assert account.counters()["exports_created"] == 1, (number, name)
            rows, told = landed(warehouse, name, window)
            assert rows == true_rows(account, Window(day.start, window.end)), (number, name)
            expected = truth(account, window)
            assert told == len(expected) > 0
            file = stack.out / name / f"{window.start:%Y%m%dT%H%M%S}.csv"
            assert ids_in(file) == expected
        figures["kills"] = {"of": kills, "landed": 2 * (number + 1), "seconds": seconds}
        sys.stderr.write(f"\nkills in Airflow: {json.dumps(figures['kills'])}\n")
