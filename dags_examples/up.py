"""`make up`: the emulator, Airflow and Dagster together, with the examples at work, until Ctrl-C.

Whatever ran here before, every DAG is on, every schedule and sensor of Dagster's is on, and Dagster
materializes the last complete day at once; Airflow's scheduler begins with that day by itself.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import stack

from vectorshift_emulator import Emulator

AIRFLOW_PORT = os.environ.get("VECTORSHIFT_AIRFLOW_PORT", "8080")
DAGSTER_PORT = os.environ.get("VECTORSHIFT_DAGSTER_PORT", "3000")
AIRFLOW = f"http://127.0.0.1:{AIRFLOW_PORT}"
DAGSTER = f"http://127.0.0.1:{DAGSTER_PORT}"
DEFINITIONS = ("definitions.py", "alerts.py", "exports.py")
PATIENCE = 180.0
LOADED = """{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name }
  schedules { name pipelineName } sensors { name } } } } }"""
START_SCHEDULE = """mutation ($it: ScheduleSelector!) { startSchedule(scheduleSelector: $it) {
  __typename ... on PythonError { message } } }"""
START_SENSOR = """mutation ($it: SensorSelector!) { startSensor(sensorSelector: $it) {
  __typename ... on PythonError { message } } }"""
LAUNCH = """mutation ($it: ExecutionParams!) { launchRun(executionParams: $it) {
  __typename ... on PythonError { message } } }"""


class Processes:
    """What was started; each ends with the stack that it was started in."""

    def __init__(self, running: ExitStack, env: dict[str, str]) -> None:
        self._running, self._env = running, env
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, program: str, *arguments: str) -> None:
        """Start a program of our environment, its output in a log of its name."""
        log = stack.HOME / "logs" / f"{name}.log"
        command = [stack.BIN / program, *arguments]
        self._started[name] = self._running.enter_context(stack.started(command, log, self._env))

    def ended(self) -> list[str]:
        """The names of those that run no more."""
        return [name for name, each in self._started.items() if each.poll() is not None]

    def wait(self, name: str, url: str) -> None:
        """Wait until one of them answers."""
        deadline = time.monotonic() + PATIENCE
        while name not in self.ended() and time.monotonic() < deadline:
            try:
                if httpx.get(url, timeout=5, trust_env=False).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        log = stack.HOME / "logs" / f"{name}.log"
        raise stack.StepFailed(f"{name} does not answer at {url}; see {log}")


def main() -> int:
    """Start everything, print where it is, and wait; every process ends with this one."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with (
            stack.home(),
            stack.emulator("--live", "1", *sys.argv[1:]) as service,
            ExitStack() as running,
        ):
            print(f"emulator  {service.base_url}  (key {service.api_key})", flush=True)
            ended = _serve(service, running)
        print(f"{', '.join(ended)} ended by itself; see {stack.HOME / 'logs'}")
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
        return 0
    except (stack.StepFailed, httpx.HTTPError) as error:
        print(error, file=sys.stderr)
    return 1


def _serve(service: Emulator, running: ExitStack) -> list[str]:
    """Start Airflow and Dagster, and wait; the names of the processes that ended."""
    today = datetime.now(UTC).date()
    env = stack.environment(service, str(today - timedelta(days=30))) | {
        "AIRFLOW__API__PORT": AIRFLOW_PORT,
        # At start-up everything is slow: the default of 5 s would lose the first run's first try.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{AIRFLOW}/execution/",
    }
    processes = Processes(running, env)
    files = [str(stack.EXAMPLES / "dagster" / name) for name in DEFINITIONS]
    loaded = [part for file in files for part in ("-f", file)]
    processes.start("dagster", "dagster", "dev", *loaded, "-h", "127.0.0.1", "-p", DAGSTER_PORT)
    stack.run("airflow-db", [stack.BIN / "airflow", "db", "migrate"], env)
    _start_airflow(processes)
    print(f"airflow   {AIRFLOW}  (every DAG is on)", flush=True)
    processes.wait("dagster", f"{DAGSTER}/server_info")
    _turn_on_dagster(today - timedelta(days=1))
    print(f"dagster   {DAGSTER}  (every schedule and sensor is on)", flush=True)
    print(
        f"files     {stack.HOME}\nlogs      {stack.HOME / 'logs'}\nCtrl-C stops everything.",
        flush=True,
    )
    while not (ended := processes.ended()):
        time.sleep(0.5)
    return ended


def _start_airflow(processes: Processes) -> None:
    """The api-server first: a task whose worker does not reach it loses a try, and waits for the next.

    DAGs that are new are on by themselves. Earlier ones may have been paused, and have runs that
    ended with the processes at work on them; nobody else goes on with those of `airflow dags test`.
    """
    processes.start("airflow-api-server", "airflow", "api-server")
    processes.wait("airflow-api-server", f"{AIRFLOW}/api/v2/monitor/health")
    with httpx.Client(base_url=AIRFLOW, timeout=60, trust_env=False) as client:
        token = client.get("/auth/token").raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        client.patch(
            "/api/v2/dags", params={"dag_id_pattern": "~"}, json={"is_paused": False}
        ).raise_for_status()
        unfinished = client.get("/api/v2/dags/~/dagRuns", params={"state": "running"})
        for run in unfinished.raise_for_status().json()["dag_runs"]:
            client.post(
                f"/api/v2/dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'])}/clear",
                json={"dry_run": False, "only_failed": False},
            ).raise_for_status()
        pool = {"name": "vectorshift", "slots": 4, "description": "Tasks that ask VectorShift"}
        if client.get("/api/v2/pools/vectorshift").status_code == httpx.codes.NOT_FOUND:
            client.post("/api/v2/pools", json=pool).raise_for_status()
    for name in ("scheduler", "dag-processor", "triggerer"):
        processes.start(f"airflow-{name}", "airflow", name)


def _turn_on_dagster(day: date) -> None:
    """Start what the definitions leave to the user, and materialize a day of each schedule's assets."""
    for repository in _asked(LOADED)["repositoriesOrError"]["nodes"]:
        where = {
            "repositoryName": repository["name"],
            "repositoryLocationName": repository["location"]["name"],
        }
        for sensor in repository["sensors"]:
            _asked(START_SENSOR, where | {"sensorName": sensor["name"]})
        for schedule in repository["schedules"]:
            _asked(START_SCHEDULE, where | {"scheduleName": schedule["name"]})
            tags = [{"key": "dagster/partition", "value": str(day)}]
            selector = where | {"pipelineName": schedule["pipelineName"]}
            _asked(LAUNCH, {"selector": selector, "executionMetadata": {"tags": tags}})


def _asked(query: str, it: dict[str, Any] | None = None) -> Any:
    """The data of a GraphQL request."""
    reply = httpx.post(
        f"{DAGSTER}/graphql",
        json={"query": query, "variables": {"it": it}},
        timeout=60,
        trust_env=False,
    )
    told = reply.raise_for_status().json()
    refused = [each for each in (told["data"] or {}).values() if "message" in each]
    if "errors" in told or refused:
        raise stack.StepFailed(f"Dagster refused: {told.get('errors', refused)}")
    return told["data"]


if __name__ == "__main__":
    sys.exit(main())
