"""`Client`: explicit settings and the same verbs as `Analytics`. Many accounts live in one process as many clients.

The default client, behind `Analytics`, reads its settings at each call: `vectorshift.api_key`, then
`VECTORSHIFT_API_KEY`; `vectorshift.base_url`, then `VECTORSHIFT_BASE_URL`. Source: CONTRACT.md A1, D4; DESIGN.md 4, 11.
"""

import os
import threading
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from vectorshift import _settings as settings
from vectorshift._pace import Pace
from vectorshift._retry import Quota, Retry
from vectorshift.analytics import _flows as flows, _validation as check
from vectorshift.analytics._calls import Flow, Persistence, with_retries
from vectorshift.analytics._enums import EventKind
from vectorshift.analytics._query import AsyncQuery, Query
from vectorshift.analytics._results import Event, ExportTask, RunData, Trace
from vectorshift.analytics._runnable import Progress
from vectorshift.analytics._spec import scoped
from vectorshift.errors import ConfigurationError, MissingApiKeyError

if TYPE_CHECKING:
    import ssl

    from vectorshift._transport import Address, Transport
    from vectorshift.downloads import Download

T = TypeVar("T")
_lock = threading.Lock()


class Client:
    """One account's connection to the API.

    Args:
        api_key: the key; None reads `vectorshift.api_key` or `VECTORSHIFT_API_KEY` at each call.
        base_url: the API's address with its `/v1`; None reads `vectorshift.base_url` or `VECTORSHIFT_BASE_URL`.
        timeout: seconds to wait for the next bytes of an answer.
        connect_timeout: seconds to connect.
        total_timeout: seconds for one call with all its retries.
        retry: how often and how patiently a failed call is tried again.
        max_connections: how many requests may be under way at once.
        verify: the path of a CA bundle (PEM), or an `ssl.SSLContext`, to trust in place of the usual authorities; for
            downloads as well. Verification cannot be switched off.
        rate_limit: the most requests per second, retries included, of all threads and tasks that share this client;
            requests wait for their turn in order, evenly spaced, within their total time. None is no limit.

    Safe to share between threads; after a fork each process connects anew. `with Client(...)` or `close()` ends its
    connections; awaiting connections end with `aclose()` or with their event loop. The key is in no repr, and a client
    does not pickle. Raises `ConfigurationError` for a setting that cannot be used.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        total_timeout: float = 300.0,
        retry: Retry | None = None,
        max_connections: int = 16,
        verify: "bool | str | os.PathLike[str] | ssl.SSLContext" = True,
        rate_limit: float | None = None,
    ) -> None:
        if not isinstance(retry, Retry | None):
            raise ConfigurationError(f"retry must be a Retry or None, not {retry!r}.")
        self._api_key = None if api_key is None else settings.key(api_key)
        self._base_url = None if base_url is None else settings.url(base_url)
        self._timeout = settings.seconds(timeout, "timeout")
        self._connect_timeout = settings.seconds(connect_timeout, "connect_timeout")
        self._total_timeout = settings.seconds(total_timeout, "total_timeout")
        self._retry = retry or Retry()
        self._quota = Quota()
        self._pace = Pace(settings.rate(rate_limit))
        self._max_connections = settings.connections(max_connections)
        self._trust = settings.trust(verify)
        self._held: Transport | None = None

    def __repr__(self) -> str:
        return f"Client(base_url={self._base_url or 'from the environment'!r}, api_key='***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Client holds a key and open connections and does not pickle: build one where it is used."
        )

    # --- running flows ---

    def _address(self) -> "Address":
        import vectorshift
        from vectorshift._transport import Address

        key = self._api_key or vectorshift.api_key or os.environ.get("VECTORSHIFT_API_KEY")
        if not key:
            raise MissingApiKeyError("no API key is set")
        url = (
            self._base_url
            or vectorshift.base_url
            or os.environ.get("VECTORSHIFT_BASE_URL")
            or settings.DEFAULT_BASE_URL
        )
        return Address(
            settings.url(url, "vectorshift.base_url and VECTORSHIFT_BASE_URL"), settings.key(key)
        )

    def _transport(self) -> "Transport":
        from vectorshift._transport import Limits, Transport

        with _lock:
            if self._held is None:
                _refuse_official_package()
                limits = Limits(
                    self._connect_timeout, self._timeout, self._max_connections, self._trust
                )
                self._held = Transport(self._address, limits)
            return self._held

    def _patient(self, flow: Flow[T]) -> Flow[T]:
        policy = Persistence(self._retry, self._quota, self._pace, self._total_timeout)
        return with_retries(flow, policy)

    def _run(self, flow: Flow[T]) -> T:
        from vectorshift._drivers import run

        return run(self._patient(flow), self._transport())

    def _arun(self, flow: Flow[T]) -> Awaitable[T]:
        from vectorshift._drivers import arun

        return arun(self._patient(flow), self._transport())

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

        `timeout` caps the seconds of this look with its retries, below the client's own total.
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
    ) -> "Download":
        """Stream a ready export (or its task id) to `path` and return its size and SHA-256.

        The bytes go to a temporary file beside `path`, are verified (length, checksums that the service sends, the end of
        the format) and only then renamed; an expired URL is renewed, a broken transfer resumed where the service allows
        it. `progress(bytes so far, bytes in all or None)` is called per chunk. `timeout` is seconds in all.
        Raises `AnalyticsDownloadFailed`, `AnalyticsNotFound`, or OSError when the disk is full; no file is left then.
        """
        return self._run(self._download(task, path, progress, timeout, max_bytes))

    async def adownload_export(
        self,
        task: ExportTask | str,
        path: "str | os.PathLike[str]",
        *,
        progress: Progress | None = None,
        timeout: float = 3600.0,
        max_bytes: int = 5 * 1024**3,
    ) -> "Download":
        """`download_export`, awaiting."""
        return await self._arun(self._download(task, path, progress, timeout, max_bytes))

    def _download(
        self, task: Any, path: Any, progress: Any, timeout: float, max_bytes: int
    ) -> "Flow[Download]":
        from vectorshift.downloads import Rules, download

        rules = Rules(
            check.seconds(timeout, "timeout", positive=True),
            check.size(max_bytes, "max_bytes"),
            self._address().base_url,
            self._retry,
        )
        return download(task, path, rules, progress)

    # --- end ---

    def close(self) -> None:
        """Close the blocking connections; the client connects again when it is used again."""
        if self._held is not None:
            self._held.close()

    def prepare(self) -> None:
        """Load what the first call needs: the HTTP library and the certificate authorities.

        It takes some tenths of a second, once in a process. Where an event loop must not be held up
        that long, call it in a thread before the first call. Nothing is sent.
        """
        from vectorshift import _drivers, downloads  # noqa: F401  # loaded for the calls to come

        self._transport().prepare()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the blocking ones."""
        if self._held is not None:
            await self._held.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


_default: Client | None = None


def default_client() -> Client:
    """The client behind `Analytics`: every setting is read from the module and the environment at each call."""
    global _default
    with _lock:
        if _default is None:
            import atexit

            _default = Client()
            atexit.register(_default.close)
        return _default


def _refuse_official_package() -> None:
    """Two distributions that own one import package overwrite each other's files (DESIGN.md 11)."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = distribution("vectorshift")
    except PackageNotFoundError:
        return
    raise ConfigurationError(
        f"the official 'vectorshift' {found.version} is installed beside 'vectorshift-orchestration' and both own the "
        "import package 'vectorshift': keep them in separate environments (uninstall one, then reinstall the other)."
    )
