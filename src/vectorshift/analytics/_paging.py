"""Walks over all pages, complete or ending in an error, with the next page under way while the caller works.

Offset paging over live data can repeat and skip rows (CONTRACT.md G3). So the first page fixes the end: later pages ask
for nothing that started after the walk began (nor after the newest event seen on that page); rows are de-duplicated by
span id; and what was seen is compared with the number of rows that the service announced.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from vectorshift._calls import Flow
from vectorshift.analytics import _flows as flows, _requests as requests, _validation as check
from vectorshift.analytics._filters import EventField, FieldFilter
from vectorshift.analytics._results import DataTableResult, DataTableRow, Event, EventPage
from vectorshift.analytics._spec import Spec
from vectorshift.errors import AnalyticsIncomplete, AnalyticsInvalidQuery

R = TypeVar("R")
P = TypeVar("P")
Progress = Callable[[int, int | None], None]
_TIME = EventField.EVENT_START_TIME


class Runner(Protocol):
    """Runs a flow, blocking."""

    def __call__(self, flow: Flow[Any]) -> Any: ...


class Walk(Generic[P, R]):
    """Where a walk stands. Pure: it says which flow brings the next page, and takes that page."""

    what = "walk"

    def __init__(self, spec: Spec, page_size: int, progress: Progress | None) -> None:
        self.size = check.limit(page_size)
        self.position = spec.offset
        self.finished = False
        self._spec = spec
        self._began = datetime.now(UTC)
        self._pinned = False
        self._seen: set[str] = set()
        self._rows = 0
        self._announced: int | None = None
        self._progress = progress

    def next_page(self) -> Flow[P]:
        """The flow that brings the page at `position`."""
        raise NotImplementedError

    def _fresh(self, span_id: Any) -> bool:
        if span_id is None:
            return True
        if span_id in self._seen:
            return False
        self._seen.add(span_id)
        return True

    def _pin(self, newest: list[datetime]) -> None:
        if not self._pinned:
            end = max([self._began, *newest])
            bound = FieldFilter.lte(_TIME, end)
            self._spec = replace(self._spec, terms=(*self._spec.terms, bound))
            self._pinned = True

    def _advance(self, received: int, fresh: int, total: int | None) -> None:
        if self._announced is None and total is not None:
            self._announced = max(0, total - self._spec.offset)
        self._rows += fresh
        self.position += received
        self.finished = received == 0 or (total is not None and self.position >= total)
        if self._progress is not None:
            self._progress(self._rows, self._announced)
        if self.finished and self._announced is not None and self._rows < self._announced:
            raise AnalyticsIncomplete(self.what, seen=self._rows, expected=self._announced)


class EventWalk(Walk[EventPage, Event]):
    """A walk over `events`; a service that caps the page size is followed at its own pace."""

    what = "iter_events"

    def next_page(self) -> Flow[EventPage]:
        """One page of events."""
        return flows.events(self._spec, self.size, self.position)

    def take(self, page: EventPage) -> list[Event]:
        """Return the rows of the page that are new."""
        raw = page["events"]
        fresh = [each for each in raw if self._fresh(each.get("span_id"))]
        self._pin(
            [moment(each.get("span_start_time")) for each in raw if each.get("span_start_time")]
        )
        self._advance(len(raw), len(fresh), page.get("pagination_meta", {}).get("total_records"))
        return fresh


class RowWalk(Walk[DataTableResult, DataTableRow]):
    """A walk over `table`; the span id and the start time ride along and are taken out again unless asked for."""

    what = "iter_rows"

    def __init__(
        self, spec: Spec, columns: Any, interface: bool, page_size: int, progress: Progress | None
    ) -> None:
        super().__init__(spec, page_size, progress)
        if isinstance(columns, str) or not isinstance(columns, (list, tuple)) or not columns:
            raise AnalyticsInvalidQuery("iter_rows() needs a list of at least one column.")
        chosen = {requests.column(each)["column_label"]: each for each in columns}
        types = {requests.column(each)["column_type"]: label for label, each in chosen.items()}
        self._id = types.get(EventField.EVENT_ID.value, EventField.EVENT_ID.label)
        self._time = types.get(_TIME.value, _TIME.label)
        helpers = {self._id: EventField.EVENT_ID, self._time: _TIME}
        self._extra = tuple(label for label in helpers if label not in chosen)
        self._columns = [*chosen.values(), *(helpers[label] for label in self._extra)]
        self._interface = interface

    def next_page(self) -> Flow[DataTableResult]:
        """One page of the table."""
        return flows.table(
            self._spec, self._columns, self._interface, True, self.size, self.position
        )

    def take(self, page: DataTableResult) -> list[DataTableRow]:
        """Return the rows of the page that are new."""
        raw = page["rows"]
        fresh = [each for each in raw if self._fresh(each["values"].get(self._id))]
        self._pin(
            [
                moment(each["values"].get(self._time))
                for each in raw
                if each["values"].get(self._time)
            ]
        )
        for each in fresh:
            for label in self._extra:
                each["values"].pop(label, None)
        total = page.get("total_records")
        short = total is not None and len(raw) < min(self.size, total - self.position)
        self._advance(len(raw), len(fresh), total)
        if short and total is not None:
            # Tables page by number: after a short page the next one would begin elsewhere.
            raise AnalyticsIncomplete(
                f"iter_rows: the service gave fewer rows than the page size of {self.size}; use a smaller page_size",
                seen=self._rows,
                expected=total,
            )
        return fresh


def moment(text: Any) -> datetime:
    """Read an RFC3339 time."""
    return datetime.fromisoformat(str(text))


def walk(state: EventWalk | RowWalk, run: Runner) -> Iterator[Any]:
    """Yield every row, fetching one page ahead in a thread."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1, thread_name_prefix="vectorshift-page") as ahead:
        pending = ahead.submit(run, state.next_page())
        while True:
            rows = state.take(pending.result())
            if state.finished:
                yield from rows
                return
            pending = ahead.submit(run, state.next_page())
            yield from rows


async def awalk(
    state: EventWalk | RowWalk, run: Callable[[Flow[Any]], Awaitable[Any]]
) -> AsyncIterator[Any]:
    """Yield every row, fetching one page ahead in a task."""
    import asyncio

    async def fetch() -> Any:
        return await run(state.next_page())

    pending = asyncio.ensure_future(fetch())
    try:
        while True:
            rows = state.take(await pending)
            if not state.finished:
                pending = asyncio.ensure_future(fetch())
            for row in rows:
                yield row
            if state.finished:
                return
    finally:
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
