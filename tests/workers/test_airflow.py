"""Airflow on more than one machine: Celery workers that share a broker, a bucket and a database, and no folder."""

import csv
import json
import os
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests.airflow_live.accounts import hold, release
from tests.airflow_live.stack import running
from tests.days import LAST_MIDNIGHT
from tests.processes import free_port
from tests.workers.machines import Memory, within
from tests.workers.progress import until
from vectorshift_emulator import serve
from vectorshift_orchestration import Window

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.timeout(0),  # a wait ends when nothing moves
]
DAGS = Path(__file__).parent / "dags"
EXPORTS = int(os.environ.get("WORKERS_EXPORTS", "12"))
"""How many exports land; `make workers EXPORTS=500` for many."""
PIPELINES = max(EXPORTS // 10, 4)
SLOTS = 8
"""Exports that the pool lets run at a time."""
AT_WORK = 4
"""Tasks that a worker runs at a time."""


@pytest.fixture(scope="module")
def day():
    """The last complete UTC day: the newest that the account's events cover."""
    return Window.day(LAST_MIDNIGHT.date() - timedelta(days=1))


@pytest.fixture(scope="module")
def parts(day):
    """Pipeline, start and end of each export: the pipelines in turn, an hour after the other."""
    hours = [day.start + timedelta(hours=number) for number in range(24)]
    return [
        (
            f"pipeline_{number % PIPELINES}",
            hours[number // PIPELINES],
            hours[number // PIPELINES] + timedelta(hours=1),
        )
        for number in range(EXPORTS)
    ]


@pytest.fixture(scope="module")
def account(day, parts):
    """The service, with some events of each pipeline in each hour."""
    with serve(events=100, days=2, end=day.end) as made:
        for number, (pipeline, start, _) in enumerate(parts):
            made.burst(
                number % 5 + 1, at=start + timedelta(minutes=number % 60), object_id=pipeline
            )
        yield made


def worker(stack, name):
    """Add and start a worker with a home, logs and temporary files that nobody else sees."""
    machine = stack.home / "machine"
    for folder in ("logs", "tmp"):
        (stack.home / name / folder).mkdir(parents=True)
    stack.add(
        name,
        [
            *("celery", "worker", "--concurrency", str(AT_WORK), "--celery-hostname", name),
            *("--skip-serve-logs", "--without-gossip", "--without-mingle"),
        ],
        {
            "AIRFLOW_HOME": str(machine),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(machine / "logs"),
            "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "",
            "TMPDIR": str(machine / "tmp"),
        },
        within(stack.home / name, machine),
    )
    stack.start(name)


@pytest.fixture(scope="module")
def stack(home, postgres, warehouse, broker, bucket, account, parts):
    """Airflow with two Celery workers and a pair of triggerers."""
    (home / "parts.json").write_text(
        json.dumps([(name, start.isoformat(), end.isoformat()) for name, start, end in parts])
    )
    with psycopg.connect(postgres) as connection:
        metadata = f"postgresql+psycopg2://postgres@127.0.0.1:{connection.info.port}/airflow"
    env = {
        "AIRFLOW_CONN_WAREHOUSE": warehouse.uri,
        "AIRFLOW_CONN_VS_SHARED": json.dumps(
            {"conn_type": "vectorshift", "host": account.base_url, "password": account.api_key}
        ),
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__PARALLELISM": "32",
        "AIRFLOW__CELERY__BROKER_URL": f"{broker}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{metadata}",
        "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS": "tests.workers.celery_config.CONFIG",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        # The broker repeats a message that nobody confirmed after this long, also that of a task
        # that only takes longer. So what a killed worker had taken and not begun is found by
        # the scheduler.
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "3600",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "180",
        "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "20",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
        # Everything is late on a machine that runs both workers and all else.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "30",
        "C_FORCE_ROOT": "1",
        **bucket.variables(),
        "LIVE_PARTS": str(home / "parts.json"),
    }
    with running(home, postgres, DAGS, env, nice=0) as made:
        made.add(
            "triggerer-2",
            ["triggerer"],
            {"AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port())},
        )
        made.start("triggerer-2")
        for name in ("worker-1", "worker-2"):
            worker(made, name)
        made.rest.pool("vectorshift", slots=SLOTS)
        yield made


def states(stack):
    """How many exports are in each state."""
    assert not (dead := stack.dead()), dead
    statement = """
        SELECT coalesce(state, 'none'), count(*) FROM task_instance
        WHERE dag_id = 'shared' GROUP BY state
    """
    return dict(stack.query(statement))


def ended(stack, run_id):
    """The state of the run once it has ended."""
    statement = "SELECT state FROM dag_run WHERE run_id = %s"
    ((state,),) = stack.query(statement, run_id)
    return state if state in ("success", "failed") else None


def waiting(stack):
    """How many exports wait in each triggerer that has some."""
    statement = """
        SELECT job.id, count(*) FROM trigger JOIN job ON job.id = trigger.triggerer_id
        WHERE job.job_type = 'TriggererJob' GROUP BY job.id
    """
    return dict(stack.query(statement))


def failures(stack):
    """What became of each task that did not succeed, and the ends of the newest logs."""
    statement = """
        SELECT map_index, state, try_number, external_executor_id FROM task_instance
        WHERE dag_id = 'shared' AND state IS DISTINCT FROM 'success'
    """
    log = """
        SELECT event, map_index, try_number, extra FROM log
        WHERE dag_id = 'shared' AND task_id = 'export' AND event NOT IN ('success', 'running')
    """
    return f"{stack.query(statement)}\n{stack.query(log)}\n{stack.task_logs('shared')}"


def tries(stack, name):
    """How many tries a worker began or went on with, by its logs."""
    return sum(1 for _ in (stack.home / name / "logs").glob("dag_id=shared/**/*.log"))


def test_workers_come_and_go(stack, account, warehouse, bucket, parts, day, show):
    """A triggerer and a worker are killed half-way and a worker is added: each row lands once."""
    half, quarter = EXPORTS // 2, EXPORTS // 4
    memory = Memory(stack.components)

    def wait(what, expected):
        return until(what, expected, lambda: {**states(stack), "by triggerer": waiting(stack)})

    hold(account)
    began = time.monotonic()
    with memory.watching():
        run_id = stack.rest.trigger("shared", (day.start, day.end))
        wait(lambda: sum(waiting(stack).values()) >= half, "half wait")
        submitted = time.monotonic() - began
        apart = waiting(stack)
        stack.kill("triggerer")
        wait(
            lambda: len(found := waiting(stack)) == 1 and sum(found.values()) >= half,
            "one triggerer has them all",
        )
        polls, since = account.counters()["requests"]["export_poll"], time.monotonic()
        together = waiting(stack)
        time.sleep(30)  # long enough for its memory and its requests to be looked at
        polled = account.counters()["requests"]["export_poll"] - polls
        polled_for = time.monotonic() - since
        held = stack.components["triggerer-2"].memory()
        release(account)
        released = time.monotonic()
        wait(lambda: states(stack).get("success", 0) >= quarter, "a quarter has landed")
        stack.kill("worker-1")
        worker(stack, "worker-3")
        state = wait(lambda: ended(stack, run_id), "the run ends")
        landed = time.monotonic()
    with psycopg.connect(warehouse.conninfo) as connection:
        rows = connection.execute("SELECT source_name, span_id FROM events").fetchall()
    counters = account.counters()
    by_worker = {name: tries(stack, name) for name in ("worker-1", "worker-2", "worker-3")}
    show(
        {
            "exports": EXPORTS,
            "pipelines": PIPELINES,
            "rows": len(rows),
            "created": counters["exports_created"],
            "requests": counters["requests"],
            "seconds until half waited": round(submitted),
            "seconds from release to end": round(landed - released),
            "seconds": round(landed - began),
            "waiting by triggerer": sorted(apart.values()),
            "waiting after the kill": sorted(together.values()),
            "polls a minute then": round(60 * polled / polled_for),
            "MiB of that triggerer": held,
            "peak MiB": memory.peaks,
            "tries by worker": by_worker,
            "load": os.getloadavg()[1],
        }
    )
    assert state == "success", failures(stack)

    where = "start_time >= TIMESTAMP '{:%F %T}' AND start_time < TIMESTAMP '{:%F %T}'"
    expected = Counter()
    for number, (pipeline, start, end) in enumerate(parts):
        found = account.truth(
            f"SELECT span_id FROM events WHERE {where.format(start, end)} AND object_id = '{pipeline}'"
        )
        ids = {row["span_id"] for row in found}
        with bucket.path(f"lake/{pipeline}/{number}.csv").open(newline="") as file:
            exported = [row["span_id"] for row in csv.DictReader(file)]
        assert sorted(exported) == sorted(ids) != []
        expected.update((pipeline, each) for each in ids)
    assert Counter(rows) == expected
    assert all(by_worker.values())
    # A try that died between the service's answer and Airflow's store cannot know its export.
    assert EXPORTS <= counters["exports_created"] <= EXPORTS + AT_WORK
    for name in ("worker-2", "worker-3"):
        assert not list((stack.home / name / "tmp").rglob("*.csv"))
    assert not any((stack.home / "machine").iterdir()), "a worker left its file system"
