"""Rows and figures as Markdown, for people who view a window in their orchestrator's interface."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration.aggregates.answers import BUCKET_TIME

if TYPE_CHECKING:
    import pyarrow as pa

_BARS = "▁▂▃▄▅▆▇█"
_ROWS, _COLUMNS = 10, 9
_WIDEST = 60


def preview(rows: pa.Table, sort_by: str | None) -> str:
    """A Markdown table of ten rows, those with the greatest `sort_by`.

    A start that all rows share is left out. Texts are escaped: a label is the user's own and must not become markup.
    """
    ordered = rows.sort_by([(sort_by, "descending")]) if sort_by and rows.num_rows else rows
    alike = len(set(rows[BUCKET_TIME].to_pylist())) == 1
    names = [name for name in ordered.column_names if name != BUCKET_TIME or not alike][:_COLUMNS]
    lines = [_line(names), _line(["---"] * len(names))]
    lines += [_line([row[name] for name in names]) for row in ordered.slice(0, _ROWS).to_pylist()]
    remaining = rows.num_rows - _ROWS
    return "\n".join(lines) + (f"\n\n… and {remaining:,} more" if remaining > 0 else "")


def trends(history: Mapping[str, Sequence[float | None]]) -> str:
    """A Markdown table with a sparkline for each figure; the last value is this partition's."""
    lines = [_line(["figure", "this partition", "up to here"]), _line(["---"] * 3)]
    for name, values in history.items():
        lines.append(_line([name, values[-1], sparkline(values)]))
    return "\n".join(lines)


def sparkline(values: Sequence[float | None]) -> str:
    """The values as bars from the least to the greatest; a missing one is a gap."""
    numbers = [value for value in values if value is not None]
    if not numbers:
        return ""
    least, most = min(numbers), max(numbers)
    step = (most - least) / (len(_BARS) - 1) or 1.0
    return "".join(
        " " if value is None else _BARS[round((value - least) / step)] for value in values
    )


def _line(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float | Decimal):
        return f"{float(value):,.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    text = " ".join(str(value).split())
    text = text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
    return "".join(f"\\{each}" if each in r"\`*_[]<>|#!&" else each for each in text)


def fingerprint(rows: pa.Table) -> str:
    """A version that is equal for equal rows, in any process."""
    rendered = json.dumps(rows.to_pylist(), default=str, separators=(",", ":"))
    return hashlib.sha256(f"{rows.schema}|{rendered}".encode()).hexdigest()[:16]
