"""What pyproject.toml claims to run with: the built wheel and its tests, in environments of other versions.

`make environments` runs all of them and ends with a table. A run of all tests does the short part of those that have one.
"""

import os
import re
import subprocess
import tomllib
from dataclasses import dataclass

import pytest
from packaging.requirements import Requirement

from tests.built import built, unpacked
from tests.locked_environment import ROOT, interpreter_of, locked_python

WHOLE = bool(os.environ.get("TEST_ENVIRONMENTS"))
REQUIREMENTS = ROOT / "requirements"
CORE = (
    *(
        "sdk/test_client",
        "sdk/test_proxies",
        "sdk/test_results",
        "sdk/test_trust",
        "sdk/test_wires",
    ),
    *("emulator/test_replies", "orchestration/test_files", "orchestration/test_files_parquet"),
    *(
        "orchestration/test_readers",
        "orchestration/test_sql_duckdb",
        "orchestration/test_sql_postgres",
    ),
    *("orchestration/test_lakes", "dagster/test_components", "dagster/test_health_assets"),
)
SHORT = ("sdk/test_results", "orchestration/test_readers", "orchestration/test_sql_duckdb")
AIRFLOW = tuple(
    f"airflow/test_{name}"
    for name in (
        *("aggregate", "definition", "error_count_sensor", "error_count_trigger", "export_files"),
        *("export_outcomes", "export_sensor", "export_tables", "hook", "landing", "provider_info"),
        *("threshold", "trigger"),
    )
)

PROVIDER = tuple(
    f"airflow/test_{name}"
    for name in ("aggregate", "error_count_trigger", "export_files", "hook", "provider_info")
)

HOOKS = ("airflow/test_export_databases",)
"""Over the providers' own hooks, where the lock of the tests has only the drivers."""


@dataclass(frozen=True)
class Environment:
    """A Python, a lock, and what is run there; `short` is what a run of all tests does of it."""

    name: str
    python: str
    lock: str
    tests: tuple[str, ...]
    at_least: int
    short: tuple[str, ...] = ()

    @property
    def requirements(self):
        return REQUIREMENTS / f"{self.lock}.txt"


ENVIRONMENTS = (
    Environment("lowest direct versions", "3.11", "lowest", CORE, 500, SHORT),
    Environment("lock of the tests", "3.12", "dev", (*CORE, *AIRFLOW), 830),
    Environment("newest direct versions", "3.13", "newest", CORE, 500, SHORT),
    Environment("Airflow 3.1, its constraints", "3.11", "airflow31", AIRFLOW, 330, PROVIDER),
    Environment("Airflow 3.2", "3.12", "airflow32", AIRFLOW, 330),
    Environment("Airflow 3.3", "3.13", "dev", AIRFLOW, 330),
    Environment("hooks of MySQL, Snowflake", "3.11", "hooks", HOOKS, 7),
)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of this checkout, unpacked: what to put on the path in place of installing it."""
    return unpacked(built(tmp_path_factory.mktemp("wheel")))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "environment",
    [pytest.param(each, id=each.name) for each in ENVIRONMENTS if WHOLE or each.short],
)
def test_our_tests_pass_there(environment, wheel, record_property):
    """Every test that is run there passes, of as many as there are, and none is skipped."""
    tests = environment.tests if WHOLE else environment.short
    interpreter = interpreter_of(environment.python)
    if interpreter is None:
        record_property("environment", (environment.name, environment.python, {}))
        pytest.skip(f"there is no Python {environment.python} on this machine")
    python = locked_python(environment.requirements, interpreter=interpreter)
    # Versions of other years warn of each other's old names.
    plain = ["-q", "-W", "default", "-p", "no:cacheprovider", "--tb=short"]
    chosen = ["-m", "not slow and not airflow33", *(f"tests/{name}.py" for name in tests)]
    done = subprocess.run(
        [python, "-m", "pytest", *plain, *chosen],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        check=False,
    )
    counts = {
        outcome: int(count)
        for count, outcome in re.findall(r"(\d+) (passed|failed|errors?|skipped)", last_line(done))
    }
    record_property("environment", (environment.name, environment.python, counts))
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert set(counts) == {"passed"}, done.stdout[-2_000:]
    assert counts["passed"] >= (environment.at_least if WHOLE else 50)


def last_line(done):
    """The closing line of a run of pytest."""
    return (done.stdout.splitlines() or [""])[-1]


def versions(lock):
    """The versions in a lock, by package."""
    pins = re.findall(r"^([a-z\d.-]+)==(\S+)", (REQUIREMENTS / f"{lock}.txt").read_text(), re.M)
    return dict(pins)


def floors():
    """The lowest version that pyproject.toml allows of each direct dependency."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    written = [project["dependencies"], *project["optional-dependencies"].values()]
    needed = [Requirement(each) for every in written for each in every]
    return {
        each.name: bound.version
        for each in needed
        for bound in each.specifier
        if bound.operator == ">="
    }


def test_the_lowest_versions_are_tried():
    """Each floor of pyproject.toml is a version that one of the two oldest locks holds, so that tests run with it."""
    ours, tried = floors(), [versions("lowest"), versions("airflow31")]
    untried = {
        name: floor
        for name, floor in ours.items()
        if not any(matches(each.get(name, ""), floor) for each in tried)
    }
    assert untried == {}
    assert len(ours) > 20


def matches(version, floor):
    """Whether a version is the first one that a floor allows, as it is written there: 3.2 is 3.2.0."""
    return version == floor or re.fullmatch(rf"{re.escape(floor)}(\.0)*", version) is not None


def test_the_constraints_of_airflow_are_of_its_time():
    """Airflow 3.1 stands beside SQLAlchemy 1.4 and psycopg2, and 3.2 beside svcs 25, as their constraints have them."""
    found = versions("airflow31")
    assert found["sqlalchemy"].startswith("1.4.")
    assert "psycopg2-binary" in found
    assert versions("airflow32")["svcs"].startswith("25.")
