"""The same asset through dagster-duckdb's IO managers and through our storage: what differs.

The IO managers are the real ones, for pandas and polars, as `pip install dagster-duckdb-pandas
dagster-duckdb-polars` brings them, and Dagster's own for files.
"""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta

import dagster as dg
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from dagster_duckdb_pandas import DuckDBPandasIOManager
from dagster_duckdb_polars import DuckDBPolarsIOManager

from dagster_vectorshift import (
    DuckDBStorage,
    ErrorTable,
    HealthTable,
    VectorShiftResource,
    build_health_assets,
    vectorshift_health_assets,
)
from tests.days import MIDNIGHT

pytestmark = pytest.mark.slow
TODAY = MIDNIGHT.date()
FIRST, LAST = TODAY - timedelta(days=3), TODAY - timedelta(days=1)
DAYS = dg.DailyPartitionsDefinition("2025-01-01")
RUNS = HealthTable("health", metrics=["runs.sum"])
MANAGERS = {"pandas": DuckDBPandasIOManager, "polars": DuckDBPolarsIOManager}
STORAGE = "storage"


@pytest.fixture(params=[*MANAGERS, STORAGE])
def way(request, emulator, tmp_path):
    """How the asset is kept: a name, a function that runs it over three days, and one for SQL."""
    path = tmp_path / "health.duckdb"
    manager = MANAGERS.get(request.param)
    through = {"io_manager_key": "tables", "as_type": request.param} if manager else {}

    def run(*tables, **options):
        health = build_health_assets(tables=tables or [RUNS], partitions_def=DAYS, **through)
        stored = manager(database=str(path), schema="main") if manager else None
        return dg.materialize(
            [health],
            tags={
                "dagster/asset_partition_range_start": str(FIRST),
                "dagster/asset_partition_range_end": str(LAST),
            },
            resources={
                "vectorshift": VectorShiftResource(
                    api_key=emulator.api_key, base_url=emulator.base_url, time_precision="us"
                ),
                **({"tables": stored} if manager else {"storage": DuckDBStorage(path=str(path))}),
            },
            **options,
        )

    # After an error an IO manager leaves its connection open, with this setting.
    settings = {"custom_user_agent": "dagster"} if manager else {}

    def sql(statement):
        with duckdb.connect(str(path), config=settings) as connection:
            result = connection.sql(statement)
            return [] if result is None else result.fetchall()

    return request.param, run, sql


def test_all_hold_the_same_rows(way, emulator):
    """Three days, twice, are the same rows at naive UTC times any way, and one request each time."""
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
    ((kind, first),) = sql("SELECT any_value(typeof(bucket_start)), min(bucket_start) FROM health")
    assert kind in ("TIMESTAMP", "TIMESTAMP_NS")
    assert first == datetime.combine(FIRST, datetime.min.time())


def test_every_kind_of_column_arrives(way, emulator):
    """Counts, dollars, milliseconds, ratios and messages are the service's figures any way."""
    _, run, sql = way
    run(HealthTable("health"), ErrorTable("messages"))
    (figures,) = sql(
        "SELECT sum(runs_sum)::BIGINT AS runs, sum(model_costs_sum)::DOUBLE AS dollars,"
        " max(error_rate)::DOUBLE AS rate, count(latency_p95) AS slices FROM health"
    )
    of_days = f"start_time >= '{FIRST}' AND start_time < '{LAST}'::DATE + 1"
    (truth,) = emulator.truth(
        "SELECT sum(runs)::BIGINT AS runs, sum(dollars) AS dollars, max(errors / runs) AS rate,"
        " count(slowest) AS slices FROM (SELECT max(latency) AS slowest, count(*) AS runs, sum(model_costs) AS dollars,"
        " count(*) FILTER (status = 'failure') AS errors FROM events"
        f" WHERE is_run AND {of_days} GROUP BY start_time::DATE, pipeline_id)"
    )
    assert figures == pytest.approx(tuple(truth.values()))
    (failed,) = emulator.truth(
        "SELECT count(*) AS events, count(DISTINCT error_message) AS messages FROM events"
        f" WHERE status = 'failure' AND {of_days}"
    )
    assert failed["events"] > 0
    assert sql("SELECT sum(events)::BIGINT, count(DISTINCT error_message) FROM messages") == [
        tuple(failed.values())
    ]


def test_a_failing_insert(way):
    """An insert that fails loses the partitions through an IO manager, and nothing through our storage."""
    kind, run, sql = way
    run()
    before = sql("FROM health ORDER BY ALL")
    assert before
    sql("ALTER TABLE health ADD COLUMN always INTEGER DEFAULT 1")
    sql("UPDATE health SET always = 1")
    sql("ALTER TABLE health ALTER COLUMN always SET NOT NULL")
    sql("ALTER TABLE health ALTER COLUMN always DROP DEFAULT")
    assert not run(raise_on_error=False).success
    left = sql("SELECT bucket_start, pipeline_id, runs_sum FROM health ORDER BY ALL")
    assert left == (before if kind == STORAGE else [])


def test_a_new_metric(way):
    """A metric that is added fails through an IO manager, after its delete, and is a new column in our storage."""
    kind, run, sql = way
    run()
    rows = len(sql("FROM health"))
    wider = HealthTable("health", metrics=["runs.sum", "errors.sum"])
    assert run(wider, raise_on_error=False).success is (kind == STORAGE)
    assert len(sql("FROM health")) == (rows if kind == STORAGE else 0)
    names = [row[0] for row in sql("DESCRIBE health")]
    assert ("errors_sum" in names) is (kind == STORAGE)


def test_columns_in_another_order(way):
    """Columns of one type in another order are swapped through an IO manager, and in place in our storage."""
    kind, run, sql = way
    sums = "SELECT sum(runs_sum)::BIGINT, sum(tokens_sum)::BIGINT FROM health"
    run(HealthTable("health", metrics=["runs.sum", "tokens.sum"]))
    before = sql(sums)
    run(HealthTable("health", metrics=["tokens.sum", "runs.sum"]))
    assert before[0][0] != before[0][1]
    assert sql(sums) == (before if kind == STORAGE else [before[0][::-1]])


ELSEWHERE = '''
import json, os, sys
import dagster as dg
import duckdb
import pandas as pd
from dagster_duckdb_pandas import DuckDBPandasIOManager
from dagster_vectorshift import DuckDBStorage, HealthTable, VectorShiftResource, build_health_assets

folder, key, url, first, last = sys.argv[1:]
days = dg.DailyPartitionsDefinition("2025-01-01")
table = HealthTable("hours", metrics=["runs.sum"], group_by=[], interval="hour")


@dg.asset(
    partitions_def=days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    metadata={"partition_expr": "bucket_start"},
    io_manager_key="tables",
)
def hours(context):
    """What everybody writes: a data frame with zoned times."""
    start, end = context.partition_time_window
    return pd.DataFrame({"bucket_start": pd.date_range(start, end, freq="h", inclusive="left")})


def left(asset, name, kept):
    path = f"{folder}/{name}.duckdb"
    for begin, end in ((first, last), (last, last)):
        dg.materialize(
            [asset],
            tags={
                "dagster/asset_partition_range_start": begin,
                "dagster/asset_partition_range_end": end,
            },
            resources={
                "vectorshift": VectorShiftResource(api_key=key, base_url=url),
                "tables": DuckDBPandasIOManager(database=path, schema="main"),
                "storage": DuckDBStorage(path=path),
            },
        )
    with duckdb.connect(path, config={} if kept else {"custom_user_agent": "dagster"}) as file:
        return file.sql(
            "SELECT count(*), count(DISTINCT bucket_start), min(bucket_start)::VARCHAR FROM hours"
        ).fetchall()[0]


ours = {"tables": [table], "partitions_def": days}
json.dump(
    {
        "zoned": left(hours, "zoned", False),
        "io manager": left(
            build_health_assets(**ours, io_manager_key="tables", as_type="pandas"), "naive", False
        ),
        "storage": left(build_health_assets(**ours), "storage", True),
    },
    sys.stdout,
)
'''


def test_a_process_in_another_time_zone(emulator, tmp_path):
    """In New York, zoned hours are doubled and lost when a day is run again; ours stay, because they are naive UTC."""
    script = tmp_path / "elsewhere.py"
    script.write_text(ELSEWHERE)
    done = subprocess.run(
        [
            *(sys.executable, script, tmp_path, emulator.api_key, emulator.base_url),
            *(str(FIRST), str(LAST)),
        ],
        env=os.environ | {"TZ": "America/New_York"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    result = json.loads(done.stdout)
    rows, distinct, _ = result["zoned"]
    assert distinct < rows
    (hours,) = emulator.truth(
        "SELECT count(DISTINCT date_trunc('hour', start_time)) AS hours,"
        " min(date_trunc('hour', start_time))::VARCHAR AS first FROM events"
        f" WHERE is_run AND start_time >= '{FIRST}' AND start_time < '{LAST}'::DATE + 1"
    )
    for name in ("io manager", STORAGE):
        assert result[name] == [hours["hours"], hours["hours"], hours["first"][:19]]


FRAMES = {"arrow": pa.Table, "pandas": pd.DataFrame, "polars": pl.DataFrame}


@pytest.mark.parametrize("as_type", FRAMES)
def test_files_of_dagster_hold_each_type(emulator, tmp_path, as_type):
    """Dagster's own IO manager keeps a partition as the type that was requested, and gives it to what is downstream."""
    health = build_health_assets(
        tables=[RUNS],
        partitions_def=DAYS,
        io_manager_key="io_manager",
        as_type=as_type,
        backfill_policy=dg.BackfillPolicy.multi_run(1),
    )
    seen = []

    @dg.multi_asset(
        specs=[dg.AssetSpec("report", deps=["health"])],
        ins={"health": dg.AssetIn("health")},
        partitions_def=DAYS,
        backfill_policy=health.backfill_policy,
    )
    def report(health):
        """Reads what was kept."""
        seen.append(health)

    dg.materialize(
        [health, report],
        partition_key=str(LAST),
        resources={
            "vectorshift": VectorShiftResource(
                api_key=emulator.api_key, base_url=emulator.base_url
            ),
            "io_manager": dg.FilesystemIOManager(base_dir=str(tmp_path)),
        },
    )
    (frame,) = seen
    assert isinstance(frame, FRAMES[as_type])
    assert (tmp_path / "health" / str(LAST)).is_file()
    truth = emulator.truth(
        "SELECT count(*) AS runs FROM events"
        f" WHERE is_run AND start_time >= '{LAST}' AND start_time < '{LAST}'::DATE + 1"
    )
    counts = frame["runs_sum"].to_pylist() if as_type == "arrow" else frame["runs_sum"]
    assert sum(counts) == truth[0]["runs"]


def test_a_text_that_is_null_at_first_stays_a_text(emulator, tmp_path):
    """A column of nulls in the first partition is text in the database, and takes the next day's words."""
    health = vectorshift_health_assets(
        tables=[RUNS], partitions_def=DAYS, io_manager_key="tables", as_type="pandas"
    )

    def body(context, health):
        rows = health.tables["health"]
        note = pa.array([None if first else "a word"] * rows.num_rows, pa.string())
        health.tables["health"] = rows.append_column("note", note)
        yield from health.materialize()

    first = True
    for day in (FIRST, LAST):
        assert dg.materialize(
            [health(body)],
            partition_key=str(day),
            resources={
                "vectorshift": VectorShiftResource(
                    api_key=emulator.api_key, base_url=emulator.base_url
                ),
                "tables": DuckDBPandasIOManager(database=str(tmp_path / "t.duckdb"), schema="main"),
            },
        ).success
        first = False
    with duckdb.connect(str(tmp_path / "t.duckdb")) as connection:
        result = connection.execute("SELECT DISTINCT note, typeof(note) FROM health").fetchall()
    assert sorted(result, key=str) == [("a word", "VARCHAR"), (None, "VARCHAR")]


def test_an_unknown_type_is_refused():
    """A type that no IO manager is handed fails when definitions load."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="arrow, pandas, polars"):
        build_health_assets(
            tables=[RUNS], partitions_def=DAYS, io_manager_key="tables", as_type="spark"
        )
