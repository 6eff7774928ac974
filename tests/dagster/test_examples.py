"""The example definitions, as a user runs them."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster.components.testing import create_defs_folder_sandbox

from tests.days import MIDNIGHT

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "dags_examples" / "dagster"
TODAY = MIDNIGHT.date()
FIRST, LAST = TODAY - timedelta(days=7), TODAY - timedelta(days=1)


@pytest.fixture
def home(tmp_path):
    """A DAGSTER_HOME with the examples' settings."""
    path = tmp_path / "dagster"
    path.mkdir()
    shutil.copy(EXAMPLES / "dagster.yaml", path)
    return path


def loaded(name):
    """The definitions of one example."""
    spec = spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.defs


def described(several):
    """What definitions say of their assets."""
    return {
        spec.key: (
            *(spec.group_name, spec.code_version, spec.description, spec.kinds),
            defs.resolve_assets_def(spec.key).op.retry_policy,
        )
        for defs in several
        for spec in defs.resolve_all_asset_specs()
    }


@pytest.fixture
def definitions(monkeypatch, tmp_path):
    """The module of the example, loaded without a key and without a service."""
    monkeypatch.setenv("VECTORSHIFT_EXAMPLES_HOME", str(tmp_path))
    monkeypatch.delenv("VECTORSHIFT_API_KEY", raising=False)
    return loaded("definitions")


@pytest.mark.parametrize("name", ["definitions", "exports", "alerts"])
def test_reading_an_example_loads_no_arrow(name, tmp_path):
    """A code server reads definitions again and again; what they say of columns takes no Arrow, pandas or database."""
    script = (
        "import runpy, sys; runpy.run_path(sys.argv[1]);"
        "print(*sorted({'pyarrow', 'pandas', 'duckdb', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, EXAMPLES / f"{name}.py"],
        env=os.environ | {"VECTORSHIFT_EXAMPLES_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []


@pytest.mark.slow
def test_the_demo_command_lands_the_truth(emulator, home, tmp_path):
    """Dagster's command line materializes seven days in one run and one aggregation, and the key is kept nowhere."""
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
    found_out_once = {"search": 1, "count": 3}
    assert emulator.counters()["requests"] == {"aggregations": 1} | found_out_once
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
        "model_health",
        "error_sources",
    }


def test_the_schedule_asks_for_the_day_that_ended(definitions, tmp_path):
    """Every night one run is requested, for the day that has ended and the two before it."""
    schedule = definitions.resolve_schedule_def("daily_pipeline_health_schedule")
    night = datetime(2026, 11, 23, 2, tzinfo=UTC)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=night,
            repository_def=definitions.get_repository_def(),
        )
        (requested,) = schedule.evaluate_tick(context).run_requests
    assert requested.tags["dagster/asset_partition_range_start"] == "2026-11-20"
    assert requested.tags["dagster/asset_partition_range_end"] == "2026-11-22"
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 2 * * *", "UTC")


# What Dagster itself calls while it reads YAML.
@pytest.mark.filterwarnings("ignore:.*parse_obj_as", "ignore:.*CodeReference")
def test_the_yaml_says_what_the_python_says(definitions, monkeypatch):
    """Folder defs holds the same assets, checks and schedules as definitions.py."""
    monkeypatch.setenv("VECTORSHIFT_API_KEY", "sk_any")
    with create_defs_folder_sandbox() as sandbox:
        shutil.copytree(EXAMPLES / "defs", sandbox.defs_folder_path, dirs_exist_ok=True)
        with sandbox.build_all_defs() as defs:
            python = [definitions, loaded("exports")]
            assert described([defs]) == described(python)
            crons = [each.cron_schedule for some in python for each in some.schedules]
            assert [each.cron_schedule for each in defs.schedules] == crons == ["0 2 * * *"] * 2


@pytest.mark.filterwarnings("ignore:.*backfill_policy.*:")
def test_the_examples_can_be_loaded_side_by_side(definitions):
    """No asset is made by two of them: Dagster takes assets of one key for one asset, in any code location."""
    created = Counter(
        spec.key
        for defs in (definitions, loaded("exports"), loaded("alerts"))
        for asset in defs.resolve_asset_graph().assets_defs
        if asset.is_executable
        for spec in asset.specs
    )
    assert created.keys() > {dg.AssetKey("pipeline_health"), dg.AssetKey("run_health")}
    assert set(created.values()) == {1}
