"""Several assets and one table: nobody's rows are replaced unseen, and sharing takes one option."""

import shutil
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import duckdb
import pytest

from dagster_vectorshift import (
    DuckDBStorage,
    FileStorage,
    HealthTable,
    ParquetStorage,
    VectorShiftResource,
    build_export_asset,
    build_health_assets,
)
from tests.days import MIDNIGHT
from vectorshift import Analytics, Pipeline

DAY = MIDNIGHT.date() - timedelta(days=2)
DAYS = dg.DailyPartitionsDefinition("2025-01-01")


def asset_of(kind, pipeline, folder, **options):
    """An asset about one pipeline, which keeps its rows in the table that all share."""
    query = Analytics.query(object=Pipeline(pipeline))
    if kind == "export":
        return build_export_asset(
            pipeline,
            partitions_def=DAYS,
            query=query,
            table="shared",
            poll_interval=0.05,
            work_dir=str(folder / "work"),
            **options,
        )
    table = HealthTable(pipeline, metrics=["runs.sum"], table="shared")
    return build_health_assets(tables=[table], partitions_def=DAYS, query=query, **options)


@pytest.fixture
def night(emulator, tmp_path, instance):
    """Materializes one day of an asset; whether that succeeded."""

    def run(asset, storage=None):
        account = VectorShiftResource(api_key=emulator.api_key, base_url=emulator.base_url)
        resources = {
            "vectorshift": account,
            "other": account,
            "storage": storage or DuckDBStorage(path=str(tmp_path / "shared.duckdb")),
        }
        return dg.materialize(
            [asset],
            partition_key=str(DAY),
            resources=resources,
            instance=instance,
            raise_on_error=False,
        )

    return run


def counted(folder, grouped="1"):
    with duckdb.connect(str(folder / "shared.duckdb"), read_only=True) as connection:
        rows = connection.execute(f"SELECT {grouped}, count(*) FROM shared GROUP BY 1 ORDER BY 1")
        return dict(rows.fetchall())


def why(result):
    """What the failed step says."""
    (event,) = result.get_step_failure_events()
    return str(event.step_failure_data.error)


@pytest.mark.parametrize("kind", ["export", "health"])
def test_another_query_is_refused(night, tmp_path, kind):
    """The second asset fails and names the way out; the first one's rows stand."""
    assert night(asset_of(kind, "pl_1", tmp_path)).success
    before = counted(tmp_path)
    failed = night(asset_of(kind, "pl_2", tmp_path))
    assert not failed.success
    assert "source" in why(failed)
    assert counted(tmp_path) == before
    assert night(asset_of(kind, "pl_1", tmp_path)).success


def test_another_account_is_refused(night, tmp_path):
    """The same query of two accounts is two sets of rows."""
    assert night(asset_of("export", "pl_1", tmp_path)).success
    assert not night(asset_of("export", "pl_1", tmp_path, resource_key="other")).success


@pytest.mark.parametrize("kind", ["export", "health"])
def test_a_source_of_ones_own_shares_a_table(night, tmp_path, kind):
    """Each asset replaces the rows of its source only, as often as it runs."""
    for pipeline in ("pl_1", "pl_2", "pl_1"):
        assert night(asset_of(kind, pipeline, tmp_path, source=pipeline)).success
    assert set(counted(tmp_path, "source_name")) == {"pl_1", "pl_2"}


@pytest.mark.parametrize("kind", ["export", "health"])
def test_the_user_may_replace_another_query(night, tmp_path, kind):
    """A query that was changed on purpose takes the place of the old one's rows, if one says so."""
    assert night(asset_of(kind, "pl_1", tmp_path)).success
    assert night(asset_of(kind, "pl_2", tmp_path, replace_other=True)).success


def test_files_have_no_sources(night, tmp_path):
    """A source is a column of a database's table, so files refuse it in a sentence."""
    failed = night(
        asset_of("export", "pl_1", tmp_path, source="x"), ParquetStorage(path=str(tmp_path))
    )
    assert "Give table=" in why(failed)


STORAGES = {
    "export, parquet": ("export", ParquetStorage),
    "export, file": ("export", FileStorage),
    "health, parquet": ("health", ParquetStorage),
}


@pytest.mark.parametrize(("kind", "storage"), STORAGES.values(), ids=STORAGES)
def test_files_of_another_query_are_refused(night, tmp_path, kind, storage):
    """Two assets in one folder: the second fails before it asks, until somebody says that it may replace."""
    lake = storage(path=str(tmp_path / "lake"))
    one, two = asset_of(kind, "pl_1", tmp_path), asset_of(kind, "pl_2", tmp_path)
    assert night(one, lake).success
    (file,) = (tmp_path / "lake" / "shared").rglob("*.*")
    before = file.read_bytes()
    assert "replace_other" in why(night(two, lake))
    assert file.read_bytes() == before
    assert night(one, lake).success
    assert night(asset_of(kind, "pl_2", tmp_path, replace_other=True), lake).success
    assert not night(one, lake).success
    assert night(two, lake).success
    assert [path.name for path in (tmp_path / "lake" / "shared").rglob("*.*")] == [file.name]


@pytest.mark.parametrize(("kind", "storage"), STORAGES.values(), ids=STORAGES)
def test_a_folder_of_before_is_taken_on(night, tmp_path, kind, storage):
    """Files that nothing is noted about are written over once, and are somebody's from then on."""
    lake = storage(path=str(tmp_path / "lake"))
    one = asset_of(kind, "pl_1", tmp_path)
    assert night(one, lake).success
    shutil.rmtree(tmp_path / "lake" / "_vectorshift_windows")
    assert night(one, lake).success
    assert not night(asset_of(kind, "pl_2", tmp_path), lake).success


class OwnStorage(DuckDBStorage):
    """A storage of the user's own, which says whose rows it holds."""

    def landing(self, table, window, format):
        return replace(super().landing(table, window, format), source="mine")


@pytest.mark.parametrize("kind", ["export", "health"])
def test_the_source_of_a_storage_of_ones_own_stays(night, tmp_path, kind):
    """What a storage says of its landing holds unless the asset says otherwise."""
    storage = OwnStorage(path=str(tmp_path / "shared.duckdb"))
    assert night(asset_of(kind, "pl_1", tmp_path), storage).success
    assert set(counted(tmp_path, "source_name")) == {"mine"}
    assert night(asset_of(kind, "pl_2", tmp_path, source="theirs"), storage).success
    assert set(counted(tmp_path, "source_name")) == {"mine", "theirs"}
