"""`Analytics`: the reference page's class-method face over the default client. Never instantiated.

Source: reference page "Entry point", "Single-object lookups".
"""

import os
from typing import TYPE_CHECKING, Any

from vectorshift.analytics._enums import EventKind
from vectorshift.analytics._query import AsyncQuery, Query
from vectorshift.analytics._results import Event, ExportTask, RunData, Trace
from vectorshift.analytics._runnable import Progress
from vectorshift.analytics._spec import scoped

if TYPE_CHECKING:
    from vectorshift.downloads import Download


def _client() -> Any:
    from vectorshift._client import default_client

    return default_client()


class Analytics:
    """Queries and look-ups with the key in `vectorshift.api_key` (or `VECTORSHIFT_API_KEY`), read at call time.

    Every entry point has an async sibling prefixed with `a`. For several accounts in one process use `Client`.
    """

    def __init__(self) -> None:
        raise TypeError(
            "Analytics is never instantiated: call Analytics.query(...), or use Client(api_key=...)."
        )

    @classmethod
    def query(
        cls,
        *,
        object: Any | list[Any] | None = None,
        object_type: str | None = None,
        object_ids: list[str] | None = None,
        kinds: list[EventKind] | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> Query:
        """Build a query over one object, all objects of a type, or everything; there is no automatic time window.

        `object`: a resource instance with an id. `object_type`: all objects of a type ("pipeline", "chatbot", …).
        `object_ids`: one raw id. `kinds`: event kinds, replacing those that `object` implies. `limit`, `offset`: page
        defaults. Raises `AnalyticsInvalidQuery` for more than one id, an unknown kind or a bad page.
        """
        return Query(
            scoped(
                object=object,
                object_type=object_type,
                object_ids=object_ids,
                kinds=kinds,
                limit=limit,
                offset=offset,
            )
        )

    @classmethod
    def aquery(
        cls,
        *,
        object: Any | list[Any] | None = None,
        object_type: str | None = None,
        object_ids: list[str] | None = None,
        kinds: list[EventKind] | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> AsyncQuery:
        """`query` (not a coroutine itself), whose terminals are awaited."""
        return AsyncQuery(
            scoped(
                object=object,
                object_type=object_type,
                object_ids=object_ids,
                kinds=kinds,
                limit=limit,
                offset=offset,
            )
        )

    @classmethod
    def trace(
        cls, trace_id: str, event_ids: list[str] | None = None, kinds: list[EventKind] | None = None
    ) -> Trace:
        """The full event tree of one trace. Raises `AnalyticsNotFound`."""
        found: Trace = _client().trace(trace_id, event_ids, kinds)
        return found

    @classmethod
    async def atrace(
        cls, trace_id: str, event_ids: list[str] | None = None, kinds: list[EventKind] | None = None
    ) -> Trace:
        """`trace`, awaiting."""
        found: Trace = await _client().atrace(trace_id, event_ids, kinds)
        return found

    @classmethod
    def event(cls, event_id: str, trace_id: str | None = None) -> Event:
        """One event by its id, optionally within a trace. Raises `AnalyticsNotFound`."""
        found: Event = _client().event(event_id, trace_id)
        return found

    @classmethod
    async def aevent(cls, event_id: str, trace_id: str | None = None) -> Event:
        """`event`, awaiting."""
        found: Event = await _client().aevent(event_id, trace_id)
        return found

    @classmethod
    def run(
        cls,
        object: Any | None = None,
        object_type: str | None = None,
        object_id: str | None = None,
        run_id: str | None = None,
    ) -> RunData:
        """Interface detail of one run: a conversation, a submission, a transcript. Raises `AnalyticsNotFound`."""
        found: RunData = _client().run(object, object_type, object_id, run_id)
        return found

    @classmethod
    async def arun(
        cls,
        object: Any | None = None,
        object_type: str | None = None,
        object_id: str | None = None,
        run_id: str | None = None,
    ) -> RunData:
        """`run`, awaiting."""
        found: RunData = await _client().arun(object, object_type, object_id, run_id)
        return found

    @classmethod
    def export_task(cls, task_id: str, *, timeout: float | None = None) -> ExportTask:
        """The state of an export. A failed one is returned, not raised; an unknown one raises `AnalyticsNotFound`."""
        found: ExportTask = _client().export_task(task_id, timeout=timeout)
        return found

    @classmethod
    async def aexport_task(cls, task_id: str, *, timeout: float | None = None) -> ExportTask:
        """`export_task`, awaiting."""
        found: ExportTask = await _client().aexport_task(task_id, timeout=timeout)
        return found

    @classmethod
    def download_export(
        cls,
        task: ExportTask | str,
        path: "str | os.PathLike[str]",
        *,
        progress: Progress | None = None,
        timeout: float = 3600.0,
        max_bytes: int = 5 * 1024**3,
    ) -> "Download":
        """Stream a ready export to `path`; see `Client.download_export`."""
        done: Download = _client().download_export(
            task, path, progress=progress, timeout=timeout, max_bytes=max_bytes
        )
        return done

    @classmethod
    async def adownload_export(
        cls,
        task: ExportTask | str,
        path: "str | os.PathLike[str]",
        *,
        progress: Progress | None = None,
        timeout: float = 3600.0,
        max_bytes: int = 5 * 1024**3,
    ) -> "Download":
        """`download_export`, awaiting."""
        done: Download = await _client().adownload_export(
            task, path, progress=progress, timeout=timeout, max_bytes=max_bytes
        )
        return done
