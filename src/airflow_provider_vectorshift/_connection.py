"""An Airflow connection as the settings of a client, or one sentence about the field that is wrong.

A connection may be a form's (numbers), JSON (numbers) or a URI (text): all three mean the same.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift.errors import VectorShiftConnectionError
from vectorshift.errors import ConfigurationError
from vectorshift_orchestration.accounts import Account

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from vectorshift import Client

_TYPE = "vectorshift"
_UNUSED = ("login", "schema", "port")
_MOST_RETRIES = 100


@dataclass(frozen=True, kw_only=True)
class Settings(Account):
    """A connection's account; equal settings share a client."""

    conn_id: str

    def client(self, **more: Any) -> "Client":
        """As in `Account`. Raises `VectorShiftConnectionError` for a field that it cannot use."""
        try:
            return super().client(**more)
        except ConfigurationError as error:
            raise _unusable(self.conn_id, str(error)) from None


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
    from vectorshift import DEFAULT_BASE_URL

    base_url = connection.host or DEFAULT_BASE_URL  # and not what the environment says
    return Settings(conn_id=conn_id, api_key=connection.password, base_url=base_url, **extras)


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
    "time_precision": lambda _, value: value,
}
