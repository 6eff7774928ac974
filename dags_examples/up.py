"""`make up`: the emulator, Airflow and Dagster together, with the examples at work, until Ctrl-C.

Whatever ran here before, every DAG, schedule and sensor is on, each DAG has a green run, Dagster has
materialized thirty days, a burst of failed runs has set off an alert, and one start page links and
tells of it all. The ports are those of VECTORSHIFT_START_PORT, _EMULATOR_PORT, _AIRFLOW_PORT and
_DAGSTER_PORT, else 8000, 8006, 8080 and 3000, else free ones.
"""

import json
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import stack
from airflow_side import Airflow
from board import Board, Place
from bursts import burst
from dagster_side import Dagster
from processes import Processes
from start_page import StartPage

from vectorshift_emulator import Emulator
from vectorshift_orchestration import Window
from vectorshift_orchestration.report import publish_health_page
from vectorshift_orchestration.storage.duckdb_file import duckdb_file

DAYS = 30
TABLES = ("run_health", "pipeline_health", "model_health", "error_messages")
PLACES = {
    "emulator": Place(
        "Emulator", "", "The service: what it holds and is asked for. Switches, faults and bursts."
    ),
    "airflow": Place(
        "Airflow", "No login.", "Four DAGs that are on, each with a green run, and alerts."
    ),
    "dagster": Place(
        "Dagster", "No login.", "Assets by day with plots and checks; schedules and sensors."
    ),
    "health": Place(
        "Health page",
        "A file.",
        f"One page on {DAYS} days, made from the tables that Dagster landed.",
    ),
}
STEPS = {
    "burst": "A burst of failed runs is in the service",
    "airflow": "Airflow is up, and every DAG is on",
    "dagster": "Dagster is up, and every schedule is on",
    "partitions": f"{DAYS} partitions are materialized",
    "health": "The health page is made",
    "runs": "Each DAG has a green run",
    "alerts": "Both have sent an alert on the burst",
}


def main() -> int:
    """Start everything, say where it is, and wait; every process ends with this one."""
    signal.signal(signal.SIGTERM, _exit)
    try:
        with stack.home(), ExitStack() as running:
            ended = _up(running)
        print(f"{', '.join(ended)} ended by itself; see {stack.HOME / 'logs'}")
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
        return 0
    except (stack.StepFailed, httpx.HTTPError) as error:
        print(error, file=sys.stderr)
    return 1


def _exit(*_: object) -> None:
    """End in order; a second signal would cut that short, and leave processes behind."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def _up(running: ExitStack) -> list[str]:
    """Start all of it, and wait; the names of the processes that ended."""
    ports = {
        name: stack.free_port(f"VECTORSHIFT_{name.upper()}_PORT", usual)
        for name, usual in (
            ("start", 8000),
            ("emulator", 8006),
            ("airflow", 8080),
            ("dagster", 3000),
        )
    }
    board = Board(stack.HOME / "alerts.jsonl", PLACES, STEPS)
    page = StartPage(ports["start"], board, stack.HOME / "health.html")
    running.enter_context(page.serving())
    print(f"start page {page.url}/ shows how far everything is", flush=True)
    service = running.enter_context(
        stack.emulator("--live", "1", "--port", str(ports["emulator"]), *sys.argv[1:])
    )
    emulator, airflow, dagster = (
        f"http://127.0.0.1:{ports[name]}" for name in ("emulator", "airflow", "dagster")
    )
    for name, url in (
        ("emulator", emulator),
        ("airflow", airflow),
        ("dagster", dagster),
        ("health", page.url),
    ):
        board.places[name].url = f"{url}/health.html" if name == "health" else f"{url}/"
    board.places["emulator"].login = f"Key {service.api_key}, base URL {service.base_url}"
    board.places["airflow"].links = {"nightly_export": f"{airflow}/dags/nightly_export"}
    board.places["dagster"].links = {
        "pipeline_health": f"{dagster}/assets/pipeline_health",
        "Runs": f"{dagster}/runs",
    }
    board.opened("emulator", f"is up at {emulator}/ (key {service.api_key})")
    with board.step("burst") as step:
        step.text = burst(service)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    first = yesterday - timedelta(days=DAYS - 1)
    env = stack.environment(service, str(first)) | _settings(ports, page)
    processes = Processes(running, env)
    sides = Airflow(airflow, processes, board), Dagster(dagster, processes, board, first, yesterday)
    _side_by_side(
        processes,
        lambda: (sides[0].start(env), sides[0].watch()),
        lambda: (sides[1].start(), sides[1].watch(), _make_health_page(board, page.health)),
        lambda: _await_alerts(board, processes),
    )
    _tell(board, page, service)
    while not (ended := processes.ended()):
        time.sleep(0.5)
    return ended


def _settings(ports: dict[str, int], page: StartPage) -> dict[str, str]:
    """What the examples' environment has here: ports, patience, and alerts that come to the start page."""
    address = f"http://127.0.0.1:{ports['airflow']}"
    slack = {"conn_type": "slackwebhook", "host": f"{page.url}/alerts", "password": "airflow"}
    return {
        "AIRFLOW__API__PORT": str(ports["airflow"]),
        "AIRFLOW__API__WORKERS": "1",
        # At start-up everything is slow: the default of 5 s would lose the first run's first try.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW_CONN_SLACK_DEFAULT": json.dumps(slack),
        "ALERT_CHANNELS": "slack",
        "ALERT_WEBHOOK_URL": f"{page.url}/alerts/dagster",
    }


def _side_by_side(processes: Processes, *works: Callable[[], object]) -> None:
    """Do it all at once. Raises the first error; what then goes on ends with this process."""
    outcomes: queue.Queue[BaseException | None] = queue.Queue()

    def done(work: Callable[[], object]) -> None:
        try:
            work()
            outcomes.put(None)
        except BaseException as error:  # noqa: BLE001  # raised in the main thread
            outcomes.put(error)

    for work in works:
        threading.Thread(target=done, args=(work,), daemon=True).start()
    for _ in works:
        if (error := outcomes.get()) is not None:
            raise error


def _make_health_page(board: Board, file: Path) -> None:
    with board.step("health") as step:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        window = Window(today - timedelta(days=DAYS), today)
        database = stack.HOME / "health.duckdb"
        made = publish_health_page(
            lambda: duckdb_file(database, lock_timeout=300), TABLES, window, file
        )
        step.text = f"{made.bytes / 1000:.0f} kB"
    board.opened("health", f"is at {board.places['health'].url}")


def _await_alerts(board: Board, processes: Processes) -> None:
    with board.step("alerts") as step:

        def seen() -> bool:
            counts, texts = board.alerts(), []
            for sender in ("Airflow", "Dagster"):
                # Neither tells twice of what an earlier command's burst made of the same minutes.
                since, before = counts[sender, True], counts[sender, False]
                earlier = " before" if before and not since else ""
                texts.append(f"{since or before} from {sender}{earlier}")
            step.text = ", ".join(texts)
            return all(
                counts[sender, True] or counts[sender, False] for sender in ("Airflow", "Dagster")
            )

        processes.until(seen, "no alert came")


def _tell(board: Board, page: StartPage, service: Emulator) -> None:
    seconds = board.ready()
    print(f"\nReady after {seconds:.0f} s.\n", flush=True)
    print(f"start page   {page.url}/  (links all that follows)")
    for place in board.places.values():
        print(f"{place.name.lower():<12} {place.url}  ({place.login.rstrip('.').lower()})")
    print(
        f"files        {stack.HOME}\nlogs         {stack.HOME / 'logs'}\nCtrl-C stops everything.",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
