"""The same events by every way there is: CSV, JSON, XLSX, iterated pages, and the truth."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from tests.days import MIDNIGHT
from vectorshift import Client
from vectorshift_emulator import serve
from vectorshift_orchestration.exports import ExportRequest
from vectorshift_orchestration.exports.fetch import submit
from vectorshift_orchestration.exports.staging import stage
from vectorshift_orchestration.readers import read_export
from vectorshift_orchestration.tables import EVENT_SCHEMA, event_batch
from vectorshift_orchestration.windows import Window

EVENTS = int(os.environ.get("VECTORSHIFT_EQUAL_EVENTS", "20000"))
DAY = Window(MIDNIGHT - timedelta(days=1), MIDNIGHT)
JSON_COLUMNS = ("object_info", "span_attributes", "interface_data", "session_users")
TIMES = ("span_start_time", "span_end_time")


def number(text):
    """A number of JSON by its value: 2.0 is 2."""
    return int(float(text)) if float(text).is_integer() else float(text)


def fingerprints(rows):
    """The multiset of (span id, hash of the content); JSON by its value, times by the instant."""
    result = Counter()
    for row in rows:
        values = []
        for name in EVENT_SCHEMA.names:
            value = row.get(name)
            if name in JSON_COLUMNS and value:
                text = value if isinstance(value, str) else json.dumps(value)
                value = json.loads(text, parse_float=number)
            if name in TIMES and isinstance(value, str):
                value = datetime.fromisoformat(value)
            if name in TIMES and value is not None:
                value = value.timestamp()
            values.append(None if value == "" else value)
        text = json.dumps(values, sort_keys=True)
        result[row["span_id"], hashlib.sha256(text.encode()).hexdigest()] += 1
    return result


def awkward(count):
    """Runs whose numbers need 17 digits, an exponent, no fraction or more than 64 bits."""
    chance = random.Random(12)
    reported = [
        0.1 + 0.2,
        2.39e-05,
        1e-07,
        1e16,
        1e20,
        1e21,
        1.0,
        -0.0,
        2**53 + 1,
        2**64 - 1,
        5e-324,
    ]
    for number in range(count):
        values = [
            chance.choice(reported),
            chance.random(),
            chance.uniform(0, 1) * 10 ** chance.randint(-9, 18),
        ]
        yield {
            "span_id": f"odd_{number:04d}",
            "start_time": (DAY.start + timedelta(seconds=number)).isoformat(),
            "latency": chance.uniform(0, 3000),
            "error_message": chance.choice(["<b>&", "a\\b", "['a']", "null", "\u2028", "1e5"]),
            "span_attributes": {"v": values, "t": "1e5,2.0]<&>\u2028'\"", "n": None, "deep": {"x": values[1]}},
            "object_info": {"name": "Näme", "ratio": values[0]},
            "session_users": ["ana", "it's"],
        }  # fmt: skip


def test_pages_and_files_give_one_table(tmp_path):
    """2,000 seeded events and 300 awkward ones: the same texts and numbers by pages and every format."""
    with (
        serve(events=2_000, days=1, seed=12, export_mode="sync", end=MIDNIGHT) as emulator,
        Client(api_key=emulator.api_key, base_url=emulator.base_url, timeout=300) as client,
    ):
        emulator.insert(list(awkward(300)))
        events = list(DAY.bound(client.query()).iter_events(page_size=1000))
        pages = pa.Table.from_batches([event_batch(events)]).sort_by("span_id")
        assert pages.num_rows == 2_300
        for format in ("CSV", "JSON", "XLSX"):
            request = ExportRequest(client.query().to_dict(), DAY, format)
            staged = stage(client, submit(client, request), request, tmp_path)
            schema, batches = read_export(staged.path, format)
            result = pa.Table.from_batches(batches, schema).sort_by("span_id")
            differing = [name for name in schema.names if result[name] != pages[name]]
            assert (format, differing) == (format, [])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_way_gives_the_same_events(tmp_path):
    """By the multiset of (span id, content hash), with all files checked like any other export."""
    with (
        serve(events=EVENTS, days=1, export_mode="sync", end=MIDNIGHT) as emulator,
        Client(api_key=emulator.api_key, base_url=emulator.base_url, timeout=300) as client,
    ):
        renamed = {"span_start_time": "start_time", "span_end_time": "end_time"}
        columns = ", ".join(
            f"{renamed[name]} AS {name}" if name in renamed else name for name in EVENT_SCHEMA.names
        )
        truth = fingerprints(emulator.truth(f"SELECT {columns} FROM events"))
        assert truth.total() == len(truth) == EVENTS
        result = {}
        for format in ("CSV", "JSON", "XLSX"):
            request = ExportRequest(client.query().to_dict(), DAY, format)
            staged = stage(client, submit(client, request), request, tmp_path)
            schema, batches = read_export(staged.path, format)
            assert schema == EVENT_SCHEMA
            result[format] = fingerprints(row for batch in batches for row in batch.to_pylist())
        events = DAY.bound(client.query()).iter_events(page_size=1000)
        pages = (event_batch(page) for page in _pages(events, 1000))
        result["pages"] = fingerprints(row for batch in pages for row in batch.to_pylist())
    for name, each in result.items():
        assert each == truth, (
            f"{name}: {(each - truth).total()} wrong, {(truth - each).total()} lost"
        )


def _pages(events, size):
    page = []
    for each in events:
        page.append(each)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
