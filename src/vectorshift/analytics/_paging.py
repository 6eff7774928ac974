"""Walks over all pages, complete or ending in an error, with the next pages requested while the caller works.

Offset paging over live data can repeat and skip rows (docs/contract.md G3). So the first page fixes the end: later pages ask
for nothing that started after the walk began (nor after the newest event on that page), to the second at most; rows are
de-duplicated by span id; and what was seen is compared with how many rows there are. A total tells that if it is more
than its page can know by itself, and otherwise a count does: a service may send no total, 0, or the length of the page.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from vectorshift._calls import Call, Flow, Reply, ask
from vectorshift._capabilities import Capabilities
from vectorshift.analytics import (
    _answers as answers,
    _flows as flows,
    _requests as requests,
    _results as results,
    _validation as check,
    _values as values,
)
from vectorshift.analytics._filters import EventField, FieldFilter
from vectorshift.analytics._plan import plan
from vectorshift.analytics._results import DataTableRow, Event
from vectorshift.analytics._seen import Seen
from vectorshift.analytics._spec import Spec
from vectorshift.errors import AnalyticsIncomplete, AnalyticsInvalidQuery

R = TypeVar("R")
Progress = Callable[[int, int | None], None]
_TIME = EventField.EVENT_START_TIME
_SECOND = timedelta(seconds=1)
_LAST = datetime.max.replace(tzinfo=UTC) - _SECOND
_AHEAD = 2
"""Pages requested at once: while one is read, the next one is already on its way."""
_MOST_IDLE = 10
"""Pages in a row that may bring nothing new: rows that arrive meanwhile move others to later pages."""


class Runner(Protocol):
    """Runs a flow, blocking."""

    def __call__(self, flow: Flow[Any]) -> Any: ...


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Rows with their span ids, when the newest of them started if that is needed, and the total of the response."""

    rows: list[R]
    ids: list[str | None]
    newest: datetime | None
    total: int | None


@dataclass(frozen=True, slots=True)
class PagingOptions:
    """The options of a walk: `expected` is the number of rows, if the caller has counted them."""

    page_size: int
    progress: Progress | None
    expected: int | None
    capabilities: Capabilities


class Walk(Generic[R]):
    """The state of a walk. Pure: it says which flow comes next and takes its result.

    It takes a page; if that leaves it `unsure` how many rows exist, it takes a count; then it settles its state.
    """

    what = "walk"

    def __init__(self, spec: Spec, options: PagingOptions) -> None:
        self.size = check.limit(options.page_size)
        self.position = spec.offset
        self.finished = False
        self.unsure = False
        self._spec = spec
        self._options = options
        self._began = datetime.now(UTC)
        self._pinned = False
        self._seen = Seen()
        self._last: list[R] = []
        self._rows = 0
        self._again = 0
        self._idle = 0
        self._counted = False
        self._total = (
            None if options.expected is None else check.count(options.expected, "expected")
        )
        self._announced = None if self._total is None else max(0, self._total - spec.offset)

    def ahead(self) -> list[int]:
        """Where the next pages begin: one, and the one after it while pages are full and more rows are known to exist."""
        after = self.position + self.size
        more = self._total is not None and after < self._total and len(self._last) == self.size
        return [self.position, after] if more else [self.position]

    def page_at(self, position: int) -> Flow[Page[R]]:
        """The flow that brings the page there."""
        raise NotImplementedError

    def count(self) -> Flow[int | None]:
        """The flow that counts the rows; None for an OR that cannot be counted."""
        try:
            return (yield from flows.count(self._spec))["count"]
        except AnalyticsInvalidQuery:
            return None

    def take(self, page: Page[R]) -> list[R]:
        """Return the rows of the page that are new."""
        same = page.rows == self._last
        fresh = [
            row
            for row, span_id in zip(page.rows, page.ids, strict=True)
            if (not same if span_id is None else self._seen.add(span_id))
        ]
        self._last = page.rows
        self._idle = 0 if fresh else self._idle + 1
        self._again += len(page.rows) - len(fresh)
        self._rows += len(fresh)
        self.position += len(page.rows)
        self._learn(page)
        knows_total = self._total is not None and self._total >= self.position
        doubt = not knows_total or self._idle >= _MOST_IDLE
        self.unsure = doubt and not self._counted and bool(page.rows)
        self._pin(page.newest)
        return fresh

    def counted(self, count: int | None) -> None:
        """Take the number of rows that exist."""
        self._counted = True
        if count is not None:
            self._total = count if count >= self.position else None
            self._announced = max(0, count - self._spec.offset)

    def settle(self) -> None:
        """Say whether the walk is finished. Raises `AnalyticsIncomplete` when it is and rows are missing."""
        at_end = self._total is not None and self.position >= self._total
        self.finished = not self._last or at_end or self._idle >= _MOST_IDLE
        if self._options.progress is not None:
            self._options.progress(self._rows, self._announced)
        # Without a known total, repeated rows suggest that others are missing.
        complete = not self._again if self._announced is None else self._rows >= self._announced
        if self.finished and not complete:
            raise self._incomplete()

    def _incomplete(self, problem: str = "") -> AnalyticsIncomplete:
        return AnalyticsIncomplete(
            self.what + problem, seen=self._rows, expected=self._announced, again=self._again
        )

    def _learn(self, page: Page[R]) -> None:
        """Take a total that says more than the length of its page, or that such ones came before."""
        total = page.total or 0
        if total > max(self.position, self.size):
            self._options.capabilities.counts_beyond_page = True
        itself = page.rows and not self._options.capabilities.counts_beyond_page
        if total > self.position or (total == self.position > 0 and not itself):
            self._total = total
            if self._announced is None:
                self._announced = max(0, total - self._spec.offset)

    def _pin(self, newest: datetime | None) -> None:
        """Let the pages to come, and a count, end where this one does."""
        if self._pinned:
            return
        self._pinned = True
        end = max(self._began, newest or self._began)
        if end > _LAST:  # no time can lie beyond it
            return
        if (
            self.unsure
        ):  # a whole second, since nothing else would show that the service cuts the bound
            end = (end + _SECOND).replace(microsecond=0)
        self._spec = self._spec.narrowed((FieldFilter.lte(_TIME, end),))


class EventWalk(Walk[Event]):
    """A walk over `events`; a service that caps the page size is followed at its own pace."""

    what = "iter_events"

    def page_at(self, position: int) -> Flow[Page[Event]]:
        """One page of events."""
        call = requests.search(plan(self._spec, "search"), self.size, position)
        return ask(call, _read_page if self._pinned else _read_first_page)


def _read_page(data: Any, call: Call, reply: Reply) -> Page[Event]:
    page = answers.read_events(data, call, reply)
    rows = page["events"]
    ids = [results.stored(each, "span_id") for each in rows]
    return Page(rows, ids, None, page.get("pagination_meta", {}).get("total_records"))


def _read_first_page(data: Any, call: Call, reply: Reply) -> Page[Event]:
    """The page whose newest event pins the walk; the times of other pages do not matter."""
    page = _read_page(data, call, reply)
    starts = [results.stored(each, "span_start_time") for each in page.rows]
    return replace(page, newest=_newest(starts, "span_start_time"))


def _newest(starts: list[Any], label: str) -> datetime | None:
    return max((values.moment(each, label) for each in starts if each is not None), default=None)


class RowWalk(Walk[DataTableRow]):
    """A walk over `table`; the span id and the start time are requested too, and removed again unless the caller wants them."""

    what = "iter_rows"

    def __init__(self, spec: Spec, columns: Any, interface: bool, options: PagingOptions) -> None:
        super().__init__(spec, options)
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

    def page_at(self, position: int) -> Flow[Page[DataTableRow]]:
        """One page of the table."""
        page = yield from flows.table(
            self._spec, self._columns, self._interface, True, self.size, position
        )
        cells = [each["values"] for each in page["rows"]]
        starts = [] if self._pinned else [each.get(self._time) for each in cells]
        return Page(
            page["rows"],
            [each.get(self._id) for each in cells],
            _newest(starts, self._time),
            page.get("total_records"),
        )

    def take(self, page: Page[DataTableRow]) -> list[DataTableRow]:
        """Return the rows of the page that are new, without columns that were not requested."""
        return [
            {**row, "values": {k: v for k, v in row["values"].items() if k not in self._extra}}
            for row in super().take(page)
        ]

    def settle(self) -> None:
        """Tables page by number: after a page that is shorter than requested the next one would begin elsewhere."""
        super().settle()
        if not self.finished and len(self._last) < self.size:
            raise self._incomplete(
                f": the service gave fewer rows than the page size of {self.size}; use a smaller page_size"
            )


def walk(state: Walk[R], run: Runner) -> Iterator[R]:
    """Yield every row, fetching ahead in threads."""
    from concurrent.futures import Future, ThreadPoolExecutor

    rows: list[R] = []
    pending: dict[int, Future[Any]] = {}
    with ThreadPoolExecutor(_AHEAD, thread_name_prefix="vectorshift-page") as threads:
        while not state.finished:
            for position in state.ahead():
                if position not in pending:
                    pending[position] = threads.submit(run, state.page_at(position))
            yield from rows
            rows = state.take(pending.pop(state.position).result())
            if state.unsure:
                state.counted(run(state.count()))
            state.settle()
    yield from rows


async def awalk(state: Walk[R], run: Callable[[Flow[Any]], Awaitable[Any]]) -> AsyncIterator[R]:
    """Yield every row, fetching ahead in tasks."""
    import asyncio

    async def fetch(position: int) -> Any:
        return await run(state.page_at(position))

    rows: list[R] = []
    pending: dict[int, asyncio.Task[Any]] = {}
    try:
        while not state.finished:
            for position in state.ahead():
                if position not in pending:
                    pending[position] = asyncio.create_task(fetch(position))
            for row in rows:
                yield row
            rows = state.take(await pending.pop(state.position))
            if state.unsure:
                state.counted(await run(state.count()))
            state.settle()
    finally:
        for task in pending.values():
            task.cancel()
        await asyncio.gather(*pending.values(), return_exceptions=True)
    for row in rows:
        yield row
