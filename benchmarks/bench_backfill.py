"""A backfill of four health tables in one Dagster run: seconds, memory, and how both grow with the days.

    python benchmarks/bench_backfill.py [--quick | --large]

Three ways, each in a process of its own with an instance in memory:

    ours        build_health_assets into a DuckDB file
    by hand     four assets: one query, one transaction for the whole range, and what Dagster needs to be told
    framework   assets that measure and write nothing, and yield the same events with as much metadata

`--large` takes 365, 1,095 and 3,650 days and leaves out the way by hand: 15 minutes on a quiet machine.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from canned import canned
from side_by_side import (
    OURS,
    Claim,
    Figures,
    arguments,
    in_turn,
    print_figures,
    resident,
    slope,
    tell,
)

FIRST = date(2015, 1, 1)
WIDTHS, QUICK, LARGE = (90, 365), (30, 90), (365, 1_095, 3_650)
BEFORE = "39 / 127 / 429 s for 365 / 1,095 / 3,650 days, 6 to 8 x by hand"
PIPELINES = [f"pl_{number}" for number in range(5)]
TABLES: dict[str, tuple[list[str], list[str]]] = {
    "by_pipeline": (
        ["runs.sum", "errors.sum", "error_rate", "latency.p95", "tokens.sum", "model_costs.sum"],
        ["pipeline_id"],
    ),
    "latencies": (["latency.p50", "latency.p95", "latency.p99"], ["pipeline_id"]),
    "costs": (["tokens.sum", "model_costs.sum"], ["pipeline_id"]),
    "overall": (["runs.sum", "errors.sum", "error_rate"], []),
}


# --- the service ---


@cache
def answer(target: str, body: bytes) -> bytes:
    """One run an hour of each pipeline, for every operation and day that is asked for."""
    asked = json.loads(body)
    first, end = (
        datetime.fromisoformat(asked[name]).astimezone(UTC) for name in ("start_time", "end_time")
    )
    sliced = "PIPELINE_ID" in asked["slice_unit"]["slice_units"]
    first = (first + timedelta(seconds=2)).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [first + timedelta(days=number) for number in range((end - first).days + 1)]
    starts = [f"{day:%Y-%m-%dT%H:%M:%SZ}" for day in days if day < end]
    found = {}
    for operation in asked["aggregation_operations"]:
        (operator, options), *_ = operation["operator"].items()
        name = operation["field"].lower()
        label = f"{name}_{operator}"
        if operator != "sum":
            label = f"{name}_p{options['percentile']:g}"
        value = 24 if operator == "sum" else 24.5
        each = {"result": {"aggregation_map": dict.fromkeys(PIPELINES, value)}}
        whole = len(PIPELINES) * value if operator == "sum" else value
        day = {"total_aggregation": whole} | (each if sliced else {})
        by_day = (
            {"nested_result": {"nested_aggregation_map": dict.fromkeys(starts, day)}}
            if sliced
            else {"result": {"aggregation_map": dict.fromkeys(starts, whole)}}
        )
        total = len(starts) * whole if operator == "sum" else whole
        found[label] = {"total_aggregation": total} | by_day
    return json.dumps({"status": "success", "result": {"aggregation_result": found}}).encode()


# --- the ways ---


def ours(url: str, database: Path) -> tuple[list[Any], dict[str, Any]]:
    """What users write with this package."""
    import dagster as dg

    from dagster_vectorshift import (
        DuckDBStorage,
        HealthTable,
        VectorShiftResource,
        build_health_assets,
    )

    tables = [HealthTable(name, metrics, group_by) for name, (metrics, group_by) in TABLES.items()]
    health = build_health_assets(
        tables=tables, partitions_def=dg.DailyPartitionsDefinition(str(FIRST))
    )
    account = VectorShiftResource(api_key="key", base_url=url, time_precision="us")
    return [health], {"vectorshift": account, "storage": DuckDBStorage(path=str(database))}


def by_hand(url: str, database: Path) -> tuple[list[Any], dict[str, Any]]:
    """What they would write without it: no ledger, no fence, no count, one transaction for each table."""
    import dagster as dg
    import duckdb

    from vectorshift import Client
    from vectorshift_orchestration.extract import aggregate
    from vectorshift_orchestration.specs import AggregationSpec
    from vectorshift_orchestration.windows import Window

    def made(name: str, metrics: list[str], group_by: list[str]) -> dg.AssetsDefinition:
        @dg.asset(
            name=name,
            partitions_def=dg.DailyPartitionsDefinition(str(FIRST)),
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
            window = Window(*context.partition_time_window)
            with Client("key", url, time_precision="us") as client:
                rows = aggregate(
                    client.query(), window, AggregationSpec(metrics, ["time", *group_by], "day")
                )
            ends = [edge.replace(tzinfo=None) for edge in (window.start, window.end)]
            with duckdb.connect(str(database)) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                connection.register("incoming", rows)
                connection.begin()
                connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {name} AS SELECT * REPLACE (bucket_start::TIMESTAMP "
                    "AS bucket_start) FROM incoming LIMIT 0"
                )
                connection.execute(
                    f"DELETE FROM {name} WHERE bucket_start >= ? AND bucket_start < ?", ends
                )
                connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM incoming")
                connection.commit()
            return dg.MaterializeResult(metadata={"dagster/row_count": rows.num_rows})

        return table

    return [made(name, *table) for name, table in TABLES.items()], {}


def framework(url: str, database: Path) -> tuple[list[Any], dict[str, Any]]:
    """The events of our run, with metadata of the same kinds and sizes, and nothing else."""
    import dagster as dg

    columns = [dg.TableColumn(f"column_{number}", "double", "a figure") for number in range(8)]
    deps = [dg.TableColumnDep(dg.AssetKey(["vectorshift", "events"]), "status")]
    text = "| figure | this partition | up to here |\n" + "| runs_sum | 120 | ▁▁▁▁▁▁ |\n" * 6

    @dg.multi_asset(
        specs=[dg.AssetSpec(name) for name in TABLES],
        partitions_def=dg.DailyPartitionsDefinition(str(FIRST)),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def events(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        for name in TABLES:
            key = dg.AssetKey(name)
            for partition in context.partition_keys:
                told = {
                    "dagster/partition_row_count": 5,
                    "dagster/uri": f"file://{database}",
                    "window_start": dg.MetadataValue.timestamp(1.0),
                    "window_end": dg.MetadataValue.timestamp(2.0),
                    "fingerprint": "0123456789abcdef",
                    "preview": dg.MetadataValue.md(text),
                    "trend": dg.MetadataValue.md(text),
                    **{f"figure_{number}": number / 3 for number in range(5)},
                }
                context.add_asset_metadata(told, asset_key=key, partition_key=partition)
            shared = {
                "dagster/table_name": name,
                "dagster/column_schema": dg.TableSchema(columns),
                "dagster/column_lineage": dg.TableColumnLineage(
                    {column.name: deps for column in columns}
                ),
                "dagster/storage_kind": "duckdb",
                "requests": 1,
            }
            yield dg.MaterializeResult(asset_key=key, metadata=shared)

    return [events], {}


WAYS = {"ours": ours, "by hand": by_hand, "framework": framework}


def run(way: str, url: str, days: int) -> Figures:
    """One run over the days: seconds, those of the CPU, and MiB that it added at most."""
    import dagster as dg

    with (
        tempfile.TemporaryDirectory() as folder,
        dg.DagsterInstance.ephemeral() as instance,
        Path(os.devnull).open("w") as nowhere,
        redirect_stderr(nowhere),
    ):
        assets, resources = WAYS[way](url, Path(folder, "health.duckdb"))
        tags = {
            "dagster/asset_partition_range_start": str(FIRST),
            "dagster/asset_partition_range_end": str(FIRST + timedelta(days=days - 1)),
        }
        before, began, cpu = resident("VmHWM"), time.perf_counter(), time.process_time()
        done = dg.materialize(assets, tags=tags, resources=resources, instance=instance)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        mib = resident("VmHWM") - before
        told = len(done.get_asset_materialization_events())
        assert told == days * len(TABLES), f"{told} events"
    return {"seconds": seconds, "cpu": cpu, "mib": mib}


def main() -> None:
    """Measure and print."""
    asked = arguments(__doc__)
    if asked.way:
        url, days = asked.rest
        print_figures(**run(asked.way, url, int(days)))
        return
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    widths = QUICK if asked.quick else LARGE if asked.large else WIDTHS
    ways = [way for way in WAYS if way != "by hand" or not asked.large]
    found: dict[int, dict[str, Figures]] = {}
    with canned(answer) as served:
        for days in widths:
            found[days] = in_turn(
                __file__, dict.fromkeys(ways, OURS), 1, f"{served.origin}/v1", days
            )
    for days, taken in found.items():
        figures = ", ".join(
            f"{way} {each['seconds']:.1f} s (CPU {each['cpu']:.1f} s)"
            for way, each in taken.items()
        )
        ratio = taken["ours"]["cpu"] / taken["framework"]["cpu"]
        what = f"4 health tables x {days:,} days, one Dagster run"
        tell(Claim(what, ratio, "x the framework alone", "<= 2", BEFORE, figures))
    first, *_, last = widths
    costs = [found[days]["ours"]["cpu"] for days in (first, last)]
    tell(Claim("backfill: growth with the days", slope([first, last], costs), "", "<= 1.1"))
    tell(Claim("backfill: memory added", found[last]["ours"]["mib"], "MiB", "<= 250"))


if __name__ == "__main__":
    main()
