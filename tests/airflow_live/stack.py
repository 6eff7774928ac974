"""Airflow as it runs in earnest: four components in processes of their own, metadata in PostgreSQL."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
from cryptography.fernet import Fernet
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.airflow_live.rest import Rest
from tests.processes import Component, free_port, parent_of, processes, tail

AIRFLOW = Path(sys.executable).parent / "airflow"
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
HEALTHY = dict.fromkeys(("metadatabase", "scheduler", "dag_processor", "triggerer"), "healthy")
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")
CHATTY = {"AIRFLOW__LOGGING__NAMESPACE_LEVELS": "httpx=DEBUG httpcore=DEBUG"}
"""Workers log all that their HTTP library tells, for whoever looks for secrets; hundreds of triggers
would do little else."""
PATIENCE = float(os.environ.get("LIVE_PATIENCE", "180"))
"""Seconds that a wait lasts at most, by default."""


class NotInTime(AssertionError):
    """Something did not come to pass; the components' logs tell more."""


@dataclass
class Stack:
    """A running Airflow, and what a test or a calamity does to it.

    Args:
        home: its folder: configuration, logs, and what DAGs land under `out`.
        database: connection string of its metadata database.
        env: the environment of its processes.
        rest: its REST interface.
        nice: how much its processes, but for triggerers, let others go first.
    """

    home: Path
    database: str
    env: Mapping[str, str] = field(repr=False)
    rest: Rest
    nice: int = 10
    components: dict[str, Component] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """Where the DAGs' files land."""
        return self.home / "out"

    # --- waiting ---

    def until(
        self,
        what: Callable[[], Any],
        expected: str,
        *,
        seconds: float = PATIENCE,
        every: float = 0.2,
    ) -> Any:
        """Wait until `what()` gives something true, and return it."""
        deadline = time.monotonic() + seconds
        while not (result := what()):
            if (dead := self.dead()) or time.monotonic() > deadline:
                raise NotInTime(f"not within {seconds:.0f} s: {expected}; ended: {dead}")
            time.sleep(every)
        return result

    def state(
        self, dag_id: str, run_id: str, task_id: str, *states: str, seconds: float = PATIENCE
    ) -> dict[str, Any]:
        """Wait until a task is in one of some states; the task as it is then."""
        seen: list[Any] = []

        def reached() -> dict[str, Any] | None:
            task = self.rest.task(dag_id, run_id, task_id)
            seen[:] = [task["state"], task["try_number"]]
            if task["state"] not in states and task["state"] in ENDED:
                raise NotInTime(f"{dag_id}.{task_id} is not one of {states}")
            return task if task["state"] in states else None

        try:
            result: dict[str, Any] = self.until(
                reached, f"{dag_id}.{task_id} is one of {states}", seconds=seconds
            )
        except NotInTime as error:
            raise NotInTime(f"{error}; it was {seen}\n{self.task_logs(dag_id)}") from None
        return result

    def ended(self, dag_id: str, run_id: str, *, seconds: float = PATIENCE) -> str:
        """Wait until a run has ended; its state."""

        def finished() -> str | None:
            reported = self.rest.ask("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
            return reported["state"] if reported["state"] in ("success", "failed") else None

        try:
            state: str = self.until(finished, f"run of {dag_id} ends", seconds=seconds)
        except NotInTime as error:
            tasks = [
                (task["task_id"], task["map_index"], task["state"], task["try_number"])
                for task in self.rest.tasks(dag_id, run_id)
                if task["state"] != "success"
            ]
            raise NotInTime(f"{error}; {tasks[:10]}\n{self.task_logs(dag_id)}") from None
        return state

    # --- components ---

    def add(
        self,
        name: str,
        arguments: Sequence[str],
        env: Mapping[str, str] = MappingProxyType({}),
        within: Sequence[str] = (),
    ) -> None:
        """Add a component, not started yet: `airflow` with some arguments, and more of the environment.

        `within` is a command that starts the one behind it, somewhere else.
        """
        # A full machine must not pass for a trigger that blocks the triggerer's loop. Where it
        # may not go first, `nice` says so and starts it all the same.
        waits = arguments[0] == "triggerer"
        command = [*within, "nice", "-n", "-15" if waits else str(self.nice), AIRFLOW, *arguments]
        log = self.home / "components" / f"{name}.log"
        everything = {**self.env, **({} if waits else CHATTY), **env}
        self.components[name] = Component(name, command, log, everything, self.home)

    # --- calamities ---

    def kill_worker(self, task: Mapping[str, Any]) -> None:
        """SIGKILL a running task together with its supervisor: nobody is left to report it."""
        supervisor = parent_of(task["pid"])
        assert supervisor in self.components["scheduler"].members()
        for pid in (supervisor, task["pid"]):
            os.kill(pid, signal.SIGKILL)

    def kill(self, name: str) -> None:
        """SIGKILL a component with everything that it started."""
        self.components[name].kill()

    def start(self, name: str) -> None:
        """Start a component again after it was killed."""
        self.components[name].start()

    # --- looking ---

    def dead(self) -> list[str]:
        """The components that ended by themselves."""
        return [
            name
            for name, each in self.components.items()
            if each.process is not None and each.process.poll() not in (None, -9)
        ]

    def task_logs(self, dag_id: str) -> str:
        """The ends of a DAG's newest task logs."""
        logs = sorted(self.home.glob(f"**/dag_id={dag_id}/**/*.log*"))
        return "\n".join(f"--- {path.relative_to(self.home)}\n{tail(path)}" for path in logs[-4:])

    def query(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of Airflow's own database."""
        with psycopg.connect(self.database) as connection:
            return connection.execute(statement, arguments).fetchall()


@contextmanager
def running(
    home: Path, server: str, dags: Path, env: Mapping[str, str], *, nice: int = 10
) -> Iterator[Stack]:
    """Airflow over an empty database, ended with everything that it started.

    Args:
        home: an empty folder.
        server: connection string of a PostgreSQL server, as its superuser.
        dags: folder of DAGs.
        env: more of the environment: connections, and what the DAG files read.
        nice: how much its processes, but for triggerers, let others go first.
    """
    began = time.monotonic()
    for folder in ("out", "components"):
        (home / folder).mkdir()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE airflow")
    port = free_port()
    everything = environment(home, server, port, dags) | env
    with closing(Rest(f"http://127.0.0.1:{port}")) as rest:
        stack = Stack(home, make_conninfo(server, dbname="airflow"), everything, rest, nice)
        _migrate(stack)
        stack.figures["migrated_s"] = round(time.monotonic() - began, 1)
        for name in COMPONENTS:
            stack.add(name, [name])
        try:
            for component in stack.components.values():
                component.start()
            _wait_for_all(stack, {file.stem for file in dags.glob("*.py")})
            stack.figures["started_s"] = round(time.monotonic() - began, 1)
            yield stack
        finally:
            sessions = {
                each.process.pid for each in stack.components.values() if each.process is not None
            }
            for component in stack.components.values():
                component.terminate()
            for component in stack.components.values():
                component.end()
            left = [pid for pid, _, session in processes() if session in sessions]
            assert left == [], f"processes were left behind: {left}"


def _wait_for_all(stack: Stack, files: set[str]) -> None:
    """Until every component is healthy and every DAG file was read; their logs tell why not."""

    def read() -> bool:
        assert not (errors := stack.rest.import_errors()), errors
        existing = stack.query("SELECT DISTINCT fileloc FROM dag WHERE NOT is_stale")
        return {Path(path).stem for (path,) in existing} == files

    try:
        stack.until(lambda: stack.rest.health() == HEALTHY, "every component is healthy")
        stack.rest.sign_in()
        stack.until(read, "every DAG file was read")
    except AssertionError as error:
        reported = "\n".join(
            f"--- {name}\n{each.tail()}" for name, each in stack.components.items()
        )
        raise NotInTime(f"{error}\n{reported}") from None


def _migrate(stack: Stack) -> None:
    log = stack.home / "components" / "migrate.log"
    with log.open("wb") as out:
        done = subprocess.run(
            [AIRFLOW, "db", "migrate"],
            env=stack.env,
            cwd=stack.home,
            stdout=out,
            stderr=out,
            check=False,
        )
    assert done.returncode == 0, log.read_text()[-4000:]


def environment(home: Path, server: str, port: int, dags: Path) -> dict[str, str]:
    """What Airflow is configured with: where things are, and thresholds so low that a test can wait for them."""
    where = conninfo_to_dict(server)
    database = f"{where['user']}@{where['host']}:{where['port']}/airflow"
    settings = {
        "CORE__DAGS_FOLDER": dags,
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 4,
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "LOGGING__BASE_LOG_FOLDER": home / "logs",
        "API__HOST": "127.0.0.1",
        "API__PORT": port,
        "API__WORKERS": 1,
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "LOGGING__WORKER_LOG_SERVER_PORT": free_port(),
        "LOGGING__TRIGGER_LOG_SERVER_PORT": free_port(),
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 600,
        "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": 1,
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.2,
        # A scheduler that is late once calls itself dead, and resets its tasks for ever after.
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": 60,
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 2,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 12,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 2,
        "SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": 2,
        "TRIGGERER__JOB_HEARTBEAT_SEC": 1,
        "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": 6,
        "WORKERS__MIN_HEARTBEAT_INTERVAL": 2,
    }
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return ours | {
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
    }
