"""From a file of exported events to a table or another file

Beside COPY of the file's bytes, DuckDB's own reader, pyarrow to Parquet, and calamine, which holds the sheet in memory; none of them
checks anything. With BENCH_BEFORE, the `src` folder of another commit, that commit's ways run in turn with ours.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from exported import DAY, START, exported
from nights import copied
from side_by_side import Claim, arguments, before, measured, past, tell

PEERS = {
    "csv-postgres": "copy",
    "csv-duckdb": "duckdb",
    "csv-parquet": "pyarrow",
    "json-duckdb": "duckdb-json",
    "xlsx": "calamine",
}


def peer(name: str, folder: Path, conninfo: str) -> Callable[[], object]:
    """What one of the others does, with all that it needs loaded."""
    if name == "copy":
        return lambda: copied(folder / "csv", conninfo)
    if name.startswith("duckdb"):
        import duckdb

        kind = "json" if name.endswith("json") else "csv"
        made = f"CREATE TABLE events AS SELECT * FROM read_{kind}_auto('{folder / kind}')"
        return lambda: duckdb.connect(config={"threads": 1}).execute(made)
    if name == "pyarrow":
        import pyarrow.csv
        import pyarrow.parquet

        def write() -> None:
            reader = pyarrow.csv.open_csv(
                folder / "csv", parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True)
            )
            with pyarrow.parquet.ParquetWriter(folder / "peer", reader.schema) as sink:
                for batch in reader:
                    sink.write_batch(batch)

        return write
    from python_calamine import CalamineWorkbook

    def count() -> int:
        book = CalamineWorkbook.from_path(folder / "xlsx")
        return sum(1 for _ in book.get_sheet_by_index(0).iter_rows())

    return count


def ours(name: str, folder: Path, conninfo: str) -> Callable[[], object]:
    """Ours, from a file to a table or another file."""
    from vectorshift_orchestration.readers import read_export
    from vectorshift_orchestration.storage.parquet import write_parquet
    from vectorshift_orchestration.storage.sql import overwrite_window
    from vectorshift_orchestration.tables import EVENT_TIME
    from vectorshift_orchestration.windows import Window

    kind, _, sink = name.partition("-")
    if not sink:
        return lambda: sum(batch.num_rows for batch in read_export(folder / kind, kind)[1])
    if sink == "parquet":
        return lambda: write_parquet(*read_export(folder / kind, kind), folder / "ours")
    if sink == "duckdb":
        import duckdb

        connection: Any = duckdb.connect(config={"threads": 1})
    else:
        import psycopg

        connection = psycopg.connect(conninfo)

    def load() -> None:
        schema, batches = read_export(folder / kind, kind)
        window = Window(START, START + DAY)
        overwrite_window(
            connection, "events", window, batches, schema=schema, time_column=EVENT_TIME
        )

    return load


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    if options.way:
        import pyarrow as pa

        from tests.postgres import Schemas

        folder, _, _, conninfo = options.rest
        name = before(options.way)
        pa.array([""])  # loads pandas, where it is installed
        made = ours if name in PEERS else peer
        measured(made(name, Path(folder), Schemas(conninfo).new()))
        return
    rows, sheet_rows, rounds = (50_000, 5_000, 1) if options.quick else (100_000, 10_000, 3)
    with exported(__file__, rows, sheet_rows, rounds) as ran:
        for name, other in PEERS.items():
            count = {"csv": rows, "json": rows // 2, "xlsx": sheet_rows}[name.partition("-")[0]]
            found = ran(name, other, *past(name))
            rate = {way: count / each["wall"] for way, each in found.items()}
            figures = ", ".join(f"{way} {each:,.0f} rows/s" for way, each in rate.items())
            target = ">= 0.75" if name.startswith("csv") else ""
            times = rate[name] / rate[other]
            tell(Claim(f"{name}, rows/s", times, f"x {other}", target, "", figures))
            for old in past(name):
                times = found[old]["cpu"] / found[name]["cpu"]
                goal = {"json-duckdb": ">= 2", "xlsx": ">= 3"}.get(name, "")
                tell(Claim(f"{name}, rows per CPU second", times, "x before", goal))


if __name__ == "__main__":
    main()
