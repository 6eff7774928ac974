"""Files of exported events, and a service that has them: what the benchmarks of nights and of files share."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from side_by_side import OURS, Figures, dlt_python, in_turn

START = datetime(2025, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)
Ran: TypeAlias = Callable[..., dict[str, Figures]]
"""Runs the ways of the names that it is given, in turn."""


def event(number: int, count: int) -> dict[str, Any]:
    """An event as exports have it: most of its 27 columns short or empty, JSON in some."""
    from vectorshift_orchestration.tables import EVENT_SCHEMA

    start = START + DAY / count * number
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


@contextmanager
def exported(script: str, rows: int, sheet_rows: int, rounds: int) -> Iterator[Ran]:
    """A folder with the files of so many events, a PostgreSQL, and a service whose export is the CSV.

    Each way is told the folder, the number of rows, the service's origin, and a conninfo.
    """
    from canned import canned

    from tests.postgres import schemas

    with TemporaryDirectory(prefix="bench-exported-") as name, schemas() as database:
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
                return in_turn(script, chosen, 1 if "dlt" in ways else rounds, *rest)

            yield ran
