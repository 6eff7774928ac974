"""Assets behind a wire that breaks: at each of a run's exchanges, in every way, its steps end in the truth, once."""

from datetime import timedelta
from urllib.parse import urlsplit

import dagster as dg
import duckdb
import pytest

from dagster_vectorshift import (
    DuckDBStorage,
    HealthTable,
    VectorShiftResource,
    build_export_asset,
    build_health_assets,
)
from tests.broken_wires import (
    ANYWHERE,
    EXPORT,
    FIGURES,
    MOST_TRIES,
    OF_FILES,
    STALE,
    UNREADABLE,
    at_once,
    faults,
    patience,
)
from tests.days import MIDNIGHT
from tests.fault_proxy import FaultProxy, hashed
from vectorshift import Analytics

LAST = MIDNIGHT.date() - timedelta(days=1)
FIRST = {"one": LAST, "many": LAST - timedelta(days=2)}
COMMON = {
    "partitions_def": dg.DailyPartitionsDefinition("2025-01-01"),
    "backfill_policy": dg.BackfillPolicy.single_run(),
    "retry_policy": dg.RetryPolicy(max_retries=MOST_TRIES - 1),
}
TABLE = HealthTable("pipeline_health")


@pytest.fixture(scope="module")
def undisturbed():
    """The rows of an asset's partitions over a wire that holds, once they are known."""
    return {}


@pytest.fixture
def landed(emulator, tmp_path, instance, monkeypatch, undisturbed, record_faults):
    """Materialize partitions over a wire with faults, compare their rows, and say how many tries that took."""
    monkeypatch.setattr("vectorshift.Retry", at_once)
    emulator.settings(export_mode="async", export_delay=0)

    def run(asset, partitions, table, key, base_url, timeout=30.0):
        path = tmp_path / f"{urlsplit(base_url).port}.db"
        resources = {
            "vectorshift": VectorShiftResource(
                api_key=emulator.api_key, base_url=base_url, timeout=timeout, time_precision="us"
            ),
            "storage": DuckDBStorage(path=str(path)),
        }
        tags = {
            "dagster/asset_partition_range_start": str(FIRST[partitions]),
            "dagster/asset_partition_range_end": str(LAST),
        }
        done = dg.materialize([asset], resources=resources, tags=tags, instance=instance)
        again = [event for event in done.all_events if event.is_step_up_for_retry]
        with duckdb.connect(str(path)) as connection:
            return hashed(connection, table, key), 1 + len(again)

    def landed(asset, partitions, table, key, name, routes):
        if (table, partitions) not in undisturbed:
            rows, _ = run(asset, partitions, table, key, emulator.base_url)
            undisturbed[table, partitions] = rows
        emulator.reset_counters()
        with FaultProxy.before(emulator.base_url) as proxy, record_faults(proxy) as seen:
            proxy.plan(*faults(name, routes))
            rows, number = run(asset, partitions, table, key, f"{proxy.origin}/v1", patience(name))
            seen.compare(undisturbed[table, partitions], rows)
        return rows, number

    return landed


@pytest.mark.parametrize(
    ("partitions", "name"),
    [("one", name) for name in (*ANYWHERE, *OF_FILES)]
    + [("many", name) for name in [*ANYWHERE, *OF_FILES][::3]],
)
def test_an_export_lands_over_a_broken_wire(name, partitions, landed, emulator, tmp_path):
    """One try mends it; after answers that cannot be read the partitions concerned are tried again. At most two exports more,
    and in another try one for each partition that had landed."""
    asset = build_export_asset(
        "nightly", poll_interval=0.02, work_dir=str(tmp_path / "work"), **COMMON
    )
    rows, number = landed(asset, partitions, "nightly", "span_id", name, EXPORT)
    ids = emulator.truth(
        f"SELECT span_id FROM events WHERE start_time >= '{FIRST[partitions]}' AND start_time < '{MIDNIGHT:%F}'"
    )
    assert sorted(row["span_id"] for row in ids) == sorted(key for key, _ in rows) != []
    assert emulator.counters()["exports_created"] <= {"one": 3, "many": 6}[partitions]
    # The look and the count of one partition come one after the other, those of several each of their own.
    assert number == ({"one": 3, "many": 2}[partitions] if name in UNREADABLE else 1)


@pytest.mark.parametrize(
    ("partitions", "name"),
    [(partitions, name) for partitions in FIRST for name in ANYWHERE if name != STALE],
)
def test_health_lands_over_a_broken_wire(name, partitions, landed):
    """One request for all partitions: it is asked again by the client, and an answer that cannot be read by another try."""
    asset = build_health_assets(
        tables=[TABLE], query=Analytics.query(object_type="pipeline"), **COMMON
    )
    rows, number = landed(asset, partitions, "pipeline_health", "bucket_start", name, [FIGURES])
    assert len({start for start, _ in rows}) == {"one": 1, "many": 3}[partitions]
    assert number == (2 if name in UNREADABLE else 1)
