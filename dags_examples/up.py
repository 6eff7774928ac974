"""`make up`: the emulator, Airflow and Dagster together, with the examples loaded, until Ctrl-C."""

import http.client
import os
import signal
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import stack

AIRFLOW_PORT = os.environ.get("VECTORSHIFT_AIRFLOW_PORT", "8080")
DAGSTER_PORT = os.environ.get("VECTORSHIFT_DAGSTER_PORT", "3000")
PATIENCE = 180.0


def main() -> int:
    """Start everything, print where it is, and wait; every process ends with this one."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    stack.folders()
    today = datetime.now(UTC).date()
    with ExitStack() as running:
        service = running.enter_context(stack.emulator("--live", "1", *sys.argv[1:]))
        print(f"emulator  {service.base_url}  (key {service.api_key})", flush=True)
        env = stack.environment(service, str(today - timedelta(days=30))) | {
            "AIRFLOW__API__PORT": AIRFLOW_PORT,
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            # At start-up everything is slow: the default of 5 s would lose the first run's first try.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{AIRFLOW_PORT}/execution/",
        }
        definitions = stack.EXAMPLES / "dagster" / "definitions.py"
        commands = {
            "airflow": [stack.BIN / "airflow", "standalone"],
            "dagster": [
                *(stack.BIN / "dagster", "dev", "-f", definitions),
                *("-h", "127.0.0.1", "-p", DAGSTER_PORT),
            ],
        }
        processes = {
            name: running.enter_context(
                stack.started(command, stack.HOME / "logs" / f"{name}.log", env)
            )
            for name, command in commands.items()
        }
        try:
            for name, port, path in (
                ("dagster", DAGSTER_PORT, "/server_info"),
                ("airflow", AIRFLOW_PORT, "/api/v2/monitor/health"),
            ):
                _wait(name, processes[name], int(port), path)
                print(f"{name:9} http://127.0.0.1:{port}", flush=True)
            print(
                f"files     {stack.HOME}\nlogs      {stack.HOME / 'logs'}\nCtrl-C stops everything.",
                flush=True,
            )
            while all(process.poll() is None for process in processes.values()):
                time.sleep(0.5)
            ended = [name for name, process in processes.items() if process.poll() is not None]
            print(f"{', '.join(ended)} ended by itself; see {stack.HOME / 'logs'}")
            return 1
        except KeyboardInterrupt:
            print("\nstopping", flush=True)
            return 0
        except stack.StepFailed as error:
            print(error, file=sys.stderr)
            return 1


def _wait(name: str, process: "stack.subprocess.Popen[bytes]", port: int, path: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise stack.StepFailed(
        f"{name} did not come up on port {port}; see {stack.HOME / 'logs' / f'{name}.log'}"
    )


if __name__ == "__main__":
    sys.exit(main())
