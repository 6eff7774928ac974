"""One night: a file of exported events, downloaded, checked and loaded

The night into PostgreSQL (fsync off) stands beside a script that downloads and copies, and one that makes our checks with pyarrow and a set
of ids before it copies. The download stands beside curl that hashes and syncs; reading and loading beside COPY of the file's
bytes, DuckDB's own reader, pyarrow to Parquet, and calamine, which holds the sheet in memory. dlt, in an environment of its own,
downloads the same file and replaces the table by its rows. With BENCH_BEFORE, the `src` folder of another commit, that commit's ways run
in turn with ours.

`--large` takes a million events and the night alone, and dlt at 100,000: 15 minutes on a quiet machine.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from side_by_side import (
    OURS,
    Claim,
    Figures,
    arguments,
    dlt_python,
    in_turn,
    print_figures,
    resident,
    slope,
    tell,
)

START = datetime(2025, 11, 22, tzinfo=UTC)
BEFORE = "before "


def event(number: int, count: int) -> dict[str, Any]:
    """An event as exports have it: most of its 27 columns short or empty, JSON in some."""
    from vectorshift_orchestration.tables import EVENT_SCHEMA

    start = START + timedelta(days=1) / count * number
    end = start + timedelta(milliseconds=number % 5000)
    is_run = number % 4 == 0
    return dict.fromkeys(EVENT_SCHEMA.names) | {
        "span_id": f"sp_{number:018x}",
        "trace_id": f"tr_{number // 4:016x}",
        "parent_span_id": None if is_run else f"sp_{number // 4 * 4:018x}",
        "span_kind": "pipeline.run" if is_run else "pipeline.node",
        "span_start_time": f"{start:%Y-%m-%dT%H:%M:%S}.{start.microsecond // 1000:03d}Z",
        "span_end_time": f"{end:%Y-%m-%dT%H:%M:%S}.{end.microsecond // 1000:03d}Z",
        "status": "failure" if number % 50 == 0 else "success",
        "error_message": 'HTTP 500: "try\nagain"' if number % 50 == 0 else None,
        "object_id": f"pl_{number % 9}",
        "object_info": {"id": f"pl_{number % 9}", "name": "Totals", "version": 3},
        "execution_id": f"ex_{number // 4:016x}",
        "caller": "bo@partner.example",
        "interface_type": "pipeline",
        "interface_data": {"input": f"Summarise {number}"} if is_run else None,
        "model_id": "gpt-4.1" if number % 3 else None,
        "latency": number % 5000 + 0.25,
        "span_attributes": {"node_id": f"llm_{number % 6}"},
    }


def write_files(folder: Path, rows: int, sheet_rows: int) -> None:
    """`csv`, `json` of half as many rows, and `xlsx` of fewer."""
    import csv

    import xlsxwriter

    def cells(number: int, count: int) -> list[Any]:
        return [
            json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else value
            for value in event(number, count).values()
        ]

    names = list(event(0, 1))
    with (folder / "csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(cells(number, rows) for number in range(rows))
    lines = (json.dumps(event(number, rows // 2)) for number in range(rows // 2))
    (folder / "json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    with xlsxwriter.Workbook(folder / "xlsx", {"constant_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, names)
        for number in range(sheet_rows):
            for column, cell in enumerate(cells(number, sheet_rows)):
                if cell is not None:
                    sheet.write(number + 1, column, cell)


def measured(work: Callable[[], object]) -> None:
    """Run, and print wall and CPU seconds, and how much memory grew."""
    before, wall, cpu = resident(), time.perf_counter(), time.process_time()
    work()
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print_figures(**seconds, growth=resident("VmHWM") - before)


# --- a night ---


def our_night(origin: str, folder: Path, conninfo: str) -> Callable[[], object]:
    import psycopg

    from vectorshift import Client
    from vectorshift_orchestration.exports import ExportRequest, resume
    from vectorshift_orchestration.landing import Landing
    from vectorshift_orchestration.windows import Window

    class Record:
        def read(self) -> None:
            return None

        def write(self, state: object) -> None:
            pass

        def discard(self) -> None:
            pass

    client = Client("key", origin, timeout=600, total_timeout=600)
    client.prepare()
    connection = psycopg.connect(conninfo)
    request = ExportRequest(client.query().to_dict(), Window(START, START + timedelta(days=1)))
    landing = Landing(table="events", connect=lambda: nullcontext(connection))
    return lambda: resume(client, request, landing, Record(), directory=folder / "work")


def fetched(origin: str, target: Path) -> Path:
    """The file as a script downloads it."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(1 << 18))
    with urlopen(f"{origin}/file") as source, target.open("wb") as sink:  # our own server
        while size := source.readinto(buffer):
            digest.update(buffer[:size])
            sink.write(buffer[:size])
        sink.flush()
        os.fsync(sink.fileno())
    return target


def copied(csv: Path, conninfo: str) -> None:
    """The window replaced by PostgreSQL's COPY of the file's bytes."""
    import psycopg

    from vectorshift_orchestration.tables import EVENT_SCHEMA

    kinds = {"timestamp[us, tz=UTC]": "timestamptz", "double": "double precision"}
    columns = ", ".join(
        f"{field.name} {kinds.get(str(field.type), 'text')}" for field in EVENT_SCHEMA
    )
    with psycopg.connect(conninfo) as connection, csv.open("rb") as file:
        connection.execute(f"CREATE TABLE IF NOT EXISTS events ({columns})")  # type: ignore[call-overload]
        connection.execute(
            "DELETE FROM events WHERE span_start_time >= %s AND span_start_time < %s",
            [START, START + timedelta(days=1)],
        )
        with connection.cursor().copy("COPY events FROM STDIN (FORMAT csv, HEADER)") as sink:
            while block := file.read(1 << 20):
                sink.write(block)


def checked(csv: Path, rows: int) -> None:
    """What we check, as pyarrow does it: width, types, ids, window, number."""
    import pyarrow.compute as pc
    import pyarrow.csv

    from vectorshift_orchestration.tables import EVENT_SCHEMA

    ids: set[int] = set()
    reader = pyarrow.csv.open_csv(
        csv,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=EVENT_SCHEMA, strings_can_be_null=True
        ),
    )
    for batch in reader:
        ids.update(map(hash, batch["span_id"].to_pylist()))
        ends = pc.min_max(batch["span_start_time"]).as_py()
        assert START <= ends["min"] <= ends["max"] < START + timedelta(days=1)
        for name in ("object_info", "interface_data", "span_attributes"):
            for text in batch[name].to_pylist():
                assert text is None or isinstance(json.loads(text), dict)
    assert len(ids) == rows


def dlt_night(origin: str, folder: Path, conninfo: str) -> Callable[[], object]:
    """The same with dlt, which looks at each row to find out its types; it knows no window, so it replaces the table."""
    import csv

    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt  # type: ignore[import-not-found]  # of another environment

    told = dict(each.split("=", 1) for each in conninfo.split())
    address = "postgresql://{user}:any@{host}:{port}/{dbname}".format_map(told)
    pipeline = dlt.pipeline(
        f"night_{os.getpid()}",
        pipelines_dir=str(folder / "dlt"),
        destination=dlt.destinations.postgres(address),
        dataset_name=f"dlt_{os.getpid()}",
    )

    def rows() -> Iterator[list[dict[str, str | None]]]:
        with fetched(origin, folder / "fetched").open(newline="") as file:
            reader = csv.DictReader(file)
            while several := list(islice(reader, 5_000)):
                yield [{name: cell or None for name, cell in row.items()} for row in several]

    events = dlt.resource(rows, name="events", write_disposition="replace")
    return lambda: pipeline.run(events).raise_on_failed_jobs()


# --- one way ---


def way(name: str, folder: Path, rows: int, origin: str, conninfo: str) -> Callable[[], object]:
    """What one way does, with all that it needs loaded."""
    if name == "dlt":
        return dlt_night(origin, folder, conninfo)
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    from tests.postgres import Schemas

    pa.array([""])  # loads pandas, where it is installed
    conninfo = Schemas(conninfo).new()
    csv = folder / "csv"
    match name:
        case "night":
            return our_night(origin, folder, conninfo)
        case "plain":
            return lambda: copied(fetched(origin, folder / "fetched"), conninfo)
        case "checked":

            def night() -> None:
                file = fetched(origin, folder / "fetched")
                checked(file, rows)
                copied(file, conninfo)

            return night
        case "download":
            from vectorshift import Client

            client = Client("key", origin, timeout=600, total_timeout=600)
            client.prepare()
            task: Any = {"task_id": "ex_1", "download_url": f"{origin}/file", "format": "CSV"}
            return lambda: client.download_export(task, folder / "fetched")
        case "curl":
            line = (
                f"curl -s {origin}/file | tee {folder}/fetched | sha256sum && sync {folder}/fetched"
            )
            return lambda: subprocess.run(
                line, shell=True, check=True, stdout=subprocess.DEVNULL
            )  # our own text
        case "copy":
            return lambda: copied(csv, conninfo)
        case "duckdb" | "duckdb-json":
            import duckdb

            kind = "json" if name.endswith("json") else "csv"
            made = f"CREATE TABLE events AS SELECT * FROM read_{kind}_auto('{folder / kind}')"
            return lambda: duckdb.connect(config={"threads": 1}).execute(made)
        case "pyarrow":

            def write() -> None:
                reader = pyarrow.csv.open_csv(
                    csv, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True)
                )
                with pyarrow.parquet.ParquetWriter(folder / "peer", reader.schema) as sink:
                    for batch in reader:
                        sink.write_batch(batch)

            return write
        case "calamine":
            from python_calamine import CalamineWorkbook

            def count() -> int:
                book = CalamineWorkbook.from_path(folder / "xlsx")
                return sum(1 for _ in book.get_sheet_by_index(0).iter_rows())

            return count
    return read(name, folder, conninfo)


def read(name: str, folder: Path, conninfo: str) -> Callable[[], object]:
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
        window = Window(START, START + timedelta(days=1))
        overwrite_window(
            connection, "events", window, batches, schema=schema, time_column=EVENT_TIME
        )

    return load


# --- all of them ---


def told(ran: Callable[..., dict[str, Figures]], rows: int, sheet_rows: int) -> None:
    """Run everything, and tell what came of it."""
    found = ran("night", "plain", "checked", *past("night"))
    compare(found, "night", "checked", "a night into PostgreSQL, wall", "<= 1.2", before="1.5")
    compare(found, "night", "plain", "a night into PostgreSQL, wall", before="2.07")
    compare(found, "night", "plain", "a night into PostgreSQL, CPU", before="29", figure="cpu")
    if past("night"):
        what = "a night into PostgreSQL, CPU"
        compare(found, "night", BEFORE + "night", what, "<= 0.6", figure="cpu")
    found = ran("download", "curl")
    what = "download with sha256 and fsync"
    compare(found, "download", "curl", what, "<= 0.9", before="1.3 to 1.5")
    growth = found["download"]["growth"]
    tell(Claim("download, growth of resident memory", growth, "MiB", "<= 32"))
    for name, peer in (
        ("csv-postgres", "copy"),
        ("csv-duckdb", "duckdb"),
        ("csv-parquet", "pyarrow"),
        ("json-duckdb", "duckdb-json"),
        ("xlsx", "calamine"),
    ):
        count = {"csv": rows, "json": rows // 2, "xlsx": sheet_rows}[name.partition("-")[0]]
        found = ran(name, peer, *past(name))
        rate = {way: count / each["wall"] for way, each in found.items()}
        figures = ", ".join(f"{way} {each:,.0f} rows/s" for way, each in rate.items())
        target = ">= 0.75" if name.startswith("csv") else ""
        tell(Claim(f"{name}, rows/s", rate[name] / rate[peer], f"x {peer}", target, "", figures))
        for old in past(name):
            times = found[old]["cpu"] / found[name]["cpu"]
            goal = {"json-duckdb": ">= 2", "xlsx": ">= 3"}.get(name, "")
            tell(Claim(f"{name}, rows per CPU second", times, "x before", goal))


def past(name: str) -> list[str]:
    """The same way of the other commit, where there is one."""
    return [BEFORE + name] if "BENCH_BEFORE" in os.environ else []


def compare(
    found: dict[str, Figures],
    name: str,
    peer: str,
    what: str,
    target: str = "",
    before: str = "",
    figure: str = "wall",
) -> None:
    """Claim how many times as long as a peer we take."""
    figures = ", ".join(f"{way} {each[figure]:.2f} s" for way, each in found.items())
    times = found[name][figure] / found[peer][figure]
    tell(Claim(what, times, f"x {peer}", target, before, figures))


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    if options.way:
        name, (folder, rows, origin, conninfo) = options.way, options.rest
        if name.startswith(BEFORE):
            sys.path.insert(0, os.environ["BENCH_BEFORE"])
        work = way(name.removeprefix(BEFORE), Path(folder), int(rows), origin, conninfo)
        measured(work)
        return
    if options.large:
        taken = [
            night(rows, 1, rounds, nights)
            for rows, rounds in ((10_000, 3), (100_000, 3), (1_000_000, 1))
        ]
        sizes = [10_000.0, 1_000_000.0]
        grown = slope(sizes, [taken[0], taken[-1]])
        tell(
            Claim(
                "a night: growth of its CPU from 10,000 to 1,000,000 events",
                grown,
                "as a slope",
                "<= 1.1",
            )
        )
    elif options.quick:
        night(50_000, 5_000, 1, told)
    else:
        night(100_000, 10_000, 3, told)


def nights(ran: Callable[..., dict[str, Figures]], rows: int, _: int) -> float:
    """The night beside the scripts, and beside dlt up to 100,000 events; its CPU seconds."""
    found = ran("night", "plain", "checked", *past("night"))
    what = f"a night of {rows:,} events into PostgreSQL"
    compare(found, "night", "checked", f"{what}, wall", "<= 1.2")
    compare(found, "night", "plain", f"{what}, wall")
    if past("night"):
        compare(found, "night", BEFORE + "night", f"{what}, CPU", "<= 0.6", figure="cpu")
    if rows == 100_000:
        against_dlt(ran, rows)
    return found["night"]["cpu"]


def against_dlt(ran: Callable[..., dict[str, Figures]], rows: int) -> None:
    """Claim how many times as long as we dlt takes."""
    found = ran("night", "dlt")
    times = found["dlt"]["wall"] / found["night"]["wall"]
    figures = ", ".join(f"{way} {each['wall']:.2f} s" for way, each in found.items())
    tell(Claim(f"a night of {rows:,} events, dlt's wall", times, "x ours", ">= 15", "12", figures))


def night(rows: int, sheet_rows: int, rounds: int, claims: Callable[..., Any]) -> Any:
    """Serve the files of so many events, and claim what is found with them."""
    from canned import canned

    from tests.postgres import schemas

    with TemporaryDirectory(prefix="bench-night-") as name, schemas() as database:
        folder = Path(name)
        write_files(folder, rows, sheet_rows)

        def answer(target: str, _: bytes) -> bytes | Path:
            if target == "/file":
                return folder / "csv"
            if target.endswith("/count"):
                return json.dumps({"status": "success", "count": rows}).encode()
            url = (folder / "origin").read_text() + "/file"
            task = {"task_id": "ex_1", "task_status": "ready", "download_url": url}
            return json.dumps({"status": "success"} | task).encode()

        with canned(answer) as served:
            (folder / "origin").write_text(served.origin)

            def ran(*ways: str) -> dict[str, Figures]:
                chosen = {way: dlt_python() if way == "dlt" else OURS for way in ways}
                rest = folder, rows, served.origin, database.conninfo
                return in_turn(__file__, chosen, 1 if "dlt" in ways else rounds, *rest)

            return claims(ran, rows, sheet_rows)


if __name__ == "__main__":
    main()
