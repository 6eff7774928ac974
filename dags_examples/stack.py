"""What `make demo` and `make up` share: folders, the environment of the examples, and processes that end with us."""

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import leftovers

from vectorshift_emulator import Emulator

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("VECTORSHIFT_EXAMPLES_HOME", ROOT / ".demo")).resolve()
EXAMPLES = ROOT / "dags_examples"
BIN = Path(sys.executable).parent


class StepFailed(RuntimeError):
    """A command of the demo failed; the message says which and where its log is."""


@contextmanager
def started(
    command: Sequence[str | Path], log: Path, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own, its output in `log`, and end the whole group afterwards."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE if log.name == "emulator.log" else out,
            stderr=out,
            env=dict(env),
            cwd=HOME,
            start_new_session=True,
        )
        leftovers.note(HOME, process.pid)
        try:
            yield process
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process group: TERM, patience, KILL. Airflow's own SIGTERM leaves children behind."""
    for number, patience in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and _alive(process):
            time.sleep(0.1)
    process.wait(timeout=5)
    if process.stdout is not None:
        process.stdout.close()


def _alive(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def emulator(*options: str) -> Iterator[Emulator]:
    """Start the emulator as its users do, and read where it listens from its first line."""
    log = HOME / "logs" / "emulator.log"
    command = [sys.executable, "-m", "vectorshift_emulator", *options]
    with started(command, log, os.environ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise StepFailed(f"the emulator did not start:\n{_tail(log)}")
        announced = json.loads(line)
        yield Emulator(
            control_url=announced["control_url"],
            control_token=announced["control_token"],
            base_url=announced["base_url"],
            api_key=announced["api_key"],
        )


def environment(service: Emulator, first_day: str) -> dict[str, str]:
    """The examples' environment: where they write, the service and its key, and quiet homes for both orchestrators.

    An Airflow of the user's own is left alone, whatever the shell says of it: its settings would come before these.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")
    }
    connection = {"conn_type": "vectorshift", "host": service.base_url, "password": service.api_key}
    return inherited | {
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "VECTORSHIFT_EXAMPLES_HOME": str(HOME),
        "VECTORSHIFT_EXAMPLES_START": first_day,
        "VECTORSHIFT_API_KEY": service.api_key,
        "VECTORSHIFT_BASE_URL": service.base_url,
        "AIRFLOW_CONN_VECTORSHIFT_DEFAULT": json.dumps(connection),
        "AIRFLOW_HOME": str(HOME / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API_AUTH__JWT_SECRET": _kept_secret("jwt"),
        "DAGSTER_HOME": str(HOME / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }


@contextmanager
def home() -> Iterator[None]:
    """The folders that the examples and their orchestrators write to, for one command at a time.

    Whatever was left there: processes of a command that was killed are ended, databases of other
    versions and those that cannot be opened are set aside, Dagster's dead runs are cancelled.

    Raises StepFailed while another command is at work there, or a program has a table file open.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go when this process dies
        except BlockingIOError:
            raise StepFailed(
                f"Another `make demo` or `make up` is at work in {HOME}; end it first."
            ) from None
        for name in leftovers.end_processes(HOME):
            print(f"ended {name}, left by an earlier command", flush=True)
        try:
            aside = [leftovers.of_other_versions(HOME), *leftovers.unreadable_tables(HOME)]
        except leftovers.InUse as error:
            raise StepFailed(str(error)) from None
        for name in ("logs", "airflow", "dagster"):
            (HOME / name).mkdir(exist_ok=True)
        shutil.copy(EXAMPLES / "dagster" / "dagster.yaml", HOME / "dagster" / "dagster.yaml")
        try:
            _end_dead_runs()
        except Exception:  # noqa: BLE001  # whatever a broken database of Dagster's makes of it
            aside.append(leftovers.set_aside(HOME, "dagster"))
            (HOME / "dagster").mkdir()
            shutil.copy(EXAMPLES / "dagster" / "dagster.yaml", HOME / "dagster" / "dagster.yaml")
        for path in filter(None, aside):
            print(f"set aside in {path} what an earlier command left", flush=True)
        yield


def migrate_airflow(env: Mapping[str, str]) -> None:
    """Bring Airflow's database up to date; one that cannot be is set aside, and a new one made."""
    command = [BIN / "airflow", "db", "migrate"]
    try:
        run("airflow-db", command, env)
    except StepFailed:
        if not (HOME / "airflow" / "airflow.db").exists():
            raise
        path = leftovers.set_aside(HOME, "airflow")
        print(f"set aside in {path} a database that Airflow cannot migrate", flush=True)
        (HOME / "airflow").mkdir()
        run("airflow-db", command, env)


def free_port(name: str, usual: int) -> int:
    """The port that variable `name` gives, or the usual one, or, if that is taken, any free one.

    Raises StepFailed where the given one is taken: who names a port wants that one.
    """
    explicit = os.environ.get(name)
    try:
        candidates = [int(explicit)] if explicit else [usual, 0]
    except ValueError:
        raise StepFailed(f"{name}={explicit} is not a port: give a number.") from None
    for port in candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
            free: int = probe.getsockname()[1]
            return free
    raise StepFailed(
        f"{name}={explicit} is taken by another program: free it, or name another port."
    )


def _end_dead_runs() -> None:
    """Cancel Dagster's runs that died with an earlier command, and free the pools that they hold."""
    if not (HOME / "dagster" / "history").exists():
        return
    import dagster as dg

    alive = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    with dg.DagsterInstance.from_config(str(HOME / "dagster")) as instance:
        for run in instance.get_runs(dg.RunsFilter(statuses=alive)):
            instance.report_run_canceled(run)
        for run_id in instance.event_log_storage.get_concurrency_run_ids():
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def _kept_secret(name: str) -> str:
    path = HOME / f".{name}"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return path.read_text()


def run(name: str, command: Sequence[str | Path], env: Mapping[str, str]) -> float:
    """Run a command to its end and return the seconds it took; a failure shows the end of its log."""
    log = HOME / "logs" / f"{name}.log"
    began = time.monotonic()
    with started(command, log, env) as process:
        status = process.wait()
    if status:
        raise StepFailed(f"{name} ended with {status}; its log {log} closes with:\n{_tail(log)}")
    return time.monotonic() - began


def _tail(log: Path, lines: int = 25) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
