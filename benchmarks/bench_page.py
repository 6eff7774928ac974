"""Seconds and bytes of the health page of 30 and of 400 days, whose tables have a row for each hour and slice.

    python benchmarks/bench_page.py [--days 30 400] [--rounds 3]

Eight pipelines, six models and ten messages; a commit for each day. Each round makes the pages in
another order; medians are printed. The targets for 400 days are 5 s and 2 MB.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.report import health_page
from vectorshift_orchestration.storage.duckdb_file import duckdb_file
from vectorshift_orchestration.windows import Window

END = datetime(2026, 11, 29, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SLICES = {
    "health_by_hour": [{}],
    "pipeline_health": [{"pipeline_id": f"pl_{number}"} for number in range(8)],
    "model_health": [{"model_id": f"model-{number}"} for number in range(6)],
    "error_messages": [{"error_message": f"Model quota {number} exceeded"} for number in range(10)],
}
"""The slices of each table, as `vectorshift-orchestration health` keeps them."""


def main() -> None:
    """Make both pages again and again, and print how long that took and how large they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, nargs="+", default=[30, 400])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    seconds: dict[int, list[float]] = {days: [] for days in options.days}
    pages: dict[int, bytes] = {}
    with TemporaryDirectory() as folder:
        databases = {days: Path(folder, f"{days}.duckdb") for days in options.days}
        for days, file in databases.items():
            _land(file, days)
        for _ in range(options.rounds + 1):  # the first one loads what draws
            for days in random.sample(options.days, len(options.days)):
                began = time.perf_counter()
                with duckdb_file(databases[days]) as connection:
                    text = health_page(connection, list(SLICES), Window(END - days * DAY, END))
                seconds[days].append(time.perf_counter() - began)
                pages[days] = text.encode()
    result = {
        days: {
            "seconds": round(statistics.median(seconds[days][1:]), 2),
            "kilobytes": round(len(page) / 1000),
            "kilobytes_gzip": round(len(gzip.compress(page)) / 1000),
        }
        for days, page in sorted(pages.items())
    }
    json.dump(result, sys.stdout, indent=2)
    print()


def _land(file: Path, days: int) -> None:
    windows = [Window(END - (each + 1) * DAY, END - each * DAY) for each in reversed(range(days))]
    for table, slices in SLICES.items():
        landing = Landing(table=table, connect=lambda: duckdb_file(file))
        rows = {window: pa.Table.from_pylist(list(_rows(window, slices))) for window in windows}
        landing.write_rows(rows, time_column="bucket_start")


def _rows(window: Window, slices: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
    chance = random.Random(window.label)
    for hour in range(24):
        for each in slices:
            at = {"bucket_start": window.start + hour * HOUR, **each}
            if "error_message" in each:
                yield at | {"events": chance.randrange(5)}
                continue
            runs = chance.randrange(20, 200)
            yield at | {
                "runs_sum": runs,
                "errors_sum": chance.randrange(runs // 10),
                "tokens_sum": chance.randrange(10_000),
                "model_costs_sum": chance.random(),
                "latency_p50": chance.uniform(200, 900),
                "latency_p95": chance.uniform(900, 9_000),
            }


if __name__ == "__main__":
    main()
