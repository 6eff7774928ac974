"""The same asset through dagster-duckdb's IO manager and through our storage: what differs.

dagster-duckdb brings handlers for pandas and polars. The one here is for Arrow and does what those
do: it creates the table from the first rows, and inserts by position after the IO manager's DELETE.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import duckdb
import pyarrow as pa
import pytest
from dagster._core.storage.db_io_manager import DbTypeHandler
from dagster_duckdb import DuckDBIOManager
from dagster_duckdb.io_manager import DuckDbClient

from dagster_vectorshift import DuckDBStorage, HealthTable, VectorShiftResource, build_health_assets

pytestmark = pytest.mark.slow
TODAY = datetime.now(UTC).date()
FIRST, LAST = TODAY - timedelta(days=3), TODAY - timedelta(days=1)
DAYS = dg.DailyPartitionsDefinition("2025-01-01")
RUNS = HealthTable("health", metrics=["runs.sum"])


class ArrowHandler(DbTypeHandler[pa.Table]):
    """Rows to a table, as the handlers of dagster-duckdb write them."""

    def handle_output(self, context, table_slice, obj, connection):
        """Create the table from the rows, or insert them by position."""
        name = f"{table_slice.schema}.{table_slice.table}"
        connection.register("incoming", obj)
        connection.execute(f"create table if not exists {name} as select * from incoming limit 0")
        connection.execute(f"insert into {name} select * from incoming")

    def load_input(self, context, table_slice, connection):
        """The rows of a slice."""
        return connection.execute(DuckDbClient.get_select_statement(table_slice)).arrow()

    @property
    def supported_types(self) -> Sequence[type]:
        """Arrow tables."""
        return [pa.Table]


class ArrowDuckDBIOManager(DuckDBIOManager):
    """dagster-duckdb's IO manager for Arrow tables."""

    @staticmethod
    def type_handlers():
        """The one above."""
        return [ArrowHandler()]


@pytest.fixture(params=["io manager", "storage"])
def way(request, emulator, tmp_path):
    """How the asset is kept: a name, a function that runs it over three days, and one for SQL."""
    path = tmp_path / "health.duckdb"
    through = {"io_manager_key": "tables"} if request.param == "io manager" else {}

    def run(table=RUNS, **options):
        health = build_health_assets(tables=[table], partitions_def=DAYS, **through)
        return dg.materialize(
            [health],
            tags={
                "dagster/asset_partition_range_start": str(FIRST),
                "dagster/asset_partition_range_end": str(LAST),
            },
            resources={
                "vectorshift": VectorShiftResource(
                    api_key=emulator.api_key, base_url=emulator.base_url
                ),
                "storage": DuckDBStorage(path=str(path)),
                "tables": ArrowDuckDBIOManager(database=str(path), schema="main"),
            },
            **options,
        )

    # After an error the IO manager leaves its connection open, with this setting.
    settings = {"custom_user_agent": "dagster"} if through else {}

    def sql(statement):
        with duckdb.connect(str(path), config=settings) as connection:
            result = connection.sql(statement)
            return [] if result is None else result.fetchall()

    return request.param, run, sql


def test_both_hold_the_same_rows(way, emulator):
    """Three days, twice, are the same rows with naive UTC times either way, and one request each time."""
    _, run, sql = way
    emulator.reset_counters()
    assert run().success
    assert run().success
    assert emulator.counters()["requests"] == {"aggregations": 2}
    truth = emulator.truth(
        "SELECT count(DISTINCT (start_time::DATE, coalesce(pipeline_id, ''))) AS rows, count(*) AS runs"
        f" FROM events WHERE is_run AND start_time >= '{FIRST}' AND start_time < '{LAST}'::DATE + 1"
    )
    assert sql("SELECT count(*), sum(runs_sum)::BIGINT FROM health") == [
        (truth[0]["rows"], truth[0]["runs"])
    ]
    assert sql("SELECT DISTINCT typeof(bucket_start) FROM health") == [("TIMESTAMP",)]


def test_a_failing_insert(way):
    """An insert that fails loses the partitions through the IO manager, and nothing through our storage."""
    kind, run, sql = way
    run()
    before = sql("FROM health ORDER BY ALL")
    sql("ALTER TABLE health ADD COLUMN always INTEGER DEFAULT 1")
    sql("UPDATE health SET always = 1")
    sql("ALTER TABLE health ALTER COLUMN always SET NOT NULL")
    sql("ALTER TABLE health ALTER COLUMN always DROP DEFAULT")
    assert not run(raise_on_error=False).success
    left = sql("SELECT bucket_start, pipeline_id, runs_sum FROM health ORDER BY ALL")
    assert left == ([] if kind == "io manager" else before)


def test_a_new_metric(way):
    """A metric that is added fails through the IO manager, after its delete, and is a new column in our storage."""
    kind, run, sql = way
    run()
    rows = len(sql("FROM health"))
    wider = HealthTable("health", metrics=["runs.sum", "errors.sum"])
    done = run(wider, raise_on_error=False)
    assert done.success is (kind == "storage")
    assert len(sql("FROM health")) == (0 if kind == "io manager" else rows)
    names = [row[0] for row in sql("DESCRIBE health")]
    assert ("errors_sum" in names) is (kind == "storage")


def test_columns_in_another_order(way):
    """Columns of one type in another order are swapped through the IO manager, and in place in our storage."""
    kind, run, sql = way
    run(HealthTable("health", metrics=["runs.sum", "tokens.sum"]))
    before = sql("SELECT sum(runs_sum)::BIGINT, sum(tokens_sum)::BIGINT FROM health")
    run(HealthTable("health", metrics=["tokens.sum", "runs.sum"]))
    after = sql("SELECT sum(runs_sum)::BIGINT, sum(tokens_sum)::BIGINT FROM health")
    assert after == ([before[0][::-1]] if kind == "io manager" else before)


def test_the_session_zone_changes_nothing(way, monkeypatch):
    """Hours stay hours in a process of another time zone: what is handed over and stored is naive UTC."""
    _, run, sql = way
    monkeypatch.setenv("TZ", "America/New_York")
    hours = HealthTable("health", metrics=["runs.sum"], group_by=[], interval="hour")
    for _ in range(2):
        run(hours)
    assert sql("SELECT count(*) - count(DISTINCT bucket_start) FROM health") == [(0,)]
    assert sql("SELECT min(bucket_start)::DATE::VARCHAR FROM health") == [(str(FIRST),)]


def test_an_unknown_type_is_refused():
    """A type that no IO manager is handed fails when definitions load."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="arrow, pandas, polars"):
        build_health_assets(
            tables=[RUNS], partitions_def=DAYS, io_manager_key="tables", as_type="spark"
        )
