"""`Analytics`: the reference page's class-method face over the default client. Never instantiated.

It loads what it needs when it is first called, so that importing it costs next to nothing.
Source: reference page "Entry point", "Single-object lookups".
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this
if TYPE_CHECKING:
    import os
    from typing import Any

    from vectorshift._account import Account
    from vectorshift.analytics._downloads import Download
    from vectorshift.analytics._enums import EventKind
    from vectorshift.analytics._query import AsyncQuery, Query
    from vectorshift.analytics._results import Event, ExportTask, RunData, Trace
    from vectorshift.analytics._terminals import Progress


def _account() -> Account:
    from vectorshift._account import default_account

    return default_account()


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
        from vectorshift.analytics._query import Query, scoped

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
        from vectorshift.analytics._query import AsyncQuery, scoped

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
        from vectorshift.analytics import _flows as flows

        return _account()._run(flows.trace(trace_id, event_ids, kinds))

    @classmethod
    async def atrace(
        cls, trace_id: str, event_ids: list[str] | None = None, kinds: list[EventKind] | None = None
    ) -> Trace:
        """`trace`, awaiting."""
        from vectorshift.analytics import _flows as flows

        return await _account()._arun(flows.trace(trace_id, event_ids, kinds))

    @classmethod
    def event(cls, event_id: str, trace_id: str | None = None) -> Event:
        """One event by its id, optionally within a trace. Raises `AnalyticsNotFound`."""
        from vectorshift.analytics import _flows as flows

        return _account()._run(flows.event(event_id, trace_id))

    @classmethod
    async def aevent(cls, event_id: str, trace_id: str | None = None) -> Event:
        """`event`, awaiting."""
        from vectorshift.analytics import _flows as flows

        return await _account()._arun(flows.event(event_id, trace_id))

    @classmethod
    def run(
        cls,
        object: Any | None = None,
        object_type: str | None = None,
        object_id: str | None = None,
        run_id: str | None = None,
    ) -> RunData:
        """Interface detail of one run: a conversation, a submission, a transcript. Raises `AnalyticsNotFound`."""
        from vectorshift.analytics import _flows as flows

        return _account()._run(flows.run(object, object_type, object_id, run_id))

    @classmethod
    async def arun(
        cls,
        object: Any | None = None,
        object_type: str | None = None,
        object_id: str | None = None,
        run_id: str | None = None,
    ) -> RunData:
        """`run`, awaiting."""
        from vectorshift.analytics import _flows as flows

        return await _account()._arun(flows.run(object, object_type, object_id, run_id))

    @classmethod
    def export_task(cls, task_id: str, *, timeout: float | None = None) -> ExportTask:
        """The state of an export. A failed one is returned, not raised; an unknown one raises `AnalyticsNotFound`."""
        from vectorshift.analytics import _flows as flows

        return _account()._run(flows.export_task(task_id, timeout))

    @classmethod
    async def aexport_task(cls, task_id: str, *, timeout: float | None = None) -> ExportTask:
        """`export_task`, awaiting."""
        from vectorshift.analytics import _flows as flows

        return await _account()._arun(flows.export_task(task_id, timeout))

    @classmethod
    def download_export(
        cls,
        task: ExportTask | str,
        path: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
        timeout: float = 3600.0,
        max_bytes: int = 5 * 1024**3,
        check_content: bool = True,
    ) -> Download:
        """Stream a ready export to `path`; see `Client.download_export`."""
        from vectorshift.analytics import _downloads as downloads

        account = _account()
        return account._run(
            downloads.download(account, task, path, progress, timeout, max_bytes, check_content)
        )

    @classmethod
    async def adownload_export(
        cls,
        task: ExportTask | str,
        path: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
        timeout: float = 3600.0,
        max_bytes: int = 5 * 1024**3,
        check_content: bool = True,
    ) -> Download:
        """`download_export`, awaiting."""
        from vectorshift.analytics import _downloads as downloads

        account = _account()
        return await account._arun(
            downloads.download(account, task, path, progress, timeout, max_bytes, check_content)
        )
