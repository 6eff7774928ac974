"""What grows with the size of a deployment

Slopes from small sizes to large ones, each size in a process of its own: the memory and the disk of a window's rows, the rows of the ledger,
the record of an export in chunks, and the memory of the waiters of a triggerer. docs/scale.md multiplies them.
"""

import asyncio
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

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

DAY = datetime(2025, 11, 22, tzinfo=UTC)
ROWS = (50_000, 400_000)
LEDGER = (1_000, 100_000)
WAITERS = (200, 2_000)
PENDING = json.dumps({"status": "success", "task_id": "ex_1", "task_status": "pending"}).encode()


def window(rows: int) -> None:
    """A file of so many rows checked, kept aside and loaded into DuckDB."""
    import duckdb
    from bench_night import write_files

    from vectorshift_orchestration.exports.completeness import checked_rows
    from vectorshift_orchestration.spills import Spill
    from vectorshift_orchestration.storage.sql import overwrite_window
    from vectorshift_orchestration.tables import EVENT_TIME
    from vectorshift_orchestration.windows import Window

    day = Window(DAY, DAY + timedelta(days=1))
    with TemporaryDirectory(prefix="bench-scale-") as name:
        folder = Path(name)
        write_files(folder, rows, 1)
        before, began = resident(), time.process_time()
        spill = Spill(folder)
        checked_rows(folder / "csv", "CSV", day, spill=spill)
        checked, memory = time.process_time() - began, resident("VmHWM") - before
        spilled = os.fstat(spill._file.fileno()).st_size
        began = time.process_time()
        with duckdb.connect(str(folder / "db"), config={"threads": 1}) as connection:
            schema, batches = spill.rows()
            overwrite_window(
                connection, "events", day, batches, schema=schema, time_column=EVENT_TIME
            )
        print_figures(
            check=checked,
            load=time.process_time() - began,
            memory=memory,
            file=(folder / "csv").stat().st_size / rows,
            spill=spilled / rows,
        )


def ledger(rows: int) -> None:
    """One small window written to a table whose ledger has so many rows, in PostgreSQL."""
    import psycopg
    import pyarrow as pa

    from tests.postgres import schemas
    from vectorshift_orchestration.storage.sql import begin_attempt, overwrite_window
    from vectorshift_orchestration.windows import Window

    hours = [
        Window(DAY + timedelta(hours=hour), DAY + timedelta(hours=hour + 1)) for hour in range(40)
    ]
    with schemas() as made, psycopg.connect(made.new()) as connection:

        def write(hour: Window) -> None:
            attempt = begin_attempt(connection, "events", hour)
            table = pa.table({"at": pa.array([hour.start], pa.timestamp("us", "UTC"))})
            overwrite_window(connection, "events", hour, table, time_column="at", attempt=attempt)

        write(hours[0])
        connection.execute(
            "INSERT INTO _vectorshift_windows (table_name, window_start, window_end, row_count, attempt_token) "
            "SELECT 'events', at, at + interval '1 hour', 1, repeat('0', 65) "
            "FROM generate_series(1, %s) AS n, LATERAL (SELECT timestamptz '1990-01-01Z' + n * interval '1 hour' AS at)",
            [rows],
        )
        connection.commit()
        connection.execute("ANALYZE")
        connection.commit()
        began = time.perf_counter()
        for hour in hours[1:]:
            write(hour)
        print_figures(write=(time.perf_counter() - began) / (len(hours) - 1))


def waiters(number: int, origin: str) -> None:
    """So many triggers that wait for exports in one loop."""
    os.environ["AIRFLOW_CONN_VECTORSHIFT_DEFAULT"] = json.dumps(
        {"conn_type": "vectorshift", "host": f"{origin}/v1", "password": "sk_1"}
    )
    from airflow_provider_vectorshift.triggers import VectorShiftExportTrigger

    async def wait(several: int, seconds: float) -> None:
        async def one() -> None:
            trigger = VectorShiftExportTrigger(
                vectorshift_conn_id="vectorshift_default",
                export_id="ex_1",
                deadline=time.time() + 3600,
                poll_interval=2,
            )
            async for _ in trigger.run():
                pass

        tasks = [asyncio.create_task(one()) for _ in range(several)]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(wait(1, 2))  # modules load
    before = resident()
    asyncio.run(wait(number, 8))
    print_figures(each=(resident("VmHWM") - before) * 1024 / number)


def record_sizes() -> dict[int, int]:
    """Bytes of the record of an export by the number of its chunks, with all of them checked."""
    from vectorshift_orchestration.exports.state import ExportState, together

    sizes = {}
    for chunks in (1, 24, 100):
        state = ExportState(
            "0" * 64, "staged", "exp_0123456789abcdef", 1, rows=10**6, counted=10**6, bytes=10**9,
            sha256="0" * 64, verified="checksum",
        )  # fmt: skip
        whole = together(ExportState("0" * 64), [state] * chunks) if chunks > 1 else state
        sizes[chunks] = len(json.dumps(whole.to_json()))
    return sizes


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    if options.way:
        size, *rest = options.rest
        {"window": window, "ledger": ledger, "waiters": waiters}[options.way](int(size), *rest)
        return
    rounds = 1 if options.quick else 3

    def at(way: str, sizes: tuple[int, ...], *rest: object) -> list[Figures]:
        return [in_turn(__file__, {way: OURS}, rounds, size, *rest)[way] for size in sizes]

    rows = tuple(size // 10 for size in ROWS) if options.quick else ROWS
    found = at("window", rows)
    per_row = (found[-1]["memory"] - found[0]["memory"]) * 2**20 / (rows[-1] - rows[0])
    small, large = rows[0], rows[-1]
    tell(
        Claim(
            "memory of a row that is checked",
            per_row,
            "bytes",
            figures=_by_size(rows, found, "memory", "MiB"),
        )
    )
    for what, key in (
        ("a row in the service's CSV", "file"),
        ("a row that waits to be loaded", "spill"),
    ):
        tell(Claim(what, found[-1][key], "bytes"))
    for what, key in (("rows checked", "check"), ("rows loaded into DuckDB", "load")):
        speed = large / found[-1][key]
        growth = slope([small, large], [each[key] for each in found])
        tell(Claim(f"{what} in a CPU second", speed, "rows", figures=f"slope {growth:.2f}"))
    found = at("ledger", LEDGER)
    each = (found[-1]["write"] - found[0]["write"]) * 1e6 / (LEDGER[-1] - LEDGER[0])
    tell(
        Claim(
            "a window's write, for each row of the ledger",
            each,
            "µs",
            figures=_by_size(LEDGER, found, "write", "s"),
        )
    )
    with canned(lambda target, body: PENDING) as served:
        found = at("waiters", WAITERS, served.origin)
    tell(
        Claim(
            "memory of a waiting export in a triggerer",
            found[-1]["each"],
            "KiB",
            figures=_by_size(WAITERS, found, "each", "KiB"),
        )
    )
    sizes = record_sizes()
    tell(
        Claim(
            "the record of an export, for each chunk",
            (sizes[100] - sizes[24]) / 76,
            "bytes",
            figures=", ".join(f"{chunks}: {size:,} B" for chunks, size in sizes.items()),
        )
    )


def _by_size(sizes: tuple[int, ...], found: list[Figures], key: str, unit: str) -> str:
    return ", ".join(
        f"{size:,}: {each[key]:.3g} {unit}" for size, each in zip(sizes, found, strict=True)
    )


if __name__ == "__main__":
    main()
