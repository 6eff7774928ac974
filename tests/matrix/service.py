"""What the service may be: the emulator's switches as factors, and the events that it is asked about."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from vectorshift_orchestration.windows import Window

FACTORS: dict[str, list[Any]] = {
    "keys": ["camel", "snake"],
    "envelope": ["snake", "camel"],
    "strict": [True, False],
    "int64": ["text", "number"],
    "zeros": ["kept", "omitted", "unfilled"],
    "leaf": ["number", "message"],
    "bounds": ["closed", "open", "half-open", "open-closed"],
    "bound_precision": ["us", "ms", "s"],
    "clock": ["ms", "us", "ns"],
    "time_digits": [0, 3, 6, 9],
    "order": ["total", "ties", "none"],
    "total_records": ["right", "absent", "0", "page"],
    "absent": ["null", "default"],
    "percentile": ["linear", "element", "sampled"],
    "distinct": ["exact", "approximate"],
    "matches": ["clickhouse", "lenient"],
    "labels": ["rfc3339", "date", "space"],
    "zone": ["UTC", "Europe/Berlin", "Asia/Kolkata"],
    "week_start": ["monday", "sunday"],
    "file_status": ["upper", "lower"],
    "file_null": ["empty", "\\N", "<nil>"],
    "json_empty": ["[]", "null"],
    "json_form": ["array", "ndjson"],
    "xlsx_times": ["text", "native"],
    "xlsx_sheet_rows": [None, 40],
    "xlsx_long_text": ["refused", "cut"],
    "export_mode": ["async", "sync", "no-poll"],
    "digest": [True, False],
    "url_ttl": [900.0, 30.0],
}


def allowed(row: dict[str, Any]) -> bool:
    """Whether values may stand together: a week's first day shows only where weeks have their days."""
    return not (row.get("labels") == "rfc3339" and row.get("week_start") == "sunday") or (
        row.get("zone", "UTC") == "UTC"
    )


START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
DAYS = [Window(START + timedelta(days=n), START + timedelta(days=n + 1)) for n in range(3)]
WHOLE = Window(DAYS[0].start, DAYS[-1].end)
MONTH = Window(START - timedelta(days=10), START + timedelta(days=20))
NOON = Window(START + timedelta(hours=12), START + timedelta(hours=13))
EMPTY = Window(START - timedelta(days=20), START - timedelta(days=19))

MODELS = ["gpt-4o", "claude", "llama"]
MESSAGES = ["quota exceeded", "time out\nat step 2", 'bad "input", {x}', "<b>&", "\\N"]


def events(clock: str, seed: int = 1) -> list[dict[str, Any]]:
    """Runs of three days, as fine as the clock, some of them at the very edges of windows."""
    chance = random.Random(seed)
    tick = {"ms": 1_000_000, "us": 1_000, "ns": 1}[clock]  # nanoseconds
    width = int(WHOLE.width / timedelta(microseconds=1)) * 1000
    offsets = [chance.randrange(0, width, tick) for _ in range(150)]
    for day in DAYS:
        edge = int((day.start - START) / timedelta(microseconds=1)) * 1000
        offsets += [edge, edge + tick, edge + 1_000_000, edge + 86_400_000_000_000 - tick]
    offsets += [-tick, width, width + tick]  # outside
    offsets += [12 * 3_600_000_000_000, 13 * 3_600_000_000_000, 13 * 3_600_000_000_000 - tick]
    rows = []
    for number, offset in enumerate(offsets):
        failed = chance.random() < 0.3
        start = told(offset, {"ms": 3, "us": 6, "ns": 9}[clock])
        rows.append(
            {
                "span_id": f"sp_{number:04d}",
                "trace_id": f"tr_{number:04d}",
                "span_kind": "pipeline.run",
                "object_id": chance.choice(["pl_1", "pl_2"]),
                "start_time": start,
                "status": "failure" if failed else "success",
                "error_message": chance.choice(MESSAGES) if failed else None,
                "search_type": chance.choice(["semantic", "hybrid"]),
                "model_id": chance.choice(MODELS),
                "latency": round(chance.uniform(1, 3000), 3),
                "tokens": chance.randrange(0, 900) if chance.random() < 0.9 else 0,
                "model_costs": round(chance.uniform(0, 1), 6),
                "user_id": chance.choice(["ana", "bob", "eve"]),
                "span_attributes": {"cost": chance.uniform(0, 1e-4), "note": "<ü>", "n": 1.0},
            }
        )
    return rows


def told(offset: int, digits: int) -> str:
    """The time so many nanoseconds after the first day's start."""
    seconds, rest = divmod(offset, 1_000_000_000)
    return f"{(START + timedelta(seconds=seconds)):%Y-%m-%dT%H:%M:%S}.{f'{rest:09d}'[:digits]}Z"


def inside(row: dict[str, Any], window: Window) -> bool:
    """Whether the event started in the window, to the nanosecond."""
    return _exact(window.start) <= _read(row["start_time"]) < _exact(window.end)


def _exact(instant: datetime) -> Fraction:
    return Fraction((instant - START) // timedelta(microseconds=1), 1_000_000)


def _read(text: str) -> Fraction:
    day, _, fraction = text.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return _exact(whole) + Fraction(int(fraction), 10 ** len(fraction))
