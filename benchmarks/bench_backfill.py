"""A backfill of four health tables in one Dagster run: seconds and memory, over one, three and ten years.

    python benchmarks/bench_backfill.py [--quick] [--rounds 3]

Three ways, each in a process of its own with an instance in memory, interleaved; medians, ratios, and the slope over the days:

    ours        build_health_assets into a DuckDB file
    by hand     four assets: one query, one transaction for the whole range, and what Dagster needs to be told
    framework   assets that measure and write nothing, and yield the same events with as much metadata

The service is a raw server in this process, whose answers are made once for each question.
"""

import argparse
import json
import os
import re
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

FIRST = date(2015, 1, 1)
YEAR, WIDTHS, QUICK = 365, (1, 3, 10), (60, 180)
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


class Service(socketserver.ThreadingTCPServer):
    """Answers aggregations by the day; an answer is made when it is first asked for."""

    daemon_threads = allow_reuse_address = True

    def __init__(self) -> None:
        self.answers: dict[bytes, bytes] = {}
        super().__init__(("127.0.0.1", 0), Connection)


class Connection(socketserver.StreamRequestHandler):
    """A kept connection."""

    def handle(self) -> None:
        """Read requests and write answers until the client hangs up."""
        assert isinstance(self.server, Service)
        while head := self.rfile.readline():
            length = 0
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = self.rfile.read(length)
            if head.startswith(b"POST") and body not in self.server.answers:
                self.server.answers[body] = answer(json.loads(body))
            reply = self.server.answers.get(body, b"{}")
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % len(reply)
                + reply
            )


def answer(asked: dict[str, Any]) -> bytes:
    """One run an hour of each pipeline, for every operation and day that is asked for."""
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


def run(way: str, url: str, days: int) -> dict[str, float]:
    """One run over the days in a new instance; seconds, those of the CPU, and MiB that it added at most."""
    import dagster as dg

    with tempfile.TemporaryDirectory() as folder:
        assets, resources = WAYS[way](url, Path(folder, "health.duckdb"))
        last = FIRST + timedelta(days=days - 1)
        tags = {
            "dagster/asset_partition_range_start": str(FIRST),
            "dagster/asset_partition_range_end": str(last),
        }
        with dg.DagsterInstance.ephemeral() as instance:
            before, began, cpu = peak(), time.perf_counter(), time.process_time()
            done = dg.materialize(assets, tags=tags, resources=resources, instance=instance)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            assert done.success
            told = len(done.get_asset_materialization_events())
            assert told == days * len(TABLES), told
    return {"seconds": seconds, "cpu": cpu, "mib": peak() - before}


def peak() -> float:
    """The most memory this process had, in MiB."""
    (kib,) = re.findall(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    return int(kib) / 1024


# --- the measurement ---


def child(way: str, url: str, days: int) -> dict[str, float]:
    """The run in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--way", way, "--url", url, "--days", str(days)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"DAGSTER_DISABLE_TELEMETRY": "yes"},
        check=True,
    )
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def slope(points: dict[int, float]) -> float:
    """The power of the days that the figures grow with: 1 is linear."""
    from math import log

    ends = sorted(points)
    return log(points[ends[-1]] / points[ends[0]]) / log(ends[-1] / ends[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer days, one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--widths", type=int, nargs="*", help="numbers of days")
    parser.add_argument("--only", choices=WAYS, nargs="*", default=list(WAYS))
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--days", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps(run(asked.way, asked.url, asked.days)))
        return
    widths = asked.widths or (QUICK if asked.quick else [YEAR * times for times in WIDTHS])
    with Service() as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{service.server_address[1]}/v1"
        found: dict[str, dict[int, dict[str, float]]] = {way: {} for way in asked.only}
        for days in widths:
            rounds: dict[str, list[dict[str, float]]] = {way: [] for way in asked.only}
            for _ in range(1 if asked.quick else asked.rounds):
                for way in asked.only:
                    rounds[way].append(child(way, url, days))
            for way, several in rounds.items():
                found[way][days] = {
                    name: statistics.median(each[name] for each in several)
                    for name in ("seconds", "cpu", "mib")
                }
        service.shutdown()
    for way, points in found.items():
        for days, told in points.items():
            alone = found.get("framework", points)[days]["seconds"]
            print(
                f"{way:>10} {days:>6,} days: {told['seconds']:7.2f} s ({told['cpu']:.2f} of the CPU), {told['seconds'] / alone:5.2f} x "
                f"the framework alone, {told['mib']:+5.0f} MiB",
                flush=True,
            )
        seconds = {days: told["seconds"] for days, told in points.items()}
        if len(seconds) > 1:
            print(f"{way:>10} grows with the days to the power of {slope(seconds):.2f}")


if __name__ == "__main__":
    main()
