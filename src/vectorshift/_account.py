"""`Account`: one account's settings and connections, and how its flows run.

The default account, behind `Analytics`, reads its settings at each call: `vectorshift.api_key`, then
`VECTORSHIFT_API_KEY`; `vectorshift.base_url`, then `VECTORSHIFT_BASE_URL`. Source: docs/contract.md A1, D4.
"""

import os
import threading
from collections.abc import Awaitable
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar

from vectorshift import _settings as settings
from vectorshift._calls import Flow, Persistence, with_retries
from vectorshift._capabilities import Capabilities
from vectorshift._pace import Pace
from vectorshift._retry import Quota, Retry
from vectorshift.errors import ConfigurationError, MissingApiKeyError

if TYPE_CHECKING:
    import ssl

    from vectorshift._transport import Address, Transport

T = TypeVar("T")
_lock = threading.Lock()


class Account:
    """What runs flows. `Client`, which documents the settings, adds the verbs."""

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
        proxied_downloads: bool = True,
        time_precision: str | None = None,
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
        self.capabilities = Capabilities(time_precision=settings.precision(time_precision))
        self._pace = Pace(settings.rate(rate_limit))
        self._max_connections = settings.connections(max_connections)
        self._trust = settings.trust(verify)
        self._proxied_downloads = settings.switch(proxied_downloads, "proxied_downloads")
        self._open_transport: Transport | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._base_url or 'from the environment'!r}, api_key='***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} holds a key and open connections and does not pickle: build one where it is used."
        )

    # --- running flows ---

    def _address(self) -> "Address":
        from vectorshift._transport import Address

        key, url = self._api_key, self._base_url
        if key is None:
            key = settings.of_the_process("api_key")
            if not key:
                raise MissingApiKeyError("no API key is set")
            key = settings.key(key)
        if url is None:
            url = settings.url(
                settings.of_the_process("base_url") or settings.DEFAULT_BASE_URL,
                "vectorshift.base_url and VECTORSHIFT_BASE_URL",
            )
        return Address(url, key)

    def _transport(self) -> "Transport":
        if self._open_transport is not None:
            return self._open_transport
        from vectorshift._transport import Limits, Transport

        with _lock:
            if self._open_transport is None:
                _refuse_official_package()
                limits = Limits(
                    self._connect_timeout, self._timeout, self._max_connections, self._trust
                )
                self._open_transport = Transport(self._address, limits)
            return self._open_transport

    def _patient(self, flow: Flow[T]) -> Flow[T]:
        policy = Persistence(self._retry, self._quota, self._pace, self._total_timeout)
        return with_retries(flow, policy)

    def _run(self, flow: Flow[T]) -> T:
        from vectorshift._drivers import run

        return run(self._patient(flow), self._transport())

    def _arun(self, flow: Flow[T]) -> Awaitable[T]:
        from vectorshift._drivers import arun

        return arun(self._patient(flow), self._transport())

    # --- end ---

    def close(self) -> None:
        """Close the blocking connections; the client connects again when it is used again."""
        if self._open_transport is not None:
            self._open_transport.close()

    def prepare(self) -> None:
        """Load the HTTP library and the certificate authorities."""
        from vectorshift import _drivers  # noqa: F401  # loaded for the calls to come

        self._transport().prepare()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the blocking ones."""
        if self._open_transport is not None:
            await self._open_transport.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


_default: Account | None = None


def default_account() -> Account:
    """The account behind `Analytics`: every setting is read from the module and the environment at each call."""
    global _default
    with _lock:
        if _default is None:
            import atexit

            _default = Account()
            atexit.register(_default.close)
        return _default


def _refuse_official_package() -> None:
    """Two distributions that own one import package overwrite each other's files."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        official = distribution("vectorshift")
    except PackageNotFoundError:
        return
    raise ConfigurationError(
        f"the official 'vectorshift' {official.version} is installed beside 'vectorshift-orchestration' and both own the "
        "import package 'vectorshift': keep them in separate environments (uninstall one, then reinstall the other)."
    )
