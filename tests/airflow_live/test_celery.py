"""Airflow on more than one machine: Celery workers that share a broker, a bucket and a database, and no folder."""

import csv
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests import redis_server
from tests.airflow_live.landing import warehouse_in
from tests.airflow_live.processes import free_port
from tests.airflow_live.stack import running
from tests.orchestration.s3_server import s3_server
from tests.postgres import server
from vectorshift_emulator import serve

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
]
DAGS = Path(__file__).parent / "celery_dags"
EXPORTS = int(os.environ.get("CELERY_EXPORTS", "12"))
"""How many exports land; `make workers EXPORTS=500` for many."""
PIPELINES = max(EXPORTS // 10, 4)
SLOTS = 8
"""Exports that the pool lets run at a time."""
AT_WORK = 4
"""Tasks that a worker runs at a time."""
PATIENCE = 3000


@pytest.fixture(scope="module")
def home():
    """A folder of Airflow's."""
    made = Path(tempfile.mkdtemp(prefix="airflow-celery-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def postgres():
    """Connection string of a PostgreSQL server of its own, as its superuser."""
    with server() as made:
        yield made.conninfo


@pytest.fixture(scope="module")
def warehouse(postgres):
    """The database that all exports land in."""
    return warehouse_in(postgres)


@pytest.fixture(scope="module")
def bucket():
    """A bucket that every worker reaches."""
    with s3_server() as service:
        service.path("lake").mkdir()
        yield service


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
    own = stack.home / name
    for folder in ("logs", "tmp"):
        (own / folder).mkdir(parents=True)
    stack.add(
        name,
        [
            *("celery", "worker", "--concurrency", str(AT_WORK), "--celery-hostname", name),
            *("--skip-serve-logs", "--without-gossip", "--without-mingle"),
        ],
        {
            "AIRFLOW_HOME": str(own),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(own / "logs"),
            "TMPDIR": str(own / "tmp"),
        },
    )
    stack.start(name)


@pytest.fixture(scope="module")
def stack(home, postgres, warehouse, bucket, account, parts):
    """Airflow with two Celery workers and a pair of triggerers."""
    with ExitStack() as resources:
        broker = resources.enter_context(redis_server.server(home))
        (home / "parts.json").write_text(
            json.dumps([(name, start.isoformat(), end.isoformat()) for name, start, end in parts])
        )
        with psycopg.connect(postgres) as connection:
            metadata = f"postgresql+psycopg2://postgres@127.0.0.1:{connection.info.port}/airflow"
        env = {
            "AIRFLOW_CONN_WAREHOUSE": warehouse.uri,
            "AIRFLOW_CONN_VS_SHARED": json.dumps(
                {
                    "conn_type": "vectorshift",
                    "host": account.base_url,
                    "password": account.api_key,
                }
            ),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": f"{broker}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{metadata}",
            # The broker repeats a message that nobody confirmed after this long, also that of a task
            # that only takes longer. So what a killed worker had taken and not begun is found by
            # the scheduler.
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "3600",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "20",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
            "C_FORCE_ROOT": "1",
            **bucket.variables(),
            "LIVE_PARTS": str(home / "parts.json"),
        }
        made = resources.enter_context(running(home, postgres, DAGS, env))
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


def ended(stack):
    """How many exports have succeeded."""
    statement = "SELECT count(*) FROM task_instance WHERE dag_id = 'shared' AND state = 'success'"
    return stack.query(statement)[0][0]


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
    """How many tries a worker began, by its logs."""
    return sum(1 for _ in (stack.home / name / "logs").glob("dag_id=shared/**/*.log"))


def test_workers_come_and_go(stack, account, warehouse, bucket, parts, day, figures):
    """A worker and a triggerer are killed half-way and a worker is added: each row lands once."""
    began = time.monotonic()
    run_id = stack.rest.trigger("shared", (day.start, day.end))
    stack.until(lambda: ended(stack) >= EXPORTS // 4, "a quarter has landed", seconds=PATIENCE)
    stack.kill("worker-1")
    stack.kill("triggerer")
    worker(stack, "worker-3")
    state = stack.ended("shared", run_id, seconds=PATIENCE)
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
    with psycopg.connect(warehouse.conninfo) as connection:
        landed = connection.execute("SELECT source_name, span_id FROM events").fetchall()
    assert Counter(landed) == expected
    created = account.counters()["exports_created"]
    by_worker = {name: tries(stack, name) for name in ("worker-1", "worker-2", "worker-3")}
    figures["celery"] = {
        "exports": EXPORTS,
        "pipelines": PIPELINES,
        "created": created,
        "seconds": round(time.monotonic() - began, 1),
        "tries by worker": by_worker,
    }
    assert all(by_worker.values())
    # A try that died between the service's answer and Airflow's store cannot know its export.
    assert EXPORTS <= created <= EXPORTS + AT_WORK
    for name in by_worker:
        assert not [
            each for each in (stack.home / name / "tmp").rglob("*.csv") if name != "worker-1"
        ]
