"""One account and its client settings as a value, which each orchestrator fills from its own settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vectorshift.errors import ConfigurationError

if TYPE_CHECKING:
    from vectorshift import Client

_MOST_RETRIES = 100


@dataclass(frozen=True, kw_only=True)
class Account:
    """The settings of a client; None is the SDK's own default. Equal accounts may share a client.

    `timeout` is the seconds to wait for the next bytes, `retries` the tries after the first,
    `verify` the path of a CA bundle, `rate_limit` the most requests per second,
    `time_precision` how finely the service compares times, `proxied_downloads` whether files come
    through the proxy of the environment, too.
    """

    api_key: str = field(repr=False)
    base_url: str | None = None
    timeout: float | None = None
    retries: int | None = None
    verify: str | None = None
    rate_limit: float | None = None
    time_precision: str | None = None
    proxied_downloads: bool | None = None

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
            "proxied_downloads": self.proxied_downloads,
        }
        arguments = {name: value for name, value in settings.items() if value is not None}
        return Client(self.api_key, self.base_url, **arguments, **more)

    def prepare(self) -> None:
        """Load what a client's first call needs, which takes a while: not for an event loop."""
        with self.client() as client:
            client.prepare()


def settings_of(document: Mapping[str, Any], noun: str) -> dict[str, Any]:
    """The settings among `SETTINGS` that a form, JSON or an address states, as `Account` takes them.

    Each may be a text, and what is None or an empty text is left out. Raises `ConfigurationError`,
    which names the setting, for a value that it cannot have, and for an unknown name, where `noun` is
    what states them; what remains is the client's to refuse.
    """
    for name in document:
        if name not in SETTINGS:
            raise ConfigurationError(
                f"{noun} has no field {name!r}; the fields are {', '.join(SETTINGS)}."
            )
    return {
        name: SETTINGS[name](value) for name, value in document.items() if value not in (None, "")
    }


def _number(value: Any) -> Any:
    """The number in a text; what is not one is the client's to refuse."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _retries(value: Any) -> int:
    number = _number(value)
    if (
        isinstance(number, bool)
        or not isinstance(number, int | float)
        or not 0 <= number <= _MOST_RETRIES
        or number != int(number)
    ):
        raise ConfigurationError(
            f"retries must be a whole number from 0 to {_MOST_RETRIES}, not {value!r}."
        )
    return int(number)


def _bundle(value: Any) -> str | None:
    """The path of a CA bundle; true, also as text, is the usual authorities."""
    text = str(value).strip()
    if text.lower() == "true":
        return None
    if not isinstance(value, str) or text.lower() in ("false", "no", "0"):
        raise ConfigurationError(
            f"verify must be true or the path of a CA bundle (PEM), not {value!r}; "
            "certificates are always checked."
        )
    return text


def _switch(value: Any) -> Any:
    """True or false in a text; what is neither is the client's to refuse."""
    return {"true": True, "false": False}.get(str(value).strip().lower(), value)


SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "timeout": _number,
    "retries": _retries,
    "verify": _bundle,
    "rate_limit": _number,
    "time_precision": lambda value: value,
    "proxied_downloads": _switch,
}
"""How each setting is read that may be stated as text."""
