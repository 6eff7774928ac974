"""The buckets of an aggregation: by which key events are grouped, and how its label is written."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from vectorshift_emulator._settings import Settings

COLUMNS = {
    "MODEL_ID": "model_id",
    "PIPELINE_ID": "pipeline_id",
    "FEEDBACK_TYPE": "feedback_type",
    "SEARCH_TYPE": "search_type",
    "NODE_TYPE": "node_type",
}
"""The column of each dimension but TIME."""


def key(dimension: str, interval: str | None, settings: Settings) -> str:
    """The SQL of an event's bucket: its start as naive UTC, or a text, where null is "" (G4)."""
    if dimension != "TIME":
        return f"coalesce({COLUMNS[dimension]}, '')"
    unit = str(interval).lower()
    if settings.zone == "UTC":
        return _start("start_time", unit, settings)
    zone = f"'{settings.zone}'"
    local = f"timezone({zone}, timezone('UTC', start_time))"
    start = _start(local, unit, settings)
    if unit == "hour":
        # From the instant itself: where clocks are put back, two hours have one local time.
        return f"start_time - ({local} - {start})"
    return f"timezone('UTC', timezone({zone}, {start}))"


def _start(local: str, unit: str, settings: Settings) -> str:
    if unit == "week" and settings.week_start == "sunday":
        return f"(date_trunc('week', {local} + INTERVAL 1 DAY) - INTERVAL 1 DAY)::TIMESTAMP"
    return f"date_trunc('{unit}', {local})::TIMESTAMP"


def label(dimension: str, value: Any, interval: str | None, settings: Settings) -> str:
    """The label of a bucket: a time as switches `labels` and `zone` say."""
    if dimension != "TIME":
        return str(value)
    assert isinstance(value, datetime)
    local = value.replace(tzinfo=UTC).astimezone(ZoneInfo(settings.zone))
    if settings.labels == "rfc3339":
        return local.isoformat().replace("+00:00", "Z")
    if settings.labels == "date" and interval in ("WEEK", "MONTH", "YEAR"):
        return f"{local:%Y-%m-%d}"
    return f"{local:%Y-%m-%d %H:%M:%S}"
