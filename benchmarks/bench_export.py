"""From a CSV export to a table and to Parquet: rows per second beside plain COPY, and memory.

One file of the emulator (1 GiB by default: `bench_export.py <MiB>`) is downloaded, and each way runs in a process of its own:
download with verification, the checks that make the file trusted, Parquet, DuckDB, PostgreSQL by psycopg and by ADBC, and
PostgreSQL's own COPY of the same bytes into a table of the same columns, which parses nothing and checks nothing. Growth is the
peak of resident memory over what the process had when its imports were done. The PostgreSQL server has fsync off. At last an
XLSX of 200,000 rows (fewer where the CSV has fewer) is read beside a reader that holds the sheet in memory (python-calamine).
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

BYTES_PER_ROW = 357
SHEET_ROWS = 200_000
MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)


def resident(name: str) -> float:
    """MiB of this process in memory, now (VmRSS) or at most (VmHWM; getrusage would tell the parent's)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def measured(rows: int, work: Callable[[], object]) -> None:
    """Run `work` and print what it took, as JSON."""
    before, started = resident("VmRSS"), time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    growth = resident("VmHWM") - before
    print(json.dumps({"seconds": seconds, "rate": rows / seconds, "growth": growth}))


def child(way: str, rows: int, csv: Path, folder: Path, conninfo: str) -> None:
    """One way, in this process."""
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401  # part of the baseline, as the readers are

    from vectorshift_orchestration.exports.completeness import checked_rows
    from vectorshift_orchestration.readers import read_export
    from vectorshift_orchestration.storage.parquet import write_parquet
    from vectorshift_orchestration.storage.sql import overwrite_window
    from vectorshift_orchestration.tables import EVENT_TIME
    from vectorshift_orchestration.windows import Window

    window = Window(MIDNIGHT - timedelta(days=1), MIDNIGHT)

    def load(connection: object) -> None:
        schema, batches = read_export(csv, "CSV")
        overwrite_window(
            connection, way, window, batches, schema=schema, time_column=EVENT_TIME, key="k"
        )

    if way == "check":
        measured(rows, lambda: checked_rows(csv, "CSV", window))
    elif way == "parquet":
        measured(rows, lambda: write_parquet(*read_export(csv, "CSV"), folder / "out.parquet"))
    elif way == "duckdb":
        import duckdb

        config = {"memory_limit": "64MB", "threads": 1}
        with duckdb.connect(str(folder / "out.duckdb"), config=config) as connection:
            measured(rows, lambda: load(connection))
    elif way == "psycopg":
        import psycopg

        with psycopg.connect(conninfo) as connection:
            measured(rows, lambda: load(connection))
    elif way == "adbc":
        from adbc_driver_postgresql import dbapi

        from tests.orchestration.conftest import uri

        with dbapi.connect(uri(conninfo)) as connection:
            measured(rows, lambda: load(connection))
    elif way == "copy":
        measured(rows, lambda: copy(csv, conninfo))
    elif way == "xlsx":
        measured(rows, lambda: all(batch for batch in read_export(csv, "XLSX")[1]))
    elif way == "calamine":
        from python_calamine import CalamineWorkbook

        measured(
            rows, lambda: all(CalamineWorkbook.from_path(csv).get_sheet_by_index(0).iter_rows())
        )


def copy(csv: Path, conninfo: str) -> None:
    """PostgreSQL's COPY of the file's bytes, into a table with the types that ours has."""
    import psycopg

    from vectorshift_orchestration.readers import read_export

    schema, _ = read_export(csv, "CSV")
    kinds = {"timestamp[us, tz=UTC]": "timestamptz", "double": "double precision"}
    columns = ", ".join(f"{field.name} {kinds.get(str(field.type), 'text')}" for field in schema)
    with psycopg.connect(conninfo) as connection, csv.open("rb") as file:
        connection.execute(f"CREATE TABLE copied ({columns})")  # type: ignore[call-overload]
        with connection.cursor().copy("COPY copied FROM STDIN (FORMAT csv, HEADER)") as sink:
            while block := file.read(1 << 20):
                sink.write(block)


def download(rows: int, target: Path, format: str) -> None:
    """Export the events of one day from an emulator with so many, and print what the SDK took."""
    from vectorshift import Client
    from vectorshift_emulator import serve
    from vectorshift_orchestration.exports import ExportRequest
    from vectorshift_orchestration.exports.job import submit
    from vectorshift_orchestration.windows import Window

    window = Window(MIDNIGHT - timedelta(days=1), MIDNIGHT)
    with (
        serve(events=rows, days=1, end=MIDNIGHT, export_mode="sync") as emulator,
        Client(emulator.api_key, emulator.base_url, timeout=600, total_timeout=600) as client,
    ):
        task = submit(client, ExportRequest(client.query().to_dict(), window, format))
        started = time.perf_counter()
        done = client.download_export(task, target)
        seconds = time.perf_counter() - started
    print(
        f"{format}: {rows:,} rows, {done.bytes / 2**20:,.0f} MiB; downloaded and verified in "
        f"{seconds:.1f} s"
    )


def main() -> None:
    """Measure and print."""
    from tests.postgres import schemas

    mebibytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    rows = mebibytes * 2**20 // BYTES_PER_ROW + 1
    with tempfile.TemporaryDirectory(prefix="bench-export-") as name, schemas() as database:
        folder = Path(name)
        csv = folder / "export.csv"
        download(rows, csv, "CSV")
        sheet_rows, sheet = min(rows, SHEET_ROWS), folder / "export.xlsx"
        download(sheet_rows, sheet, "XLSX")
        files = dict.fromkeys(
            ("copy", "psycopg", "adbc", "parquet", "duckdb", "check"), (rows, csv)
        )
        files |= dict.fromkeys(("xlsx", "calamine"), (sheet_rows, sheet))
        rates = {}
        for way, (count, file) in files.items():
            conninfo = database.new()
            command = [sys.executable, __file__, "--child", way, count, file, folder, conninfo]
            told = subprocess.run(
                [str(part) for part in command], check=True, capture_output=True, text=True
            )
            figures = json.loads(told.stdout)
            rates[way] = figures["rate"]
            print(
                f"{way:8} {figures['seconds']:6.1f} s {figures['rate']:9,.0f} rows/s "
                f"{figures['rate'] / rates['copy']:5.2f} x COPY   growth {figures['growth']:4.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5]), sys.argv[6])
    else:
        main()
