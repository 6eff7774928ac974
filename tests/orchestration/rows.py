"""Exported events, and the files that hold them, for the tests of this folder."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import xlsxwriter

from vectorshift_orchestration.tables import EVENT_SCHEMA
from vectorshift_orchestration.windows import Window

DAY = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))


def iso(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event(number: int, window: Window = DAY, **changes: Any) -> dict[str, Any]:
    """One exported event, every column present, awkward text included."""
    start = window.start + timedelta(milliseconds=250 + 1000 * number)
    row: dict[str, Any] = dict.fromkeys(EVENT_SCHEMA.names)
    row.update(
        span_id=f"sp_{number}",
        trace_id=f"tr_{number}",
        span_kind="pipeline.run",
        span_start_time=iso(start),
        span_end_time=iso(start + timedelta(milliseconds=1500)),
        status="failure" if number % 3 == 0 else "success",
        error_message='line one\nline "two", with commas' if number % 3 == 0 else None,
        object_id="pl_1",
        object_info={"name": "Näme ✓", "tags": ["a", "b"]},
        latency=1500.25,
        session_users=["ann", "bob"],
        span_attributes={"tokens": 9007199254740993, "model_costs": 0.00123},
    )
    return row | changes


def as_cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return value


def write_csv(path: Path, rows: list[dict[str, Any]], names: list[str] | None = None) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = list(rows[0]) if rows else EVENT_SCHEMA.names
    writer.writerow(names or keys)
    writer.writerows([as_cell(row[key]) for key in keys] for row in rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path


def write_json(path: Path, rows: list[dict[str, Any]], **layout: Any) -> Path:
    if layout:
        path.write_text(json.dumps(rows, ensure_ascii=False, **layout), encoding="utf-8")
    else:
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return path


def write_xlsx(path: Path, rows: list[dict[str, Any]]) -> Path:
    with xlsxwriter.Workbook(str(path), {"constant_memory": True}) as book:
        sheet = book.add_worksheet("events")
        sheet.write_row(0, 0, list(rows[0]) if rows else EVENT_SCHEMA.names)
        for number, row in enumerate(rows, start=1):
            for column, value in enumerate(row.values()):
                cell = as_cell(value)
                if isinstance(cell, bool):
                    sheet.write_boolean(number, column, cell)
                elif isinstance(cell, str):
                    sheet.write_string(number, column, cell)
                elif cell is not None:
                    sheet.write_number(number, column, cell)
    return path


def batch(starts: list[datetime], **columns: list[Any]) -> pa.RecordBatch:
    """A small batch with a time column `at`."""
    return pa.RecordBatch.from_pydict(
        {"at": pa.array(starts, pa.timestamp("us", "UTC")), **columns}
    )
