"""Loads the Azure LLM inference traces (2023): one real request becomes one run, one row.

Real are the time of arrival (cut to milliseconds) and both token counts. The trace holds nothing
else, so status, duration, model, cost, object and people are derived from an MD5 of (file name,
row number) and the token counts, and listed under ``derived`` in ``span_attributes``.
Source: AzurePublicDataset, AzureLLMInferenceTrace_{conv,code}.csv, licence CC-BY 4.0.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import md5
from pathlib import Path
from typing import Any

from vectorshift_emulator import Control
from vectorshift_emulator.data import catalogue

HEADER = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
DERIVED = (
    "status",
    "error_message",
    "end_time",
    "latency",
    "model_id",
    "model_costs",
    "ai_credits",
    "object_id",
    "user_id",
    "source",
    "run_id",
    "session",
)
"""What the trace does not hold and the loader derives."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d+))?", re.ASCII)
_PREFILL_US_PER_TOKEN = 250
_DECODE_US_PER_TOKEN = 22_000
_MAX_TOKENS = 2**31 - 1
_BATCH = 5_000


class TraceFileError(ValueError):
    """A trace file cannot be loaded. The text names the file, the line and what is wrong."""


@dataclass(frozen=True)
class _Service:
    """What a trace's service is in the emulator."""

    entity: str
    objects: tuple[tuple[str, str], ...]
    source: str


_SERVICES = {
    "conv": _Service(
        "chatbot",
        (("cb_conv_1", "Conversation A"), ("cb_conv_2", "Conversation B")),
        "web",
    ),
    "code": _Service("pipeline", (("pl_code_1", "Code completion"),), "api"),
}


def load(emulator: Control, path: Path) -> int:
    """Insert one run per request of a trace file into an emulator.

    Args:
        emulator: The emulator's control surface.
        path: A file whose name ends in ``conv.csv`` (its requests become chatbot runs) or
            ``code.csv`` (pipeline runs).

    Returns:
        The number of rows inserted.

    Raises:
        TraceFileError: The name tells no service, the file cannot be read or a line is malformed,
            or its rows are in the table already. Nothing was inserted.
    """
    name = path.stem[-4:].lower()
    service = _SERVICES.get(name)
    if service is None or path.suffix.lower() != ".csv":
        raise TraceFileError(f"{path}: the file name must end in conv.csv or code.csv")
    rows = [
        _run(name, service, path.name, number, *request)
        for number, request in enumerate(_requests(path), start=1)
    ]
    if not rows:
        return 0
    if emulator.truth(f"SELECT 1 FROM events WHERE span_id = '{rows[0]['span_id']}'"):
        raise TraceFileError(f"{path}: this trace is loaded already")
    for first in range(0, len(rows), _BATCH):
        emulator.insert(rows[first : first + _BATCH])
    return len(rows)


def _requests(path: Path) -> Iterator[tuple[datetime, int, int]]:
    """Yield arrival (naive UTC, whole milliseconds), prompt tokens and completion tokens."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, None)
            if header != HEADER:
                raise TraceFileError(f"{path}, line 1: expected {','.join(HEADER)}, got {header}")
            try:
                for fields in lines:
                    yield _request(fields)
            except (ValueError, csv.Error) as error:
                raise TraceFileError(f"{path}, line {lines.line_num}: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TraceFileError(f"{path}: cannot be read: {error}") from error


def _request(fields: list[str]) -> tuple[datetime, int, int]:
    if len(fields) != 3:
        raise ValueError(f"expected 3 fields, got {len(fields)}: {fields}")
    match = _TIME.fullmatch(fields[0])
    if match is None:
        raise ValueError(f"not a time like 2023-11-16 18:15:46.6805900: {fields[0]!r}")
    arrival = datetime.fromisoformat(match[1])
    milliseconds = int((match[2] or "")[:3].ljust(3, "0"))
    return (
        arrival.replace(microsecond=milliseconds * 1000),
        _tokens(HEADER[1], fields[1]),
        _tokens(HEADER[2], fields[2]),
    )


def _tokens(column: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_TOKENS:
        raise ValueError(f"{column} must be a whole number of at least 0, not {text!r}")
    return int(text)


def _instant(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='milliseconds')}Z"


def _run(
    name: str,
    service: _Service,
    file_name: str,
    number: int,
    arrival: datetime,
    prompt_tokens: int,
    completion_tokens: int,
) -> dict[str, Any]:
    """Return the row of one request. ``number`` counts the file's requests from 1."""
    digest = md5(f"{file_name} {number}".encode(), usedforsecurity=False).digest()
    object_id, object_name = service.objects[digest[0] % len(service.objects)]
    model = catalogue.MODELS[digest[1] % len(catalogue.MODELS)]
    user = digest[2] % len(catalogue.USERS)
    failed = int.from_bytes(digest[3:5], "big") % 1000 < 15
    work_us = _PREFILL_US_PER_TOKEN * prompt_tokens + _DECODE_US_PER_TOKEN * completion_tokens
    latency = 20 + work_us * (800 + digest[5] * 400 // 255) // 1_000_000
    nano_usd = model.nano_usd(prompt_tokens, completion_tokens)
    costs = {
        "model_costs": nano_usd / 1e9,
        "ai_credits": nano_usd * catalogue.CREDITS_PER_USD / 1e9,
    }
    tokens = prompt_tokens + completion_tokens
    key = f"{name}_{number:06d}"
    end = arrival + timedelta(milliseconds=latency)
    row: dict[str, Any] = {
        "span_id": f"sp_{key}",
        "trace_id": f"tr_{key}",
        "span_kind": f"{service.entity}.run",
        "entity": service.entity,
        "start_time": _instant(arrival),
        "end_time": _instant(end),
        "status": "failure" if failed else "success",
        "error_message": catalogue.ERRORS[digest[6] % len(catalogue.ERRORS)] if failed else None,
        "object_id": object_id,
        "object_name": object_name,
        "project_id": "prj_azure",
        "execution_id": f"ex_{key}",
        "run_id": f"ex_{key}",
        "source": service.source,
        "caller": catalogue.USERS[user],
        "interface_type": service.entity,
        "interface_name": object_name,
        "model_id": model.model_id,
        "latency": float(latency),
        "pipeline_id": object_id if service.entity == "pipeline" else f"pl_of_{object_id}",
        "user_id": f"u_{user + 1}",
        "is_run": True,
        "tokens": tokens,
        "object_info": {"id": object_id, "name": object_name, "type": service.entity},
        "span_attributes": {
            "tokens": tokens,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            **costs,
            "derived": DERIVED,
        },
        **costs,
    }
    if service.entity == "chatbot":
        row |= {
            "run_id": f"conv_{object_id}_{user + 1}_{arrival:%H%M}",
            "session_name": f"{object_name}, {arrival:%H:%M}",
            "session_source": service.source,
            "session_users": [catalogue.USERS[user]],
            "session_last_message_time": _instant(end),
        }
    return row
