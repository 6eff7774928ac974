"""An Airflow connection as the settings of a client, or one sentence about the field that is wrong.

A connection may be a form's (numbers), JSON (numbers) or a URI (text): all three mean the same.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift.errors import VectorShiftConnectionError
from vectorshift.errors import ConfigurationError
from vectorshift_orchestration.accounts import Account, settings_of

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from vectorshift import Client

_TYPE = "vectorshift"
_UNUSED = ("login", "schema", "port")


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

    @classmethod
    def of(cls, connection: "Connection") -> "Settings":
        """Read a connection. Raises `VectorShiftConnectionError`, which names it and the field."""
        from vectorshift import DEFAULT_BASE_URL

        try:
            return cls(
                conn_id=connection.conn_id,
                api_key=_checked_key(connection),
                base_url=connection.host or DEFAULT_BASE_URL,  # and not what the environment says
                **settings_of(_extra(connection), "its extra"),
            )
        except ConfigurationError as error:
            raise _unusable(connection.conn_id, str(error)) from None


def _unusable(conn_id: str, why: str) -> VectorShiftConnectionError:
    return VectorShiftConnectionError(f"Connection {conn_id!r} cannot be used: {why}")


def _checked_key(connection: "Connection") -> str:
    """The API key of a connection whose standard fields are all right."""
    if connection.conn_type not in (_TYPE, "", None):
        raise ConfigurationError(
            f"its type is {connection.conn_type!r}; name a connection of type {_TYPE}."
        )
    for unused in _UNUSED:
        if getattr(connection, unused, None):
            raise ConfigurationError(
                f"its {unused} is not used; write the whole address into the host, such as "
                "https://host:8443/v1, and the API key into the password."
            )
    if not connection.password:
        raise ConfigurationError(
            "it has no API key; put the key into its password field (labelled API key)."
        )
    return connection.password


def _extra(connection: "Connection") -> dict[str, Any]:
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ConfigurationError('its extra must be a JSON object, such as {"timeout": 30}.')
    return extra
