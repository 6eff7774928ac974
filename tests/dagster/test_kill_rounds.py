"""Run workers, daemon and code server of Dagster are killed again and again while an export is under way: the rows are right.

`make kills` runs it, and says how often each process is killed. Each process is one of its own, as in production: `dagster dev` ends when one of
them dies.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from tests.airflow_live.accounts import hold, release
from tests.dagster.live import SETTINGS, Dev, until
from tests.days import LAST_MIDNIGHT
from tests.postgres import server
from tests.processes import Component, free_port
from vectorshift_emulator import serve
from vectorshift_orchestration import Window
from vectorshift_orchestration.storage.ledger import committed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(14_000),
]
KILLS = int(os.environ.get("LIVE_KILLS", "1"))
PATIENCE = float(os.environ.get("LIVE_PATIENCE", "480"))
SEED = int(os.environ.get("KILL_SEED", "1"))
BIN = Path(sys.executable).parent
DEFINITIONS = Path(__file__).parent / "round_definitions.py"
DAY = Window(LAST_MIDNIGHT - timedelta(days=1), LAST_MIDNIGHT)
MONITORED = (
    "run_monitoring: {enabled: true, start_timeout_seconds: 240, poll_interval_seconds: 5}\n"
)
LOADED = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
ASSETS = ("exported", "health")


@pytest.fixture(scope="module")
def account():
    """An account with some events in each hour."""
    with serve(events=1000, days=3, end=DAY.end) as made:
        yield made


@pytest.fixture(scope="module")
def postgres():
    """A server that the rows land in."""
    with server() as made:
        yield made


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, account, postgres):
    """A code server, a daemon and a web server, and a client of the last."""
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text(SETTINGS.format(events=home / "events") + MONITORED)
    grpc, http = free_port(), free_port()
    (home / "workspace.yaml").write_text(
        f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {grpc}, location_name: rounds}}}}]\n"
    )
    url = f"postgresql://postgres@127.0.0.1:{postgres.port}/postgres"
    environment = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "DAGSTER_HOME": str(home),
        "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
        # Or a backfill fails for good when the daemon looks while the code server is away.
        "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "ROUND_DATABASE": url,
        "ROUND_KEY": account.api_key,
        "ROUND_URL": account.base_url,
        "ROUND_WORK": str(home / "work"),
    }
    commands = {
        "code server": (
            "dagster",
            "code-server",
            "start",
            "-h",
            "127.0.0.1",
            "-p",
            grpc,
            "-f",
            DEFINITIONS,
        ),
        "daemon": ("dagster-daemon", "run", "-w", home / "workspace.yaml"),
        "web server": (
            "dagster-webserver",
            "-w",
            home / "workspace.yaml",
            "-h",
            "127.0.0.1",
            "-p",
            http,
        ),
    }
    with ExitStack() as resources:
        made = {}
        for name, (program, *arguments) in commands.items():
            command = [BIN / program, *map(str, arguments)]
            made[name] = Component(name, command, home / f"{name}.log", environment, home)
            made[name].start()
            resources.callback(made[name].kill)
        dev = Dev(home, http)

        def loaded():
            try:
                return dev.ask(LOADED)["repositoriesOrError"].get("nodes")
            except OSError:
                return None

        until(loaded)
        yield made, dev


def servers(code_server):
    """The processes of a code server that are not the workers of its runs."""
    result = []
    for pid in code_server.members():
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"code-server" in command or b"grpc" in command:
            result.append(pid)
    return result


def landed(postgres, hour):
    """The rows of the export, the runs that the health table counts in an hour, and what the ledger tells of the hour."""
    with psycopg.connect(postgres.conninfo) as connection:
        rows = connection.execute("SELECT span_id, status FROM exported").fetchall()
        counted = connection.execute(
            "SELECT sum(runs_sum)::int FROM health WHERE bucket_start = %s", [hour.start]
        ).fetchone()
        return Counter(rows), counted[0], committed(connection, "exported", hour).rows


def truth(account, window, condition="true"):
    """The rows that the export of a window should have."""
    found = account.truth(
        f"SELECT span_id, status FROM events WHERE start_time >= '{window.start:%F %T}'"
        f" AND start_time < '{window.end:%F %T}' AND {condition}"
    )
    return Counter((row["span_id"], row["status"]) for row in found)


def test_rounds_of_kills(deployment, account, postgres):
    """The daemon dies while it launches, then the worker, then the code server and the daemon again: one export, each row once."""
    components, dev = deployment
    dice, kills, seconds, tries = random.Random(SEED), Counter(), [], 0

    def kill(name):
        code_server = components[name]
        for pid in servers(code_server) if name == "code server" else code_server.members():
            os.kill(pid, signal.SIGKILL)
        code_server.process.wait()
        code_server.start()
        kills[name] += 1

    def tries_of(asset, backfill):
        """The runs of an asset, the first one first; each asset has runs of its own."""
        runs = dev.runs(backfill=backfill)[::-1]
        return [run for run in runs if dg.AssetKey(asset) in run.asset_selection]

    def succeeds(asset, backfill):
        until(lambda: any(run.is_success for run in tries_of(asset, backfill)), seconds=PATIENCE)

    def worker(backfill, *, after=None):
        """The newest try and its process, once that polls; `after` is a try that is over."""
        polled = account.counters()["polls"]

        def begun():
            # A try that was caught while it started is failed by run monitoring, and has a successor.
            run = next(iter(tries_of("exported", backfill)[::-1]), None)
            if run is None or run.run_id == after or (pid := dev.worker(run.run_id)) is None:
                return None
            return run, pid

        result = until(begun, seconds=PATIENCE)
        until(lambda: account.counters()["polls"] > polled)
        return result

    for number in range(KILLS):
        began, before = time.monotonic(), account.counters()["exports_created"]
        hour = Window(DAY.start + timedelta(hours=number), DAY.start + timedelta(hours=number + 1))
        account.burst(5, at=hour.start)
        hold(account)
        backfill = dev.backfill(ASSETS, [f"{hour.start:%Y-%m-%d-%H:%M}"])
        time.sleep(dice.uniform(0, 3))
        kill("daemon")
        run, pid = worker(backfill)
        os.kill(pid, signal.SIGKILL)
        kills["run worker"] += 1
        assert dev.ended(run.run_id).is_failure
        worker(backfill, after=run.run_id)
        kill("code server")
        kill("daemon")
        release(account)
        for asset in ASSETS:
            succeeds(asset, backfill)
        tries += len(tries_of("exported", backfill))
        rows, counted, told = landed(postgres, hour)
        assert rows == truth(account, Window(DAY.start, hour.end))
        assert told == truth(account, hour).total() > 0
        assert counted == truth(account, hour, "is_run").total()
        assert account.counters()["exports_created"] - before == 1
        seconds.append(round(time.monotonic() - began))
        done = {"of": kills, "landed": number + 1, "tries": tries, "seconds": seconds}
        sys.stderr.write(f"\nkills in Dagster: {json.dumps(done)}\n")
