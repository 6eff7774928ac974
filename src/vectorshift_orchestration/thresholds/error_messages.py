"""Why runs fail: the error messages that come up most, in one window or in several.

No aggregation groups by message (docs/contract.md A7, GroupBy), so the failed events themselves are
looked at: all windows in one page while one page holds them, else in halves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from vectorshift_orchestration.errors import EventShapeError, ExtractIncomplete
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift.analytics import DataTableResult, EventField, Query

NO_MESSAGE = "(no message)"
_LIMIT, _FEW, _MOST = 20, 5, 1_000


@dataclass(frozen=True, slots=True)
class TopErrors:
    """The commonest messages of a window's failed events, with how often each was seen.

    `examined` failed events were looked at, out of `failed` in the window (None where the service
    does not say). When there are more than were read, the counts are those of a sample: the
    first that the service hands out.
    """

    messages: tuple[tuple[str, int], ...]
    examined: int
    failed: int | None

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        messages = [{"message": text, "count": count} for text, count in self.messages]
        return {"messages": messages, "examined": self.examined, "failed": self.failed}


@dataclass(frozen=True, slots=True)
class ErrorMessages:
    """The commonest messages of each window, in order, and how many requests they took."""

    windows: Mapping[Window, TopErrors]
    requests: int

    @property
    def table(self) -> pa.Table:
        """One row for each window and message, commonest first.

        `bucket_start` is the window's start, `events` how many failed events had the message. The
        other columns are `examined_events` and `failed_events` of the window, as in `TopErrors`.
        """
        import pyarrow as pa

        from vectorshift_orchestration.columns import MESSAGE_COLUMNS
        from vectorshift_orchestration.tables import arrow_schema

        schema = arrow_schema(MESSAGE_COLUMNS)
        rows = [
            (window.start, text, count, errors.examined, errors.failed)
            for window, errors in self.windows.items()
            for text, count in errors.messages
        ]
        return pa.Table.from_pylist(
            [dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema
        )


def error_messages(
    query: Query, windows: Sequence[Window], *, limit: int = _LIMIT, most: int = _MOST
) -> ErrorMessages:
    """The `limit` commonest messages of the failed events of each window, commonest first.

    A request is for one page of at most `most` events. Windows whose failed events do not fit are
    requested in halves; of a single window that does not fit, one page is read. Step
    failures count as well: scope the query by kinds, such as `pipeline.run`, to count runs.
    Messages are the users' own text.

    Raises `EventShapeError` for an event without a start or from outside the windows' span,
    `ExtractIncomplete` when the service counts events and hands out none, and the SDK's errors.
    """
    from vectorshift.analytics import Query
    from vectorshift_orchestration.extract import bounds

    pages = _page_spans(windows, limit, most)
    page = None
    while True:
        try:
            span = pages.send(page)
        except StopIteration as done:
            messages: ErrorMessages = done.value
            return messages
        failed = bounds.for_rows(query, span).where(status="failure")
        page = Query.table(failed, _columns(), False, True, most, 0)


async def aerror_messages(
    query: Query, windows: Sequence[Window], *, limit: int = _LIMIT, most: int = _MOST
) -> ErrorMessages:
    """`error_messages`, awaiting."""
    from vectorshift_orchestration.extract import bounds

    pages = _page_spans(windows, limit, most)
    page = None
    while True:
        try:
            span = pages.send(page)
        except StopIteration as done:
            messages: ErrorMessages = done.value
            return messages
        failed = (await bounds.afor_rows(query, span)).where(status="failure")
        page = await failed.atable(_columns(), False, True, most, 0)


def top_errors(query: Query, window: Window, *, limit: int = _FEW, most: int = _MOST) -> TopErrors:
    """`error_messages` of one window: one request, the `limit` commonest messages."""
    return error_messages(query, [window], limit=limit, most=most).windows[window]


async def atop_errors(
    query: Query, window: Window, *, limit: int = _FEW, most: int = _MOST
) -> TopErrors:
    """`top_errors`, awaiting."""
    return (await aerror_messages(query, [window], limit=limit, most=most)).windows[window]


_PageSpans: TypeAlias = "Generator[Window, DataTableResult | None, ErrorMessages]"


def _page_spans(windows: Sequence[Window], limit: int, most: int) -> _PageSpans:
    """Yields each window that a page of failed events is wanted of, and is sent the page."""
    errors: dict[Window, TopErrors] = {}
    remaining, requests = [sorted(windows)] if windows else [], 0
    while remaining:
        several = remaining.pop()
        span = Window(several[0].start, several[-1].end)
        answer = yield span
        assert answer is not None  # it was requested
        page, requests = _read(answer, span), requests + 1
        failed = answer.get("total_records", len(page) if len(page) < most else None)
        if len(several) > 1 and (failed is None or failed > len(page)):
            half = len(several) // 2
            remaining += [several[half:], several[:half]]
            continue
        for window in several:
            texts = [text for start, text in page if window.contains(start)]
            errors[window] = _counted(window, texts, len(texts) if several[1:] else failed, limit)
    return ErrorMessages(errors, requests)


def _columns() -> list[EventField]:
    from vectorshift.analytics import EventField

    return [EventField.EVENT_START_TIME, EventField.ERROR_MESSAGE]


def _read(answer: DataTableResult, span: Window) -> list[tuple[datetime, str]]:
    """Start and message of the failed events on a page."""
    at, message = (column.label for column in _columns())
    messages = []
    for row in answer["rows"]:
        start = _instant(row["values"].get(at))
        if start is None or not span.contains(start):
            raise EventShapeError(
                f"The service sent a failed event that starts at {row['values'].get(at)!r}, "
                f"outside of {span.label}. Nothing was taken."
            )
        messages.append((start, str(row["values"].get(message) or NO_MESSAGE)))
    return messages


def _counted(window: Window, texts: Sequence[str], failed: int | None, limit: int) -> TopErrors:
    if failed and not texts:
        raise ExtractIncomplete(
            f"The service counts {failed} failed events in {window.label} and hands out none of "
            "them. Nothing was taken; try again."
        )
    common = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))[:limit]
    return TopErrors(tuple(common), len(texts), failed)


def _instant(text: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
