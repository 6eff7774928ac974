"""The same asset in every storage: the same rows, replaced at once, and an address without a secret."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import duckdb
import psycopg
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyiceberg.catalog import load_catalog
from pyiceberg.utils.config import Config

from dagster_vectorshift import (
    DeltaStorage,
    DuckDBStorage,
    FileStorage,
    HealthTable,
    IcebergStorage,
    ParquetStorage,
    PostgresStorage,
    VectorShiftResource,
    build_export_asset,
    build_health_assets,
)
from tests.dagster.landed import write
from tests.days import MIDNIGHT
from tests.postgres import schemas
from vectorshift.analytics import Analytics
from vectorshift.errors import ConfigurationError
from vectorshift_orchestration.errors import PublishError, StorageError
from vectorshift_orchestration.tables import EVENT_SCHEMA
from vectorshift_orchestration.windows import Window

TODAY = MIDNIGHT.date()
FIRST, LAST = TODAY - timedelta(days=5), TODAY - timedelta(days=1)
DAY = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
ROWS = pa.table({"bucket_start": pa.array([DAY.start], pa.timestamp("us", "UTC")), "runs": [1]})
TABLE = HealthTable("health", metrics=["runs.sum", "latency.p95"])
ORDER = "ORDER BY bucket_start, pipeline_id"


@pytest.fixture(scope="module")
def _schemas():
    with schemas() as created:
        yield created


@pytest.fixture(params=["duckdb", "postgres", "parquet", "delta", "iceberg"])
def place(request, tmp_path, monkeypatch):
    """A storage of each kind, and how its rows are read from outside."""
    if request.param == "duckdb":
        path = tmp_path / "health.duckdb"

        def read():
            with duckdb.connect(str(path)) as connection:
                return connection.sql(f"FROM health {ORDER}").fetchall()

        return DuckDBStorage(path=str(path)), read
    if request.param == "parquet":
        return ParquetStorage(path=str(tmp_path / "lake")), lambda: duckdb.sql(
            f"FROM '{tmp_path}/lake/health/*/*.parquet' {ORDER}"
        ).fetchall()
    if request.param in ("delta", "iceberg"):
        storage = DeltaStorage(path=str(tmp_path / "lake"))
        if request.param == "iceberg":
            monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", f"sqlite:///{tmp_path}/catalog.db")
            monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__WAREHOUSE", f"file://{tmp_path}/lake")
            storage = IcebergStorage(catalog="lake")

        def read():
            if request.param == "delta":
                rows = DeltaTable(tmp_path / "lake" / "health").to_pyarrow_table()
            else:
                catalog = load_catalog("lake", **Config().get_catalog_config("lake"))
                rows = catalog.load_table("default.health").scan().to_arrow()
            return [tuple(row.values()) for row in rows.sort_by("bucket_start").to_pylist()]

        return storage, read
    address = request.getfixturevalue("_schemas").new()

    def read():
        with psycopg.connect(address) as connection:
            return connection.execute(f"SELECT * FROM health {ORDER}").fetchall()

    return PostgresStorage(url=address), read


def whole_name(storage):
    """The table's name with all that it is in, as the storage itself tells."""
    if isinstance(storage, IcebergStorage):
        return "lake.default.health"
    if not isinstance(storage, DuckDBStorage | PostgresStorage):
        return "health"
    with storage.connect() as connection:
        return ".".join(
            connection.execute(
                "SELECT table_catalog, table_schema, table_name FROM information_schema.tables"
                " WHERE table_name = 'health'"
            ).fetchone()
        )


def test_every_storage_holds_the_same_rows(emulator, place):
    """Five days in one run, and two of them again, leave the service's rows in any storage, and say where."""
    storage, read = place
    health = build_health_assets(
        tables=[TABLE], partitions_def=dg.DailyPartitionsDefinition("2025-01-01")
    )
    account = VectorShiftResource(api_key=emulator.api_key, base_url=emulator.base_url)
    for first, last in ((FIRST, LAST), (FIRST, FIRST + timedelta(days=1))):
        done = dg.materialize(
            [health],
            tags={
                "dagster/asset_partition_range_start": str(first),
                "dagster/asset_partition_range_end": str(last),
            },
            resources={"vectorshift": account, "storage": storage},
        )
    truth = emulator.truth(
        "SELECT date_trunc('day', start_time)::VARCHAR AS day, pipeline_id, count(*) AS runs FROM events"
        f" WHERE is_run AND start_time >= '{FIRST}' AND start_time < '{LAST}'::DATE + 1"
        " GROUP BY ALL ORDER BY ALL NULLS LAST"
    )
    result = [(f"{row[0]:%Y-%m-%d}", row[1], row[2]) for row in read()]
    expected = [(row["day"][:10], row["pipeline_id"], row["runs"]) for row in truth]
    assert sorted(result, key=str) == sorted(expected, key=str)
    (event, *_) = done.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["dagster/storage_kind"].value == storage.kind
    assert metadata["dagster/table_name"].value == whole_name(storage)
    assert "postgres@" not in metadata["dagster/uri"].value


@pytest.mark.parametrize(
    ("storage", "whole"),
    [
        (DuckDBStorage(path="/data/health.duckdb"), "health.main.runs"),
        (DuckDBStorage(path=dg.EnvVar("CANARY_FILE")), "runs"),
        (PostgresStorage(url=dg.EnvVar("CANARY_URL")), "runs"),
        (PostgresStorage(url="postgresql://me@host/db"), "db.public.runs"),
        (PostgresStorage(url="postgresql:///db?options=-csearch_path%3Dai,x"), "db.ai.runs"),
        (IcebergStorage(catalog="lake"), "lake.default.runs"),
        (ParquetStorage(path="/data/lake"), "runs"),
    ],
)
@pytest.mark.parametrize("schema", ["", "own."])
def test_the_catalog_knows_a_table_before_its_first_run(storage, whole, schema, monkeypatch):
    """The spec has kind, whole name, columns, window and source, and reads no variable for it."""
    monkeypatch.setenv("CANARY_FILE", "/data/canary.duckdb")
    monkeypatch.setenv("CANARY_URL", "postgresql://me@host/canary")
    hours = dg.HourlyPartitionsDefinition("2026-01-01-00:00", timezone="Europe/Berlin")
    name = f"{schema}runs"
    table = HealthTable("health", metrics=["runs.sum"], interval="hour", table=name)
    pipelines = Analytics.query(object_type="pipeline")
    options = {"partitions_def": hours, "storage": storage}
    (health,) = build_health_assets(tables=[table], **options).specs
    (events,) = build_export_asset("events", table=name, query=pipelines, **options).specs
    last = whole.rpartition(".")[2]
    for spec in (health, events):
        assert spec.kinds == {"vectorshift", storage.kind}
        assert spec.metadata["dagster/storage_kind"] == storage.kind
        assert spec.metadata["vectorshift/window"] == "an hour, Europe/Berlin"
        known = (
            whole if not schema else name if whole == last else f"{whole.partition('.')[0]}.{name}"
        )
        assert spec.metadata["dagster/table_name"] == known
    assert [(each.name, each.type) for each in columns(health)] == [
        ("bucket_start", "timestamp[us, tz=UTC]"),
        ("pipeline_id", "string"),
        ("runs_sum", "int64"),
    ]
    assert [each.name for each in columns(events)] == EVENT_SCHEMA.names
    assert health.metadata["vectorshift/source"] == "every event"
    assert events.metadata["vectorshift/source"].data == pipelines.to_dict()


def columns(spec):
    """The columns that a spec tells."""
    return spec.metadata["dagster/column_schema"].columns


def test_kinds_of_ones_own_take_the_place_of_the_storages():
    """Dagster shows three kinds at most, so the storage's is there unless others are given."""
    days, storage = dg.DailyPartitionsDefinition("2026-01-01"), DuckDBStorage(path="/data/x.duckdb")
    asset = build_export_asset("e", partitions_def=days, storage=storage, kinds=["gold", "iceberg"])
    (spec,) = asset.specs
    assert spec.kinds == {"vectorshift", "gold", "iceberg"}


def test_a_database_is_named_without_its_secrets(monkeypatch):
    """Address, repr and errors of a PostgreSQL storage hold neither user nor password."""
    monkeypatch.setenv("CANARY_URL", "postgresql://me:pg_canary@127.0.0.1:1/db?options=-cx%3Dy")
    storage = PostgresStorage(url=dg.EnvVar("CANARY_URL"), connect_timeout=1)
    assert storage.locate("health") == "postgresql://127.0.0.1:1/db"
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:1/db cannot be reached") as refused:
        write(storage, "health", DAY, ROWS)
    monkeypatch.setenv("CANARY_BAD", "pg_canary is no url")
    with pytest.raises(StorageError, match="URL cannot be read") as unread:
        write(PostgresStorage(url=dg.EnvVar("CANARY_BAD")), "health", DAY, ROWS)
    for text in (repr(storage), str(refused.value), str(unread.value)):
        assert "pg_canary" not in text
    assert refused.value.__cause__ is unread.value.__cause__ is None


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    """A Parquet partition is all old or all new; a folder that is a file is a typed error."""
    storage = ParquetStorage(path=str(tmp_path))
    write(storage, "health", DAY, ROWS)
    file = tmp_path / "health" / "dt=2026-11-22" / "part-0.parquet"
    assert storage.locate("health", DAY) == f"file://{file}"
    before = file.read_bytes()
    broken = ROWS.append_column("bad", pa.array([None], pa.null()))
    odd = pa.table({"bucket_start": ROWS["bucket_start"], "x": pa.array([{}], pa.struct([]))})
    with pytest.raises((PublishError, pa.ArrowException)):
        write(storage, "health", DAY, odd)
    assert file.read_bytes() == before
    write(storage, "health", DAY, broken)
    assert [each.name for each in file.parent.iterdir()] == ["part-0.parquet"]
    (tmp_path / "other").write_text("in the way")
    with pytest.raises(PublishError, match="other"):
        write(storage, "other", DAY, ROWS)


def test_a_path_from_a_variable_is_read_outside_of_dagster_too(tmp_path, monkeypatch):
    """In a script a storage writes where the variable says, never into a folder of the variable's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CANARY_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("CANARY_FILE", str(tmp_path / "health.duckdb"))
    for storage in (
        ParquetStorage(path=dg.EnvVar("CANARY_LAKE")),
        DuckDBStorage(path=dg.EnvVar("CANARY_FILE")),
    ):
        assert str(tmp_path) in storage.locate("health", DAY)
        assert write(storage, "health", DAY, ROWS).rows == 1
    exports = FileStorage(path=dg.EnvVar("CANARY_LAKE")).landing("events", DAY, "CSV")
    assert exports.destination.startswith(str(tmp_path / "lake"))
    assert {each.name for each in tmp_path.iterdir()} == {"lake", "health.duckdb"}
    monkeypatch.delenv("CANARY_LAKE")
    with pytest.raises(ConfigurationError, match="CANARY_LAKE is not set"):
        ParquetStorage(path=dg.EnvVar("CANARY_LAKE")).landing("health", DAY, "PARQUET")


def test_object_stores_are_written_too():
    """Any file system of fsspec is a place for Parquet, here one in memory."""
    storage = ParquetStorage(path="memory://lake")
    write(storage, "health", DAY, ROWS)
    assert storage.locate("health", DAY).startswith("memory://")
