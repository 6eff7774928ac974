"""Rows per second of `overwrite_window` on PostgreSQL, beside the ways people write rows by hand.

    python benchmarks/bench_sql.py [--rows 50000] [--rounds 5]

Each round runs every way once, in another order each time; medians and ratios are printed. The
target is 0.8 x plain COPY of the same rows. TEST_POSTGRES_URL names a server;
without it one is started.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
from adbc_driver_postgresql import dbapi

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.orchestration.conftest import uri
from tests.orchestration.rows import DAY
from tests.postgres import schemas
from vectorshift_orchestration.storage.postgres_types import column_type
from vectorshift_orchestration.storage.sql import overwrite_window
from vectorshift_orchestration.tables import EVENT_SCHEMA, EVENT_TIME

BATCH_ROWS = 10_000


def events(count: int) -> pa.Table:
    """Exported events as they come: 27 columns, most of them short texts, three of JSON."""
    step = timedelta(days=1) / count
    starts = [DAY.start + step * number for number in range(count)]
    columns = {field.name: pa.nulls(count, field.type) for field in EVENT_SCHEMA}
    columns |= {
        "span_id": pa.array([f"sp_{number:032x}" for number in range(count)]),
        "trace_id": pa.array([f"tr_{number // 4:032x}" for number in range(count)]),
        "span_kind": pa.array(["pipeline.run"] * count),
        "span_start_time": pa.array(starts, pa.timestamp("us", "UTC")),
        "span_end_time": pa.array(
            [start + timedelta(milliseconds=1500) for start in starts], pa.timestamp("us", "UTC")
        ),
        "status": pa.array(["success", "success", "failure"] * (count // 3 + 1))[:count],
        "error_message": pa.array([None, None, 'line\n"two"\t\\'] * (count // 3 + 1))[:count],
        "object_id": pa.array([f"pl_{number % 7}" for number in range(count)]),
        "object_info": pa.array(['{"name":"Nightly","tags":["a","b"]}'] * count),
        "latency": pa.array([1500.25 + number for number in range(count)]),
        "span_attributes": pa.array(
            [json.dumps({"tokens": number, "model_costs": number / 1e6}) for number in range(count)]
        ),
    }
    return pa.table(columns, schema=EVENT_SCHEMA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a look, not a measurement")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.rounds = 10_000, 1
    table = events(options.rows)
    batches = table.to_batches(max_chunksize=BATCH_ROWS)
    tuples = [tuple(row.values()) for row in table.to_pylist()]
    columns = ", ".join(f"{field.name} {column_type(field)}" for field in EVENT_SCHEMA)
    marks = ", ".join(["%s"] * len(EVENT_SCHEMA))
    with (
        schemas() as server,
        psycopg.connect(conninfo := server.new()) as connection,
        closing(dbapi.connect(uri(conninfo))) as adbc,
    ):
        for name in ("plain", "prepared", "many"):
            connection.execute(f"CREATE TABLE {name} ({columns})")
        connection.commit()

        def ours() -> None:
            overwrite_window(
                connection, "ours", DAY, batches, schema=EVENT_SCHEMA, time_column=EVENT_TIME
            )

        def ours_adbc() -> None:
            overwrite_window(
                adbc, "ours_adbc", DAY, batches, schema=EVENT_SCHEMA, time_column=EVENT_TIME
            )

        def plain_copy() -> None:
            """Python rows, one write_row each, no DELETE, no checks."""
            with connection.cursor() as cursor, cursor.copy("COPY plain FROM STDIN") as copy:
                for row in tuples:
                    copy.write_row(row)
            connection.commit()

        def prepared_copy() -> None:
            """Bytes that are COPY text already: what the server can take at most."""
            with connection.cursor() as cursor, cursor.copy("COPY prepared FROM STDIN") as copy:
                for piece in pieces:
                    copy.write(piece)
            connection.commit()

        def executemany() -> None:
            with connection.cursor() as cursor:
                cursor.executemany(f"INSERT INTO many VALUES ({marks})", tuples)
            connection.commit()

        overwrite_window(
            connection, "ours", DAY, batches, schema=EVENT_SCHEMA, time_column=EVENT_TIME
        )
        with connection.cursor() as cursor, cursor.copy("COPY ours TO STDOUT") as copy:
            pieces = [bytes(piece) for piece in copy]
        connection.commit()
        ways: list[Callable[[], None]] = [ours, ours_adbc, plain_copy, prepared_copy, executemany]
        taken: dict[str, list[float]] = {way.__name__: [] for way in ways}
        for number in range(options.rounds + 1):
            for way in random.Random(number).sample(ways, len(ways)):
                connection.execute("TRUNCATE plain, prepared, many")
                connection.commit()
                began = time.perf_counter()
                way()
                if number:  # the first round warms up
                    taken[way.__name__].append(time.perf_counter() - began)
        rates = {name: options.rows / statistics.median(times) for name, times in taken.items()}
    print(f"{options.rows:,} rows x {len(EVENT_SCHEMA)} columns, median of {options.rounds} rounds")
    print("(ours: lock, fence, DELETE of the old window, checks, load, ledger row, COMMIT)")
    for name, rate in rates.items():
        against = "  ".join(
            f"{rate / rates[other]:5.2f} x {other}"
            for other in ("plain_copy", "prepared_copy", "executemany")
        )
        print(f"  {name:14} {rate:10,.0f} rows/s   {against}")


if __name__ == "__main__":
    main()
