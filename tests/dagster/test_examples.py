"""The example definitions, as a user runs them."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from dagster_vectorshift import VectorShiftResource

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "dags_examples" / "dagster"
PAGE = (ROOT / "docs" / "dagster.md").read_text(encoding="utf-8")
TODAY = datetime.now(UTC).date()
FIRST, LAST = TODAY - timedelta(days=7), TODAY - timedelta(days=1)


@pytest.fixture
def home(tmp_path):
    """A DAGSTER_HOME with the examples' settings."""
    path = tmp_path / "dagster"
    path.mkdir()
    shutil.copy(EXAMPLES / "dagster.yaml", path)
    return path


@pytest.fixture
def definitions(monkeypatch, tmp_path):
    """The module of the example, loaded without a key and without a service."""
    monkeypatch.setenv("VECTORSHIFT_EXAMPLES_HOME", str(tmp_path))
    monkeypatch.delenv("VECTORSHIFT_API_KEY", raising=False)
    spec = spec_from_file_location("pipeline_health_definitions", EXAMPLES / "definitions.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.defs


def test_the_demo_command_lands_the_truth(emulator, home, tmp_path):
    """Dagster's command line materializes seven days in one run, one request, and the key is kept nowhere."""
    emulator.reset_counters()
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "dagster", "asset", "materialize"),
            *("-f", EXAMPLES / "definitions.py", "--select", "*"),
            *("--partition-range", f"{FIRST}...{LAST}"),
        ],
        env=os.environ
        | {
            "DAGSTER_HOME": str(home),
            "VECTORSHIFT_EXAMPLES_HOME": str(tmp_path),
            "VECTORSHIFT_API_KEY": emulator.api_key,
            "VECTORSHIFT_BASE_URL": emulator.base_url,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert emulator.counters()["requests"] == {"aggregations": 1}
    with duckdb.connect(str(tmp_path / "health.duckdb")) as connection:
        landed = connection.execute(
            "SELECT bucket_start::DATE::VARCHAR, pipeline_id, runs_sum, errors_sum, tokens_sum"
            " FROM pipeline_health ORDER BY ALL"
        ).fetchall()
    truth = emulator.truth(
        "SELECT start_time::DATE::VARCHAR AS day, pipeline_id, count(*) AS runs,"
        " count(*) FILTER (status = 'failure') AS errors,"
        " coalesce(sum(tokens), 0)::BIGINT AS tokens"
        " FROM events WHERE entity = 'pipeline' AND is_run"
        f" AND start_time >= '{FIRST}' AND start_time < '{LAST}'::DATE + 1"
        " GROUP BY ALL ORDER BY ALL"
    )
    assert landed == [tuple(row.values()) for row in truth]
    for path in home.rglob("*"):
        assert path.is_dir() or emulator.api_key.encode() not in path.read_bytes(), path


def test_definitions_load_without_a_key(definitions):
    """A code server that has neither key nor service loads the example, and it is consistent."""
    dg.Definitions.validate_loadable(definitions)
    assert {spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs()} == {
        "pipeline_health",
        "vectorshift/analytics",
    }


# Dagster's own partitioned schedule calls a method that Dagster has deprecated.
@pytest.mark.filterwarnings("ignore:.*run_request_for_partition:DeprecationWarning")
def test_the_schedule_asks_for_the_day_that_ended(definitions):
    """Every night one run is asked for, for the day that has ended."""
    schedule = definitions.resolve_schedule_def("daily_pipeline_health_schedule")
    night = datetime(2026, 11, 23, 2, tzinfo=UTC)
    context = dg.build_schedule_context(
        scheduled_execution_time=night, repository_def=definitions.get_repository_def()
    )
    (asked,) = schedule.evaluate_tick(context).run_requests
    assert asked.partition_key == "2026-11-22"
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 2 * * *", "UTC")


@pytest.mark.parametrize("code", re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S))
def test_the_page_is_true(code):
    """The code of docs/dagster.md runs as it stands, and what it defines can be loaded."""
    names = {"__name__": "page"}
    exec(compile(code, "docs/dagster.md", "exec"), names)
    resources = {"vectorshift": VectorShiftResource(api_key=dg.EnvVar("VECTORSHIFT_API_KEY"))}
    defs = names.get("defs") or dg.Definitions([names["failed_runs"]], resources=resources)
    dg.Definitions.validate_loadable(defs)
