"""One Airflow for all tests of this folder, ended after them, and an account of the service for each scenario."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from tests.airflow_live.accounts import hold
from tests.airflow_live.landing import Warehouse, warehouse_in
from tests.airflow_live.stack import Stack, running
from tests.days import LAST_MIDNIGHT
from tests.postgres import server
from vectorshift_emulator import Emulator, serve
from vectorshift_orchestration import Window

HERE = Path(__file__).parent
collect_ignore = [] if "LIVE_KILLS" in os.environ else ["test_kill_rounds.py"]
"""An Airflow of its own, beside that of all other tests: `make kills` starts it."""
HELD = (
    "worker_killed",
    "triggerer_killed",
    "scheduler_killed",
    "scheduler_killed_deferred",
    "marked_failed",
    "canary",
    "many",
)
"""Whose exports stay pending until a test lets go of them."""
SCENARIOS = (*HELD, "nightly", "deferred", "cleared", "mapped", "sensor", "watch")
BEGUN = (
    *("deferred", "worker_killed", "triggerer_killed", "cleared", "marked_failed", "mapped"),
    *("scheduler_killed", "scheduler_killed_deferred"),
)
"""DAGs whose first run starts with the stack, so that they run side by side."""
PIPELINES = tuple(f"pipeline_{number}" for number in range(20))
EXPORTS = int(os.environ.get("LIVE_EXPORTS", "40"))
"""How many mapped, deferred exports wait at once. Each costs workers two starts, so 200 of them take five minutes
of a machine that does nothing else: LIVE_EXPORTS=200 on the pytest command of `tests/airflow_live/test_many.py`."""
API_KEY = f"sk_canary_{secrets.token_hex(12)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the ends of the components' logs with a failure."""
    report = yield
    made = getattr(item, "funcargs", {}).get("stack")
    if report.failed and made is not None:
        for name, component in made.components.items():
            report.sections.append((f"log of the {name}", component.tail()))
    return report


@pytest.fixture(scope="session")
def figures(request) -> Iterator[dict[str, object]]:
    """What the tests measured, shown at the end of the session."""
    measured: dict[str, object] = {}
    yield measured
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    reporter.write_line(f"\nmeasured in live Airflow: {json.dumps(measured, indent=1)}")


@pytest.fixture(scope="package")
def day() -> Window:
    """The last complete UTC day: the newest that the accounts' events cover."""
    return Window.day(LAST_MIDNIGHT.date() - timedelta(days=1))


@pytest.fixture(scope="package")
def accounts(day: Window) -> Iterator[Mapping[str, Emulator]]:
    """An account with two days of events for each scenario, so that what it counts is the scenario's."""
    with ExitStack() as stack:
        made = {
            name: stack.enter_context(serve(events=500, days=2, end=LAST_MIDNIGHT, api_key=API_KEY))
            for name in SCENARIOS
        }
        for name in HELD:
            hold(made[name])
        for number, pipeline in enumerate(PIPELINES):
            made["mapped"].burst(number + 1, at=day.start, object_id=pipeline)
        yield made


@pytest.fixture(scope="package")
def postgres() -> Iterator[str]:
    """Connection string of a PostgreSQL server of our own, as its superuser."""
    with server() as made:
        yield made.conninfo


@pytest.fixture(scope="package")
def warehouse(postgres: str) -> Warehouse:
    """The database that the exports land in; its user has a password."""
    return warehouse_in(postgres)


@pytest.fixture(scope="package")
def stack(
    accounts: Mapping[str, Emulator],
    postgres: str,
    warehouse: Warehouse,
    day: Window,
    figures: dict[str, object],
) -> Iterator[Stack]:
    """A running Airflow that knows every account."""
    connections = {
        f"AIRFLOW_CONN_VS_{name.upper()}": json.dumps(
            {"conn_type": "vectorshift", "host": account.base_url, "password": account.api_key}
        )
        for name, account in accounts.items()
    }
    home = Path(tempfile.mkdtemp(prefix="airflow-live-"))
    env = connections | {
        "AIRFLOW_CONN_WAREHOUSE": warehouse.uri,
        "AIRFLOW_CONN_FS_DEFAULT": "fs://",  # Airflow's own file sensor wants one
        "LIVE_OUT": str(home / "out"),
        "LIVE_PIPELINES": ",".join(PIPELINES),
        "LIVE_EXPORTS": str(EXPORTS),
    }
    try:
        with running(home, postgres, HERE / "dags", env) as made:
            figures.update(made.figures)
            yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="package")
def begun(stack: Stack, day: Window) -> Mapping[str, str]:
    """The first runs of the scenarios, all started at once; their ids by DAG."""
    stack.rest.pool("vectorshift", slots=2)
    return {name: stack.rest.trigger(name, (day.start, day.end)) for name in BEGUN}
