"""One account and how to talk to it, as a value: what any orchestrator reads its own settings into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vectorshift.errors import ConfigurationError

if TYPE_CHECKING:
    from vectorshift import Client


@dataclass(frozen=True, kw_only=True)
class Account:
    """The settings of a client; None is the SDK's own default. Equal accounts may share a client.

    `timeout` is the seconds to wait for the next bytes, `retries` the tries after the first,
    `verify` the path of a CA bundle, `rate_limit` the most requests per second,
    `time_precision` how finely the service compares times.
    """

    api_key: str = field(repr=False)
    base_url: str | None = None
    timeout: float | None = None
    retries: int | None = None
    verify: str | None = None
    rate_limit: float | None = None
    time_precision: str | None = None

    def client(self, **more: Any) -> Client:
        """A new client, with `more` settings of the SDK's.

        Raises `ConfigurationError` for a setting that it cannot use.
        """
        from vectorshift import Client, Retry

        if self.retries is not None and self.retries < 0:
            raise ConfigurationError(
                f"retries is a number of tries after the first, 0 or more, not {self.retries}."
            )
        settings: dict[str, Any] = {
            "timeout": self.timeout,
            "retry": None if self.retries is None else Retry(attempts=1 + self.retries),
            "verify": self.verify,
            "rate_limit": self.rate_limit,
            "time_precision": self.time_precision,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        return Client(self.api_key, self.base_url, **given, **more)

    def prepare(self) -> None:
        """Load what a client's first call needs, which takes a while: not for an event loop."""
        with self.client() as client:
            client.prepare()
