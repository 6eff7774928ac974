"""What the ledger says of the page's tables: until when they are written, what is missing, what came late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from vectorshift_orchestration.report.figures import LandedTable
from vectorshift_orchestration.report.sections import Grid, Section
from vectorshift_orchestration.storage.ledger import Note
from vectorshift_orchestration.windows import Window

_MOST = 5
"""Windows named in one cell."""


def landings(
    tables: Sequence[LandedTable],
    window: Window,
    *,
    late: timedelta,
    now: datetime,
) -> Section:
    """For each table what of the window, up to now, no commit covers, and what was written late."""
    end = min(window.end, now)
    rows = []
    for table in tables:
        done = table.notes
        missing = _missing(done, window.start, end)
        delayed = [each for each in done if each.committed_at - each.end > late]
        rows.append(
            (
                table.name.name,
                len(done),
                max((each.committed_at for each in done), default=None),
                _named(missing) or "nothing",
                _named([Window(each.start, each.end) for each in delayed]) or "nothing",
            )
        )
    columns = ("Table", "Windows written", "Last written, UTC", "Missing", "Written late")
    return Section(
        "What is missing or late",
        Grid(columns, rows),
        note=f"Late is what was written more than {_duration(late)} after its end, or was written again since.",
    )


def _duration(width: timedelta) -> str:
    hours = width / timedelta(hours=1)
    number, unit = (hours / 24, "day") if hours >= 24 and hours % 24 == 0 else (hours, "hour")
    return f"{number:,g} {unit}{'' if number == 1 else 's'}"


def _missing(done: Sequence[Note], start: datetime, end: datetime) -> list[Window]:
    gaps, covered = [], start
    for each in done:
        gaps.append((covered, min(each.start, end)))
        covered = max(covered, each.end)
    gaps.append((covered, end))
    return [Window(first, last) for first, last in gaps if first < last]


def _named(windows: Sequence[Window]) -> str:
    more = f" and {len(windows) - _MOST} more" if len(windows) > _MOST else ""
    return ", ".join(window.in_words for window in windows[:_MOST]) + more
