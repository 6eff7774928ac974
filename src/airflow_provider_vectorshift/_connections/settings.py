"""An Airflow connection as the settings of a client, or one sentence about the field that is wrong.

A connection may be a form's (numbers), JSON (numbers) or a URI (text): all three mean the same.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift.errors import VectorShiftConnectionError

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from vectorshift import Client

_TYPE = "vectorshift"
_UNUSED = ("login", "schema", "port")
_MOST_RETRIES = 100


@dataclass(frozen=True)
class Settings:
    """One account, and how to talk to it; None is the SDK's own default. Equal settings share a client.

    `timeout` is the seconds to wait for the next bytes, `retries` the tries after the first,
    `verify` the path of a CA bundle, `rate_limit` the most requests per second.
    """

    conn_id: str
    api_key: str = field(repr=False)
    base_url: str | None = None
    timeout: float | None = None
    retries: int | None = None
    verify: str | None = None
    rate_limit: float | None = None

    def client(self, **more: Any) -> "Client":
        """A new client, with `more` settings of the SDK's.

        Raises `VectorShiftConnectionError` for a field that it cannot use.
        """
        from vectorshift import DEFAULT_BASE_URL, Client, ConfigurationError, Retry

        settings: dict[str, Any] = {
            "base_url": DEFAULT_BASE_URL if self.base_url is None else self.base_url,
            "timeout": self.timeout,
            "retry": None if self.retries is None else Retry(attempts=1 + self.retries),
            "verify": self.verify,
            "rate_limit": self.rate_limit,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        try:
            return Client(self.api_key, **given, **more)
        except ConfigurationError as error:
            raise _unusable(self.conn_id, str(error)) from None

    def prepare(self) -> None:
        """Load what a client's first call needs, which takes a while: not for an event loop."""
        with self.client() as client:
            client.prepare()


def settings_of(connection: "Connection") -> Settings:
    """Read a connection. Raises `VectorShiftConnectionError`, which names the connection and the field."""
    conn_id = connection.conn_id
    if connection.conn_type not in (_TYPE, "", None):
        raise _unusable(
            conn_id, f"its type is {connection.conn_type!r}; name a connection of type {_TYPE}."
        )
    for unused in _UNUSED:
        if getattr(connection, unused, None):
            raise _unusable(
                conn_id,
                f"its {unused} is not used; write the whole address into the host, such as "
                "https://host:8443/v1, and the API key into the password.",
            )
    if not connection.password:
        raise _unusable(
            conn_id, "it has no API key; put the key into its password field (labelled API key)."
        )
    extras = {
        name: _READERS[name](conn_id, value)
        for name, value in _extra(connection).items()
        if value not in (None, "")
    }
    return Settings(conn_id, connection.password, connection.host or None, **extras)


def _unusable(conn_id: str, why: str) -> VectorShiftConnectionError:
    return VectorShiftConnectionError(f"Connection {conn_id!r} cannot be used: {why}")


def _extra(connection: "Connection") -> dict[str, Any]:
    try:
        found = json.loads(connection.extra or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _unusable(
            connection.conn_id, 'its extra must be a JSON object, such as {"timeout": 30}.'
        )
    if unknown := sorted(set(found) - set(_READERS)):
        raise _unusable(
            connection.conn_id,
            f"its extra has no field {unknown[0]!r}; the fields are {', '.join(_READERS)}.",
        )
    return found


def _number(conn_id: str, value: Any) -> Any:
    """The number in a text; what is none is the client's to refuse."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _retries(conn_id: str, value: Any) -> int:
    number = _number(conn_id, value)
    if (
        isinstance(number, bool)
        or not isinstance(number, int | float)
        or not 0 <= number <= _MOST_RETRIES
        or number != int(number)
    ):
        raise _unusable(
            conn_id,
            f"its retries must be a whole number from 0 to {_MOST_RETRIES}, not {value!r}.",
        )
    return int(number)


def _bundle(conn_id: str, value: Any) -> str | None:
    """The path of a CA bundle; true, also as text, is the usual authorities."""
    text = str(value).strip()
    if text.lower() == "true":
        return None
    if not isinstance(value, str) or text.lower() in ("false", "no", "0"):
        raise _unusable(
            conn_id,
            f"its verify must be true or the path of a CA bundle (PEM), not {value!r}; "
            "certificates are always checked.",
        )
    return text


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "timeout": _number,
    "retries": _retries,
    "verify": _bundle,
    "rate_limit": _number,
}
