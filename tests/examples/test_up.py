"""`make up`, whatever ran before: what it promises is seen in Airflow and in Dagster."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import pytest

from tests.airflow_live.processes import free_port, processes, tail
from tests.airflow_live.rest import Rest
from tests.dagster.live import Dev, until

EXAMPLES = Path(__file__).parents[2] / "dags_examples"
DAGS = {"error_count_watch", "error_rate_hourly", "nightly_export", "pipeline_health"}
SCHEDULES = {
    "daily_pipeline_health_schedule",
    "daily_run_health_schedule",
    "pipeline_events_schedule",
}
SENSORS = {"check_alerts", "pipeline_runs_error_count"}
DAGSTER = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
  schedules { name pipelineName scheduleState { status } } sensors { name sensorState { status } } } } }
  runsOrError { ... on Runs { results { pipelineName status } } } }"""
DYING = """
import os, signal, sys
import dagster as dg
import stack

@dg.asset(pool="files")
def dying():
    os.kill(os.getpid(), signal.SIGKILL)

with stack.home(), dg.DagsterInstance.from_config(str(stack.HOME / "dagster")) as instance:
    dg.materialize([dying], instance=instance)
"""
ENTERING = "import stack\nwith stack.home(): print('entered')"
TWICE = """
import stack

with stack.home():
    try:
        with stack.home():
            pass
    except stack.StepFailed as refusal:
        print(refusal)
"""


@pytest.fixture
def home(tmp_path):
    """The folder of the examples; what their processes said is shown where a test fails."""
    yield tmp_path / "home"
    for log in sorted((tmp_path / "home" / "logs").glob("*.log")):
        sys.stdout.write(f"--- {log.name}\n{tail(log)}\n")


@contextmanager
def running(script, home, *arguments, **environment):
    """A script of the examples, ended with KILL together with all that it started, if it still runs."""
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / script, *arguments],
        env=os.environ | {"VECTORSHIFT_EXAMPLES_HOME": str(home)} | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        groups = [pid for pid, parent, _ in processes() if parent == process.pid]
        process.kill()
        for pid in groups:
            os.killpg(pid, signal.SIGKILL)
        process.communicate()


def python(code, home, **environment):
    """Run code beside the examples."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {"VECTORSHIFT_EXAMPLES_HOME": str(home), "PYTHONPATH": str(EXAMPLES)}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def in_airflow(home, statement):
    """Rows of the database of Airflow; none before it is there."""
    path = home / "airflow" / "airflow.db"
    where = f"{path.as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(where, timeout=60, uri=True)) as database, database:
            return database.execute(statement).fetchall()
    except sqlite3.OperationalError:
        return []


@pytest.mark.airflow
@pytest.mark.dagster
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_everything_is_at_work_after_a_demo_that_was_killed(home):
    """DAGs are on though they were paused, the day's runs are green, Dagster's schedules are on, Ctrl-C ends it."""
    with running("demo.py", home, "--events", "2000"):
        until(lambda: in_airflow(home, "SELECT 1 FROM dag_run"))
    in_airflow(home, "UPDATE dag SET is_paused = 1")
    assert in_airflow(home, "SELECT DISTINCT is_paused FROM dag") == [(1,)]
    ports = {f"VECTORSHIFT_{name}_PORT": str(free_port()) for name in ("AIRFLOW", "DAGSTER")}
    with running("up.py", home, "--events", "2000", **ports) as up:
        said = "".join(iter(up.stdout.readline, "Ctrl-C stops everything.\n"))
        assert all(f"http://127.0.0.1:{port} " in said for port in ports.values()), said
        with closing(Rest(f"http://127.0.0.1:{ports['VECTORSHIFT_AIRFLOW_PORT']}")) as airflow:
            airflow.sign_in()
            found = until(lambda: airflow.ask("GET", "/dags")["dags"])
            assert {each["dag_id"]: each["is_paused"] for each in found} == dict.fromkeys(
                DAGS, False
            )
            for name in ("nightly_export", "pipeline_health"):
                until(lambda name=name: {"success"} == {r["state"] for r in airflow.runs(name)})
            kinds = {run["run_type"] for run in airflow.runs("nightly_export")}
            assert kinds == {"manual", "scheduled"}
        dagster = Dev(home / "dagster", ports["VECTORSHIFT_DAGSTER_PORT"])
        told = dagster.ask(DAGSTER)["repositoriesOrError"]["nodes"]
        for kind, names in (("schedule", SCHEDULES), ("sensor", SENSORS)):
            states = {e["name"]: e[f"{kind}State"]["status"] for n in told for e in n[f"{kind}s"]}
            assert states == dict.fromkeys(names, "RUNNING")
        jobs = {each["pipelineName"] for node in told for each in node["schedules"]}

        def succeeded():
            runs = dagster.ask(DAGSTER)["runsOrError"]["results"]
            assert "FAILURE" not in {run["status"] for run in runs}, runs
            return {run["pipelineName"] for run in runs if run["status"] == "SUCCESS"} >= jobs

        until(succeeded)
        up.send_signal(signal.SIGINT)
        assert up.wait(120) == 0


@pytest.mark.dagster
def test_a_run_that_died_holds_no_pool(home):
    """The next command cancels what was killed with the last, and others may enter the pool."""
    assert python(DYING, home).returncode == -signal.SIGKILL
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.STARTED]
        assert instance.event_log_storage.get_concurrency_info("files").active_slot_count == 1
        assert python(ENTERING, home).stdout == "entered\n"
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.CANCELED]
        assert instance.event_log_storage.get_concurrency_info("files").active_slot_count == 0


@pytest.mark.dagster
def test_one_command_at_a_time(home):
    """While a command is at work in a folder another one is refused, in words."""
    said = python(TWICE, home).stdout
    assert said.startswith("Another `make demo` or `make up` is at work in")


def test_an_airflow_of_the_users_own_is_left_alone(home):
    """What the shell says of another Airflow, its database above all, is not what the examples use."""
    code = (
        "import stack, types\n(stack.HOME / 'logs').mkdir(parents=True)\n"
        "service = types.SimpleNamespace(base_url='http://service', api_key='sk')\n"
        "for pair in stack.environment(service, '2026-01-01').items(): print(*pair)"
    )
    own = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////own.db", "AIRFLOW_HOME": "/own"}
    said = python(code, home, **own)
    assert "/own" not in said.stdout, said.stdout
    assert f"AIRFLOW_HOME {home / 'airflow'}\n" in said.stdout, said.stderr
