"""`Client`: explicit settings and the same verbs as `Analytics`. Many accounts live in one process as many clients."""

import os
from typing import TYPE_CHECKING, Any

from vectorshift._account import Account
from vectorshift.analytics import _flows as flows
from vectorshift.analytics._enums import EventKind
from vectorshift.analytics._query import AsyncQuery, Query
from vectorshift.analytics._results import Event, ExportTask, RunData, Trace
from vectorshift.analytics._spec import scoped
from vectorshift.analytics._terminals import Progress

if TYPE_CHECKING:
    from vectorshift.analytics._downloads import Download


class Client(Account):
    """One account's connection to the API.

    Args:
        api_key: the key; None reads `vectorshift.api_key` or `VECTORSHIFT_API_KEY` at each call.
        base_url: the API's address with its `/v1`; None reads `vectorshift.base_url` or `VECTORSHIFT_BASE_URL`.
        timeout: seconds to wait for the next bytes of an answer.
        connect_timeout: seconds to connect.
        total_timeout: seconds for one call with all its retries.
        retry: how often and how patiently a failed call is tried again.
        max_connections: how many requests may run at once.
        verify: the path of a CA bundle (PEM), or an `ssl.SSLContext`, to trust in place of the usual authorities; for
            downloads as well. Verification cannot be switched off.
        rate_limit: the most requests per second, retries included, of all threads and tasks that share this client;
            requests wait for their turn in order, evenly spaced, within their total time. None means no limit.
        proxied_downloads: whether an export's file is fetched through the proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and
            NO_PROXY name for its URL, as calls are. Such a proxy decides where it connects to. False connects directly, to
            addresses that were judged.
        time_precision: how finely the service compares times, "us", "ms" or "s"; None finds it out where it matters,
            once. See `Query.time_precision`.

    Safe to share between threads; after a fork each process reconnects. `with Client(...)` or `close()` ends its
    connections; awaiting connections end with `aclose()` or with their event loop. The key is in no repr, and a client
    does not pickle. Raises `ConfigurationError` for a setting that cannot be used.
    """

    # --- the verbs of Analytics ---

    def query(
        self,
        *,
        object: Any | list[Any] | None = None,
        object_type: str | None = None,
        object_ids: list[str] | None = None,
        kinds: list[EventKind] | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> Query:
        """`Analytics.query`, run by this client."""
        spec = scoped(
            object=object,
            object_type=object_type,
            object_ids=object_ids,
            kinds=kinds,
            limit=limit,
            offset=offset,
        )
        return Query(spec, self)

    def aquery(
        self,
        *,
        object: Any | list[Any] | None = None,
        object_type: str | None = None,
        object_ids: list[str] | None = None,
        kinds: list[EventKind] | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> AsyncQuery:
        """`Analytics.aquery`, run by this client."""
        spec = scoped(
            object=object,
            object_type=object_type,
            object_ids=object_ids,
            kinds=kinds,
            limit=limit,
            offset=offset,
        )
        return AsyncQuery(spec, self)

    def trace(
        self,
        trace_id: str,
        event_ids: list[str] | None = None,
        kinds: list[EventKind] | None = None,
    ) -> Trace:
        """The full event tree of one trace, optionally narrowed. Raises `AnalyticsNotFound`."""
        return self._run(flows.trace(trace_id, event_ids, kinds))

    async def atrace(
        self,
        trace_id: str,
        event_ids: list[str] | None = None,
        kinds: list[EventKind] | None = None,
    ) -> Trace:
        """`trace`, awaiting."""
        return await self._arun(flows.trace(trace_id, event_ids, kinds))

    def event(self, event_id: str, trace_id: str | None = None) -> Event:
        """One event by its id. Raises `AnalyticsNotFound`."""
        return self._run(flows.event(event_id, trace_id))

    async def aevent(self, event_id: str, trace_id: str | None = None) -> Event:
        """`event`, awaiting."""
        return await self._arun(flows.event(event_id, trace_id))

    def run(
        self,
        object: Any | None = None,
        object_type: str | None = None,
        object_id: str | None = None,
        run_id: str | None = None,
    ) -> RunData:
        """Interface detail of one run. Raises `AnalyticsNotFound`."""
        return self._run(flows.run(object, object_type, object_id, run_id))

    async def arun(
        self,
        object: Any | None = None,
        object_type: str | None = None,
        object_id: str | None = None,
        run_id: str | None = None,
    ) -> RunData:
        """`run`, awaiting."""
        return await self._arun(flows.run(object, object_type, object_id, run_id))

    # --- exports ---

    def export_task(self, task_id: str, *, timeout: float | None = None) -> ExportTask:
        """The state of an export; a failed one is returned, an unknown one raises `AnalyticsNotFound`.

        `timeout` caps the seconds of this call with its retries, below the client's own total.
        """
        return self._run(flows.export_task(task_id, timeout))

    async def aexport_task(self, task_id: str, *, timeout: float | None = None) -> ExportTask:
        """`export_task`, awaiting."""
        return await self._arun(flows.export_task(task_id, timeout))

    def download_export(
        self,
        task: ExportTask | str,
        path: "str | os.PathLike[str]",
        *,
        progress: Progress | None = None,
        timeout: float = 3600.0,
        max_bytes: int = 5 * 1024**3,
        check_content: bool = True,
    ) -> "Download":
        """Stream a ready export (or its task id) to `path` and return its size and SHA-256.

        The bytes go to a temporary file beside `path`, are verified (length, checksums that the service sends, the end of
        the format) and only then renamed; an expired URL is renewed, a broken transfer resumed where the service allows
        it. `progress(bytes so far, bytes in all or None)` is called per chunk. `timeout` is seconds in all.
        With `check_content=False` the end of the format is left to a caller who reads all of the file strictly and compares
        it with a count: JSON lines without rows, for one, are a file of no bytes, which else counts as lost.
        Raises `AnalyticsDownloadFailed`, `AnalyticsExportFailed`, `AnalyticsNotFound`, or OSError when the disk is full; no
        file is left then.
        """
        from vectorshift.analytics import _downloads as downloads

        return self._run(
            downloads.download(self, task, path, progress, timeout, max_bytes, check_content)
        )

    async def adownload_export(
        self,
        task: ExportTask | str,
        path: "str | os.PathLike[str]",
        *,
        progress: Progress | None = None,
        timeout: float = 3600.0,
        max_bytes: int = 5 * 1024**3,
        check_content: bool = True,
    ) -> "Download":
        """`download_export`, awaiting."""
        from vectorshift.analytics import _downloads as downloads

        return await self._arun(
            downloads.download(self, task, path, progress, timeout, max_bytes, check_content)
        )

    def prepare(self) -> None:
        """Load what the first call needs: the HTTP library and the certificate authorities.

        It takes some tenths of a second, once in a process. Where an event loop must not be held up
        that long, call it in a thread before the first call. Nothing is sent.
        """
        from vectorshift.analytics import _downloads  # noqa: F401  # loaded for the calls to come

        super().prepare()
