"""Why runs fail: the error messages that come up most in a window."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift.analytics import DataTableResult, Query

NO_MESSAGE = "(no message)"
_LIMIT, _MOST = 5, 1_000


@dataclass(frozen=True, slots=True)
class TopErrors:
    """The commonest messages of a window's failed events, with how often each was seen.

    `examined` failed events were looked at, out of `failed` in the window; when there are more than
    were looked at, the counts are those of a sample: the first that the service hands out.
    """

    messages: tuple[tuple[str, int], ...]
    examined: int
    failed: int

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        messages = [{"message": text, "count": count} for text, count in self.messages]
        return {"messages": messages, "examined": self.examined, "failed": self.failed}


def top_errors(
    query: Query, window: Window, *, limit: int = _LIMIT, most: int = _MOST
) -> TopErrors:
    """The `limit` commonest error messages of the window, from at most `most` failed events.

    One request for one page of one column, because no aggregation groups by message (CONTRACT.md
    A7, GroupBy). A step of a run fails with a message of its own: scope the query by kinds, such as
    `pipeline.run`, to count runs. Messages are the users' own text. Raises the SDK's errors.
    """
    from vectorshift.analytics import EventField, Query

    page = Query.table(_failed(query, window), [EventField.ERROR_MESSAGE], False, True, most, 0)
    return _top(page, limit)


async def atop_errors(
    query: Query, window: Window, *, limit: int = _LIMIT, most: int = _MOST
) -> TopErrors:
    """`top_errors`, awaiting."""
    from vectorshift.analytics import EventField

    bound = _failed(query, window)
    return _top(await bound.atable([EventField.ERROR_MESSAGE], False, True, most, 0), limit)


def _failed(query: Query, window: Window) -> Query:
    return window.bound(query).where(status="failure")


def _top(page: DataTableResult, limit: int) -> TopErrors:
    texts = [row["values"].get("error_message") or NO_MESSAGE for row in page["rows"]]
    counted = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))
    failed = page.get("total_records", len(texts))
    return TopErrors(tuple(counted[:limit]), len(texts), failed)
