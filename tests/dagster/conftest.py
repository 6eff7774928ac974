"""Real runs in this process, against a real emulator and a real database file."""

import os
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster._core.storage.defs_state.base import set_defs_state_storage

from dagster_vectorshift import DuckDBStorage, HealthTable, VectorShiftResource, build_health_assets
from vectorshift import Analytics
from vectorshift_emulator import serve

os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
collect_ignore = [] if "LIVE_KILLS" in os.environ else ["test_kill_rounds.py"]
"""A Dagster of its own, whose processes die again and again: `make kills` starts it."""


def pytest_collection_modifyitems(items):
    """Everything in this folder runs real Dagster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.dagster)


@pytest.fixture(autouse=True)
def _no_instance_of_another_test():
    """Where instances of two tests end in another order than they began, Dagster goes on asking one that is gone."""
    with set_defs_state_storage(None):
        yield


@pytest.fixture
def emulator(vectorshift_emulator):
    """An account with 30 days of generated events up to the last midnight."""
    return vectorshift_emulator


@pytest.fixture(scope="session")
def _empty_emulator():
    with serve(events=0) as emulator:
        yield emulator


@pytest.fixture
def blank(_empty_emulator):
    """An account without events; what a test inserts is gone after it."""
    yield _empty_emulator
    _empty_emulator.reset()


@pytest.fixture(scope="session")
def _instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def instance(_instance):
    """An instance in memory that remembers over the runs of a test, and no longer."""
    yield _instance
    _instance.wipe()


@dataclass
class Runs:
    """Materializes over partitions and reads the database."""

    service: object
    path: Path
    instance: dg.DagsterInstance

    def __call__(
        self, assets, first, last=None, *, key=None, base_url=None, ui_url=None, **options
    ):
        """One run over the partitions from `first` to `last`."""
        partitions = {
            "dagster/asset_partition_range_start": str(first),
            "dagster/asset_partition_range_end": str(last or first),
        }
        return dg.materialize(
            assets if isinstance(assets, list) else [assets],
            tags=partitions,
            resources={
                "vectorshift": VectorShiftResource(
                    api_key=key or self.service.api_key,
                    base_url=base_url or self.service.base_url,
                    ui_url=ui_url,
                    time_precision="us",
                ),
                "storage": DuckDBStorage(path=str(self.path)),
            },
            **{"instance": self.instance} | options,
        )

    def sql(self, statement):
        """Run a statement on the database and return its rows as dictionaries."""
        with duckdb.connect(str(self.path)) as connection:
            result = connection.sql(statement)
            if result is None:
                return []
            return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]


@pytest.fixture
def runs(emulator, tmp_path, instance):
    """Runs against the account with events."""
    return Runs(emulator, tmp_path / "health.duckdb", instance)


@pytest.fixture
def blank_runs(blank, tmp_path, instance):
    """Runs against the account without events."""
    return Runs(blank, tmp_path / "health.duckdb", instance)


@pytest.fixture
def build():
    """`build_health_assets` for pipelines by day, with whatever a test changes."""

    def build(*tables, **changes):
        options = {
            "tables": tables or [HealthTable("pipeline_health")],
            "query": Analytics.query(object_type="pipeline"),
            "partitions_def": dg.DailyPartitionsDefinition("2025-01-01"),
        }
        return build_health_assets(**(options | changes))

    return build
