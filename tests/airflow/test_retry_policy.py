"""The retry policy: in real Airflow against the emulator's refusals, and what it decides."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_vectorshift.operators import VectorShiftExportOperator
from tests.airflow.running import run_dag, stored_and_read
from vectorshift.errors import AuthenticationError, InternalServerError, RateLimitError
from vectorshift_orchestration import StorageError, WindowError


@pytest.fixture
def run(metadata_database, emulator, connect, monkeypatch, tmp_path):
    """Runs the task with a client that does not repeat anything: its state, and when each try began."""
    tries = tmp_path / "tries"
    monkeypatch.setenv("RETRY_POLICY_TRIES", str(tries))
    connect(host=emulator.base_url, password=emulator.api_key, extra='{"retries": 0}')

    def run():
        (task,) = run_dag("retry_policy", None).get_task_instances()
        return str(task.state), [float(began) for began in tries.read_text().split()]

    return run


@pytest.fixture
def policy():
    """The policy, as a DAG file makes it."""
    from airflow_provider_vectorshift.retry import VectorShiftRetryPolicy

    return VectorShiftRetryPolicy()


@pytest.mark.airflow33
def test_a_retry_comes_when_the_service_says(emulator, run):
    """After a 429 the task waits as long as `Retry-After` says, not its own delay of nothing."""
    emulator.fault("count", "status", code=429, retry_after="1")
    state, (first, second) = run()
    assert state == "success"
    assert second - first >= 1


@pytest.mark.airflow33
def test_a_permanent_error_fails_at_once(emulator, run):
    """A refused request is not repeated, though the task has two retries left."""
    emulator.fault("count", "status", code=403, times=0)
    state, tries = run()
    assert (state, len(tries)) == ("failed", 1)
    assert emulator.counters()["requests"]["count"] == 1


@pytest.mark.airflow33
def test_other_errors_are_retried_as_the_task_says(emulator, run):
    """An error without a time is retried after the task's own delay, as often as it says."""
    emulator.fault("count", "status", code=500, times=0)
    state, tries = run()
    assert (state, len(tries)) == ("failed", 3)


@pytest.mark.airflow33
@pytest.mark.parametrize(
    ("error", "action", "delay"),
    [
        (RateLimitError("slow down", retry_after=30), "retry", 30),
        (RateLimitError("slow down", retry_after=1e300), "retry", 3600),
        (RateLimitError("slow down", retry_after=0), "retry", 0),
        (RateLimitError("slow down"), "default", None),
        (InternalServerError("later", retry_after=30), "retry", 30),
        (InternalServerError("broken"), "default", None),
        (AuthenticationError("who?"), "fail", None),
        (WindowError("no interval"), "fail", None),
        (StorageError("locked"), "default", None),
        (KeyError("the user's own"), "default", None),
    ],
)
def test_decisions(policy, error, action, delay):
    """What each kind of error leads to."""
    decision = policy.evaluate(error, try_number=1, max_tries=3)
    assert decision.action.value == action
    assert decision.retry_delay == (None if delay is None else timedelta(seconds=delay))


@pytest.mark.airflow33
def test_the_policy_survives_serialization(policy):
    """A DAG with the policy serializes; the scheduler knows that there is one, the worker which."""
    from airflow.sdk import DAG

    with DAG(dag_id="d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        VectorShiftExportOperator(task_id="export", destination="x", retry_policy=policy)
    assert stored_and_read(dag).get_task("export").has_retry_policy
    stored = json.loads(json.dumps(policy.serialize()))
    assert isinstance(type(policy).deserialize(stored), type(policy))


def test_an_earlier_airflow_is_named():
    """Where Airflow has no retry policies, importing the module says since when there are any."""
    script = (
        "import sys\n"
        "import airflow.sdk\n"
        "sys.modules['airflow.sdk.definitions.retry_policy'] = None\n"
        "import airflow_provider_vectorshift.operators\n"
        "import airflow_provider_vectorshift.retry\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode != 0
    assert "ImportError: VectorShiftRetryPolicy needs Airflow 3.3 or later" in done.stderr
