"""What a query and a grouped query share: a spec, the client that runs it, and the terminals without aggregation.

Terminals block; their `a*` twins are coroutines (asyncio). Source: reference page "Count, events, and traces", "Data tables and
export", "raw_aggregate".
"""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar

from vectorshift.analytics import _flows as flows, _spec as specs
from vectorshift.analytics._calls import Flow
from vectorshift.analytics._enums import (
    ExportFormat,
    GroupBy,
    Interval,
)
from vectorshift.analytics._fields import EventField
from vectorshift.analytics._operations import AggregationOperation
from vectorshift.analytics._results import (
    AggregationResult,
    DataTableResult,
    DataTableRow,
    Event,
    EventCount,
    EventPage,
    ExportTask,
    Trace,
)
from vectorshift.errors import ConfigurationError

if TYPE_CHECKING:
    from vectorshift._client import Client

T = TypeVar("T")
Progress = Callable[[int, int | None], None]
Slices = GroupBy | str | list[GroupBy | str] | list[GroupBy] | list[str]


class _Detached:
    """Stands for the client of a query that was pickled: its key stayed behind."""


@dataclass(frozen=True, slots=True, repr=False)
class Runnable:
    """A spec with the client that runs it (None: the default client)."""

    _spec: specs.Spec
    _client: Any = field(default=None)

    def __repr__(self) -> str:
        parts = [
            f"{name}={value!r}"
            for name, value in specs.to_dict(self._spec).items()
            if name != "version"
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

    def _bound(self) -> "Client":
        if self._client is None:
            from vectorshift._client import default_client

            return default_client()
        if self._client is _Detached:
            raise ConfigurationError(
                "this query was pickled without its client, because keys never are: give it one with query.using(client)."
            )
        client: Client = self._client
        return client

    def _run(self, flow: Flow[T]) -> T:
        return self._bound()._run(flow)

    async def _arun(self, flow: Flow[T]) -> T:
        return await self._bound()._arun(flow)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._spec, None if self._client is None else _Detached)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # immutable, and its client stays with it

    # --- terminals without aggregation ---

    def count(self) -> EventCount:
        """The number of matching events, `{"count": n}`."""
        return self._run(flows.count(self._spec))

    async def acount(self) -> EventCount:
        """`count`, awaiting."""
        return await self._arun(flows.count(self._spec))

    def events(self, limit: int | None = None, offset: int | None = None) -> EventPage:
        """One page of events. `limit` and `offset` default to the query's; `iter_events` walks all pages."""
        return self._run(flows.events(self._spec, limit, offset))

    async def aevents(self, limit: int | None = None, offset: int | None = None) -> EventPage:
        """`events`, awaiting."""
        return await self._arun(flows.events(self._spec, limit, offset))

    def traces(self, limit: int | None = None, offset: int | None = None) -> list[Trace]:
        """One page of events grouped by trace; a trace that crosses the page's edge is partial."""
        return self._run(flows.traces(self._spec, limit, offset))

    async def atraces(self, limit: int | None = None, offset: int | None = None) -> list[Trace]:
        """`traces`, awaiting."""
        return await self._arun(flows.traces(self._spec, limit, offset))

    def table(
        self,
        columns: list[EventField | str] | list[EventField] | list[str],
        include_interface_data: bool = False,
        return_record_count: bool = False,
        limit: int | None = None,
        offset: int | None = None,
    ) -> DataTableResult:
        """One page of the given columns as a flat table; `iter_rows` walks all pages."""
        return self._run(
            flows.table(
                self._spec, columns, include_interface_data, return_record_count, limit, offset
            )
        )

    async def atable(
        self,
        columns: list[EventField | str] | list[EventField] | list[str],
        include_interface_data: bool = False,
        return_record_count: bool = False,
        limit: int | None = None,
        offset: int | None = None,
    ) -> DataTableResult:
        """`table`, awaiting."""
        return await self._arun(
            flows.table(
                self._spec, columns, include_interface_data, return_record_count, limit, offset
            )
        )

    def export(self, format: ExportFormat | str, file_name: str) -> ExportTask:
        """Start a server-side export of every matching event; it may be ready at once, or pending with a `task_id`."""
        return self._run(flows.export(self._spec, format, file_name))

    async def aexport(self, format: ExportFormat | str, file_name: str) -> ExportTask:
        """`export`, awaiting."""
        return await self._arun(flows.export(self._spec, format, file_name))

    def export_and_wait(
        self,
        format: ExportFormat | str,
        file_name: str,
        timeout: float = 120,
        poll_interval: float = 1.0,
    ) -> ExportTask:
        """Start an export and wait until it is ready; times in seconds.

        Raises `AnalyticsExportFailed`, `AnalyticsExportTimeout`, or `AnalyticsNotFound` when the service does not know
        the task or has no route to ask. A creation that is answered with a URL is never polled.
        """
        return self._run(
            flows.export_and_wait(self._spec, format, file_name, timeout, poll_interval)
        )

    async def aexport_and_wait(
        self,
        format: ExportFormat | str,
        file_name: str,
        timeout: float = 120,
        poll_interval: float = 1.0,
    ) -> ExportTask:
        """`export_and_wait`, awaiting."""
        return await self._arun(
            flows.export_and_wait(self._spec, format, file_name, timeout, poll_interval)
        )

    # --- walks over all pages ---

    def iter_events(
        self, page_size: int = 500, progress: Progress | None = None
    ) -> Iterator[Event]:
        """Every matching event, newest pages first as the service orders them, each once; see `_paging.py`.

        `progress(rows so far, rows in all or None)` is called after each page. Ends complete, or raises
        `AnalyticsIncomplete`. Events that start after the walk began are not part of it.
        """
        from vectorshift.analytics import _paging as paging

        return paging.walk(paging.EventWalk(self._spec, page_size, progress), self._run)

    def aiter_events(
        self, page_size: int = 500, progress: Progress | None = None
    ) -> AsyncIterator[Event]:
        """`iter_events`, awaiting: `async for event in query.aiter_events()`."""
        from vectorshift.analytics import _paging as paging

        return paging.awalk(paging.EventWalk(self._spec, page_size, progress), self._arun)

    def iter_rows(
        self,
        columns: list[EventField | str] | list[EventField] | list[str],
        include_interface_data: bool = False,
        page_size: int = 500,
        progress: Progress | None = None,
    ) -> Iterator[DataTableRow]:
        """Every row of a table, each event once; like `iter_events`."""
        from vectorshift.analytics import _paging as paging

        return paging.walk(
            paging.RowWalk(self._spec, columns, include_interface_data, page_size, progress),
            self._run,
        )

    def aiter_rows(
        self,
        columns: list[EventField | str] | list[EventField] | list[str],
        include_interface_data: bool = False,
        page_size: int = 500,
        progress: Progress | None = None,
    ) -> AsyncIterator[DataTableRow]:
        """`iter_rows`, awaiting."""
        from vectorshift.analytics import _paging as paging

        return paging.awalk(
            paging.RowWalk(self._spec, columns, include_interface_data, page_size, progress),
            self._arun,
        )

    # --- raw aggregation ---

    def raw_aggregate(
        self,
        operations: list[AggregationOperation] | list[str],
        group_by: Slices | None = None,
        interval: Interval | str | None = None,
    ) -> AggregationResult:
        """Several operations in one request, optionally grouped: one bucket per operation, nested per dimension."""
        return self._run(flows.raw_aggregate(self._spec, operations, group_by, interval))

    async def araw_aggregate(
        self,
        operations: list[AggregationOperation] | list[str],
        group_by: Slices | None = None,
        interval: Interval | str | None = None,
    ) -> AggregationResult:
        """`raw_aggregate`, awaiting."""
        return await self._arun(flows.raw_aggregate(self._spec, operations, group_by, interval))

    # --- the query as data ---

    def to_dict(self) -> dict[str, Any]:
        """The query as JSON values, without its client; `Query.from_dict` reads it back to an equal query."""
        return specs.to_dict(self._spec)
