"""The commonest error messages of several windows, as one table.

No aggregation groups by message (CONTRACT.md A7, GroupBy), so the failed events themselves are
looked at: all windows in one page while one page holds them, else in halves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration.errors import EventShapeError, ExtractIncomplete
from vectorshift_orchestration.thresholds.top_errors import NO_MESSAGE
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift.analytics import Query

_LIMIT, _MOST = 20, 1_000


@dataclass(frozen=True, slots=True)
class ErrorMessages:
    """The rows of `schema()`, and how many requests they took."""

    table: pa.Table
    requests: int


def schema() -> pa.Schema:
    """One row for each window and message.

    `bucket_start` is the window's start, `events` how many failed events had the message. Of the
    window's `failed_events` (null where the service does not tell), `examined_events` were looked at;
    when those are fewer, the counts are those of a sample.
    """
    import pyarrow as pa

    from vectorshift_orchestration.tables import BUCKET_TIME, INSTANT

    counts = [(name, pa.int64()) for name in ("events", "examined_events", "failed_events")]
    return pa.schema([(BUCKET_TIME, INSTANT), ("error_message", pa.string()), *counts])


def error_messages(
    query: Query, windows: Sequence[Window], *, limit: int = _LIMIT, most: int = _MOST
) -> ErrorMessages:
    """The `limit` commonest messages of the failed events of each window, commonest first.

    A request is for one page of at most `most` events. Windows whose failed events do not fit are
    asked for in halves; of a single window that does not fit, a page is what is looked at. Step
    failures count as well: scope the query by kinds, such as `pipeline.run`, to count runs.
    Messages are the users' own text.

    Raises `EventShapeError` for an event without a start or from outside the windows' span,
    `ExtractIncomplete` when the service counts events and hands out none, and the SDK's errors.
    """
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    left, requests = [sorted(windows)] if windows else [], 0
    while left:
        several = left.pop()
        page, failed = _page(query, Window(several[0].start, several[-1].end), most)
        requests += 1
        if len(several) > 1 and (failed is None or failed > len(page)):
            half = len(several) // 2
            left += [several[half:], several[:half]]
            continue
        for window in several:
            texts = [text for start, text in page if window.contains(start)]
            rows += _counted(window, texts, len(texts) if len(several) > 1 else failed, limit)
    return ErrorMessages(pa.Table.from_pylist(rows, schema=schema()), requests)


def _page(query: Query, span: Window, most: int) -> tuple[list[tuple[datetime, str]], int | None]:
    """Start and message of the failed events on one page, and how many there are, if it is known."""
    from vectorshift.analytics import EventField, Query

    at, message = EventField.EVENT_START_TIME, EventField.ERROR_MESSAGE
    failed = span.bound(query).where(status="failure")
    answer = Query.table(failed, [at, message], False, True, most, 0)
    found = []
    for row in answer["rows"]:
        start = _instant(row["values"].get(at.label))
        if start is None or not span.contains(start):
            raise EventShapeError(
                f"The service sent a failed event that starts at {row['values'].get(at.label)!r}, "
                f"outside of {span.label}. Nothing was taken."
            )
        found.append((start, str(row["values"].get(message.label) or NO_MESSAGE)))
    return found, answer.get("total_records", len(found) if len(found) < most else None)


def _counted(
    window: Window, texts: Sequence[str], failed: int | None, limit: int
) -> list[dict[str, Any]]:
    from vectorshift_orchestration.tables import BUCKET_TIME

    if failed and not texts:
        raise ExtractIncomplete(
            f"The service counts {failed} failed events in {window.label} and hands out none of "
            "them. Nothing was taken; try again."
        )
    common = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))[:limit]
    return [
        {
            BUCKET_TIME: window.start,
            "error_message": text,
            "events": count,
            "examined_events": len(texts),
            "failed_events": failed,
        }
        for text, count in common
    ]


def _instant(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
