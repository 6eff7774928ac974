"""Dagster on more than one machine: runs by Celery on workers that share a broker and databases, and no folder."""

import math
import os
import sys
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.dagster.live import Dev, started
from tests.days import LAST_MIDNIGHT
from tests.processes import Component
from tests.workers.machines import Memory, within
from tests.workers.progress import until
from vectorshift_emulator import serve

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    pytest.mark.timeout(0),  # a wait ends when nothing moves
]
HERE = Path(__file__).parent
DAYS = int(os.environ.get("WORKERS_DAYS", "12"))
"""How many daily partitions are backfilled; `make workers DAYS=90` for many."""
CHUNK = max(DAYS // 9, 3)
"""Partitions of a run at most."""
HOURS = int(os.environ.get("WORKERS_HOURS", "200"))
"""How many hourly partitions are backfilled; `make workers HOURS=10000` for more than one run should have."""
HOURS_CHUNK = max(HOURS // 20, 50)
AT_WORK = 2
"""Runs that a worker executes at a time."""
LOST_AFTER = max(120, 30 * CHUNK, HOURS_CHUNK // 2)
"""Seconds after which a run counts as lost, so longer than any run takes."""
END = LAST_MIDNIGHT.date()
START = END - timedelta(days=DAYS)
INSTANCE = """
telemetry: {{enabled: false}}
storage: {{postgres: {{postgres_url: "{database}"}}}}
run_launcher:
  module: dagster_celery.launcher
  class: CeleryRunLauncher
  config: {{broker: "{broker}/0", backend: "{broker}/1"}}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {{max_concurrent_runs: {runs}, dequeue_interval_seconds: 1}}
run_monitoring:
  enabled: true
  poll_interval_seconds: 5
  start_timeout_seconds: {lost}
  max_runtime_seconds: {lost}
run_retries: {{enabled: true, max_retries: 5}}
"""
CELERY = """
execution:
  config: {{broker: "{broker}/0", backend: "{broker}/1"}}
"""


@pytest.fixture(scope="module")
def account():
    """The service, with events on each of the days."""
    with serve(events=DAYS * 50, days=DAYS, end=LAST_MIDNIGHT) as made:
        yield made


@pytest.fixture(scope="module")
def environment(account, warehouse):
    """What runs read."""
    return {
        "WORKERS_START": str(START),
        "WORKERS_END": str(END),
        "WORKERS_CHUNK": str(CHUNK),
        "WORKERS_FIRST_HOUR": f"{LAST_MIDNIGHT - timedelta(hours=HOURS):%Y-%m-%d-%H:%M}",
        "WORKERS_HOURS_CHUNK": str(HOURS_CHUNK),
        "WORKERS_KEY": account.api_key,
        "WORKERS_URL": account.base_url,
        "WORKERS_WAREHOUSE": warehouse.uri,
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }


@pytest.fixture(scope="module")
def dev(home, postgres, broker, environment):
    """Dagster's web server and daemon, which execute nothing themselves."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE dagster")
    where = conninfo_to_dict(postgres)
    database = f"postgresql+psycopg2://{where['user']}@{where['host']}:{where['port']}/dagster"
    settings = INSTANCE.format(database=database, broker=broker, runs=2 * AT_WORK, lost=LOST_AFTER)
    (home / "dagster.yaml").write_text(settings)
    (home / "celery.yaml").write_text(CELERY.format(broker=broker))
    workspace = home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n- python_file: {{relative_path: {HERE / 'definitions.py'}}}\n"
    )
    with started(home, workspace, environment) as port:
        yield Dev(home, port)


@pytest.fixture(scope="module")
def workers():
    """Workers by name, ended after the test."""
    made = {}
    yield made
    with ExitStack() as stack:
        for each in made.values():
            stack.callback(each.end, 0)


def worker(workers, home, environment, name):
    """Start a worker with a home and temporary files that nobody else sees."""
    own, machine = home / name, home / "machine"
    (own / "tmp").mkdir(parents=True)
    for file in ("dagster.yaml", "celery.yaml"):
        (own / file).write_text((home / file).read_text())
    programs = Path(sys.executable).parent
    command = [
        *within(own, machine),
        *(programs / "dagster-celery", "worker", "start", "-A", "dagster_celery.app"),
        *("-y", machine / "celery.yaml", "-n", name),
        *("--", "--concurrency", str(AT_WORK), "--without-gossip", "--without-mingle"),
    ]
    everything = {
        **os.environ,
        **environment,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "DAGSTER_HOME": str(machine),
        "TMPDIR": str(machine / "tmp"),
        "C_FORCE_ROOT": "1",
    }
    workers[name] = Component(name, command, home / f"{name}.log", everything, home)
    workers[name].start()


def executed(home, name):
    """How many runs a worker took."""
    log = (home / f"{name}.log").read_text(errors="replace")
    return sum("Task execute_job[" in line and "received" in line for line in log.splitlines())


def status(dev, backfill):
    """The state of a backfill."""
    return dev.instance.get_backfill(backfill).status.value


def landed(warehouse):
    """How many partitions have landed in each table, by the ledger."""
    with psycopg.connect(warehouse.conninfo) as connection:
        if connection.execute("SELECT to_regclass('_vectorshift_windows')").fetchone() == (None,):
            return {}
        statement = "SELECT table_name, count(*) FROM _vectorshift_windows GROUP BY table_name"
        return dict(connection.execute(statement).fetchall())


def wait(what, expected, dev, backfill, warehouse):
    """Wait as long as runs of a backfill begin and end or partitions land."""

    def look():
        runs = Counter(each.status.value for each in dev.runs(backfill=backfill))
        return {"runs": runs, "landed": landed(warehouse)}

    return until(what, expected, look)


def test_a_worker_is_killed(dev, workers, home, environment, account, warehouse, show):
    """A backfill in chunks over two workers, one of which is killed in the middle: each row lands once."""
    for name in ("worker-1", "worker-2"):
        worker(workers, home, environment, name)
    memory = Memory(workers)
    began = time.monotonic()
    days = [str(START + timedelta(days=number)) for number in range(DAYS)]
    with memory.watching():
        backfill = dev.backfill(["events", "runs"], days)
        of = (dev, backfill, warehouse)
        wait(lambda: landed(warehouse).get("events", 0) >= DAYS // 3, "a third has landed", *of)
        killed_at = landed(warehouse)["events"]
        workers["worker-1"].kill()
        worker(workers, home, environment, "worker-3")
        wait(lambda: status(dev, backfill) != "REQUESTED", "the backfill ends", *of)
        ended = time.monotonic()
    runs = dev.runs(backfill=backfill)
    with psycopg.connect(warehouse.conninfo) as connection:
        rows = Counter(connection.execute("SELECT span_id FROM events").fetchall())
        sums = connection.execute("SELECT sum(runs_sum), sum(errors_sum) FROM runs").fetchone()
    counters = account.counters()
    names = ("worker-1", "worker-2", "worker-3")
    show(
        {
            "partitions": DAYS,
            "partitions of a run": CHUNK,
            "rows": rows.total(),
            "created": counters["exports_created"],
            "requests": counters["requests"],
            "seconds": round(ended - began),
            "landed before the kill": killed_at,
            "runs": dict(Counter(each.status.value for each in runs)),
            "runs taken by worker": {name: executed(home, name) for name in names},
            "peak MiB": memory.peaks,
            "load": os.getloadavg()[1],
        }
    )
    assert status(dev, backfill) == "COMPLETED_SUCCESS"
    truth = account.truth("SELECT span_id FROM events")
    assert rows == Counter((row["span_id"],) for row in truth)
    (expected,) = account.truth(
        "SELECT count(*) AS runs, count(*) FILTER (status = 'failure') AS errors"
        " FROM events WHERE entity = 'pipeline' AND is_run"
    )
    assert sums == (expected["runs"], expected["errors"])
    assert all(executed(home, name) for name in ("worker-1", "worker-2"))
    # A run that died between the service's answer and Dagster's store cannot know its export.
    assert DAYS <= counters["exports_created"] <= DAYS + AT_WORK


def test_a_long_range_is_many_runs(dev, workers, account, warehouse, show):
    """Hours that are too many for one run are as many runs as the policy makes of them, and land once each."""
    names = [
        f"{LAST_MIDNIGHT - timedelta(hours=HOURS - number):%Y-%m-%d-%H:%M}"
        for number in range(HOURS)
    ]
    memory = Memory(workers)
    began = time.monotonic()
    with memory.watching():
        backfill = dev.backfill(["hourly"], names)
        wait(
            lambda: status(dev, backfill) != "REQUESTED",
            "the backfill ends",
            *(dev, backfill, warehouse),
        )
    runs = dev.runs(backfill=backfill)
    show(
        {
            "partitions": HOURS,
            "runs": dict(Counter(each.status.value for each in runs)),
            "seconds": round(time.monotonic() - began),
            "peak MiB": memory.peaks,
            "load": os.getloadavg()[1],
        }
    )
    assert status(dev, backfill) == "COMPLETED_SUCCESS"
    # A run that took too long on a busy machine was started anew.
    assert sum(each.parent_run_id is None for each in runs) == math.ceil(HOURS / HOURS_CHUNK)
    with psycopg.connect(warehouse.conninfo) as connection:
        noted = connection.execute(
            "SELECT count(*), count(DISTINCT window_start) FROM _vectorshift_windows"
            " WHERE table_name = 'hourly'"
        ).fetchone()
        (total,) = connection.execute("SELECT sum(runs_sum) FROM hourly").fetchone()
    assert noted == (HOURS, HOURS)
    begin = f"{LAST_MIDNIGHT - timedelta(hours=HOURS):%Y-%m-%d %H:%M:%S}"
    (truth,) = account.truth(
        f"SELECT count(*) AS runs FROM events WHERE entity = 'pipeline' AND is_run"
        f" AND start_time >= TIMESTAMP '{begin}'"
    )
    assert total == truth["runs"]
