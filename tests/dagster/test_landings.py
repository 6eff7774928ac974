"""How rows come to rest: the file is free meanwhile, a lost COMMIT is looked up, newer rows stand."""

import subprocess
import sys
from datetime import timedelta

import dagster as dg
import duckdb
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dagster_vectorshift import (
    DuckDBStorage,
    HealthTable,
    PostgresStorage,
    VectorShiftResource,
    build_export_asset,
    vectorshift_health_assets,
)
from tests.days import MIDNIGHT
from tests.fault_proxy import Fault, FaultProxy
from tests.postgres import schemas
from vectorshift import Client
from vectorshift_orchestration.exports import completeness

TODAY = MIDNIGHT.date()
DAY = TODAY - timedelta(days=2)
DAYS = dg.DailyPartitionsDefinition("2025-01-01")
TABLE = HealthTable("health", metrics=["runs.sum"], group_by=[])
COMMIT = b"COMMIT\0"


@pytest.fixture(scope="module")
def _schemas():
    with schemas() as made:
        yield made


@pytest.fixture
def link(_schemas):
    """A connection string that goes through a link which can be cut, and the straight one."""
    straight = _schemas.new()
    parts = conninfo_to_dict(straight)
    with FaultProxy(int(str(parts["port"])), str(parts["host"])) as made:
        weak = make_conninfo(straight, host="127.0.0.1", port=made.port)
        yield made, weak, straight


@pytest.fixture
def materialize(emulator, instance):
    """One run over one day, with a storage of the test's."""

    def materialize(asset, storage, **options):
        account = VectorShiftResource(api_key=emulator.api_key, base_url=emulator.base_url)
        return dg.materialize(
            [asset],
            partition_key=str(DAY),
            resources={"vectorshift": account, "storage": storage},
            instance=instance,
            **options,
        )

    return materialize


def test_the_file_is_free_while_an_export_downloads(materialize, tmp_path, monkeypatch):
    """Another process writes to the database file while the export is downloaded, and while it is checked."""
    path = tmp_path / "events.duckdb"
    probe = f"import duckdb; duckdb.connect({str(path)!r}).execute('CREATE OR REPLACE TABLE seen AS SELECT 1')"
    seen = []

    def probing(name, original):
        def step(*args, **kwargs):
            done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False)
            seen.append((name, done.returncode, done.stderr[-200:]))
            return original(*args, **kwargs)

        return step

    for home, name in ((Client, "download_export"), (completeness, "checked_rows")):
        monkeypatch.setattr(home, name, probing(name, getattr(home, name)))
    nightly = build_export_asset("nightly", partitions_def=DAYS, work_dir=str(tmp_path / "work"))
    assert materialize(nightly, DuckDBStorage(path=str(path), lock_timeout=0.2)).success
    assert seen == [("download_export", 0, b""), ("checked_rows", 0, b"")]
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SELECT count(*) FROM nightly").fetchone()[0] > 3


def test_a_lost_commit_is_looked_up(materialize, build, link):
    """The link breaks on COMMIT after the server got it: the run succeeds, and asks for nothing again."""
    cut, weak, straight = link
    health, storage = build(TABLE), PostgresStorage(url=weak)
    assert materialize(health, storage).success
    cut.plan(Fault("lost reply", on=COMMIT))
    done = materialize(health, storage)
    assert (done.success, cut.injected.total()) == (True, 1)
    (event,) = done.get_asset_materialization_events()
    with psycopg.connect(straight) as look:
        found = look.execute("SELECT count(*) FROM health").fetchone()
    assert event.materialization.metadata["dagster/partition_row_count"].value == found[0] == 1


def test_what_was_measured_before_newer_rows_were_written_is_measured_again(
    materialize, emulator, tmp_path
):
    """Another run writes the day between measuring and writing: this one begins again, whatever its retries."""
    storage = DuckDBStorage(path=str(tmp_path / "health.duckdb"))
    newer = []

    @vectorshift_health_assets(tables=[TABLE], partitions_def=DAYS)
    def health(context, health):
        if not newer:
            newer.append(True)
            assert materialize(other, storage).success
        yield from health.materialize()

    @vectorshift_health_assets(tables=[TABLE], partitions_def=DAYS)
    def other(context, health):
        yield from health.materialize()

    emulator.reset_counters()
    done = materialize(health, storage)
    assert done.success
    assert [event for event in done.all_events if event.is_step_restarted]
    assert emulator.counters()["requests"]["aggregations"] == 3


def test_late_events_are_awaited_as_long_as_set(materialize, emulator, tmp_path):
    """A window that may still get events is counted before the export, too; `late_arrival` says for how long."""
    for days, counts in ((0, 1), (30, 2)):
        emulator.reset_counters()
        nightly = build_export_asset(
            "nightly", partitions_def=DAYS, late_arrival=timedelta(days=days)
        )
        assert materialize(nightly, DuckDBStorage(path=str(tmp_path / "events.duckdb"))).success
        assert emulator.counters()["requests"]["count"] == counts
