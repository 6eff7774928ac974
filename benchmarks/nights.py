"""Ways to bring one night's export into PostgreSQL: ours, ours of another commit, a script, a script with our checks, dlt."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from exported import DAY, START


class Unkept:
    """A record that nobody keeps."""

    def read(self) -> None:
        return None

    def write(self, state: object) -> None:
        pass

    def discard(self) -> None:
        pass


def night_into(
    connect: Callable[[], AbstractContextManager[Any]], origin: str, folder: Path
) -> Callable[[], object]:
    """The core's job: `connect` opens the database of its table."""
    from vectorshift import Client
    from vectorshift_orchestration.exports import ExportRequest, resume
    from vectorshift_orchestration.landing import Landing
    from vectorshift_orchestration.windows import Window

    client = Client("key", origin, timeout=600, total_timeout=600)
    client.prepare()
    request = ExportRequest(client.query().to_dict(), Window(START, START + DAY))
    landing = Landing(table="events", connect=connect)
    return lambda: resume(client, request, landing, Unkept(), directory=folder / "work")


def our_night(origin: str, folder: Path, conninfo: str) -> Callable[[], object]:
    import psycopg

    connection = psycopg.connect(conninfo)
    return night_into(lambda: nullcontext(connection), origin, folder)


def night_before(origin: str, folder: Path, conninfo: str) -> Callable[[], object]:
    """The same in the words of commit 1f6a76b, whose packages BENCH_BEFORE has put first."""
    import psycopg

    from vectorshift import Client
    from vectorshift_orchestration.exports import ExportRequest, job
    from vectorshift_orchestration.windows import Window

    client = Client("key", origin, timeout=600, total_timeout=600)
    client.prepare()
    connection = psycopg.connect(conninfo)
    request = ExportRequest(client.query().to_dict(), Window(START, START + DAY))
    return lambda: job.resume(
        client,
        None,  # type: ignore[arg-type]  # of the other commit, as all of this call
        request,  # type: ignore[arg-type]
        folder / "work",  # type: ignore[arg-type]
        save=lambda state: None,  # type: ignore[call-arg]
        table="events",
        connection=connection,
    )


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
            [START, START + DAY],
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
        assert START <= ends["min"] <= ends["max"] < START + DAY
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
