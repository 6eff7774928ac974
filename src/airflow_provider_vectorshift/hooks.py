"""The connection type `vectorshift`: one connection is one account's client."""

import json
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_vectorshift._airflow import AirflowNotFoundException
from airflow_provider_vectorshift.errors import VectorShiftConnectionError

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from vectorshift import Client


class VectorShiftHook(BaseHook):
    """Builds clients from an Airflow connection of type `vectorshift`.

    The connection's password is the API key, its host the base URL (the hosted service's when
    empty). Its extra may hold `timeout`, the seconds to wait for the next bytes of an answer.

    Args:
        vectorshift_conn_id: the connection's id.
    """

    conn_name_attr = "vectorshift_conn_id"
    default_conn_name = "vectorshift_default"
    conn_type = "vectorshift"
    hook_name = "VectorShift"

    def __init__(self, vectorshift_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.vectorshift_conn_id = vectorshift_conn_id

    def get_conn(self) -> "Client":
        """A client for this account; close it after use, or use it as a context manager.

        Raises `VectorShiftConnectionError` when there is no such connection, or none with a key.
        """
        try:
            connection = self.get_connection(self.vectorshift_conn_id)
        except AirflowNotFoundException:
            raise self._missing() from None
        return self._client(connection)

    async def aget_conn(self) -> "Client":
        """`get_conn` for an event loop: the connection is looked up without blocking it."""
        try:
            connection = await self.aget_connection(self.vectorshift_conn_id)
        except AirflowNotFoundException:
            raise self._missing() from None
        return self._client(connection)

    def test_connection(self) -> tuple[bool, str]:
        """Ask the service for one number: whether that worked, and a sentence for the form."""
        from datetime import UTC, datetime, timedelta

        from vectorshift import VectorshiftError
        from vectorshift.analytics import EventField

        at = EventField.EVENT_START_TIME
        try:
            with self.get_conn() as client:
                recent = client.query().where(at >= datetime.now(UTC) - timedelta(hours=1))
                found = recent.count()["count"]
        except (VectorshiftError, VectorShiftConnectionError) as error:
            return False, str(error)
        return True, f"Connected. The account has {found:,} events of the last hour."

    def _client(self, connection: "Connection") -> "Client":
        from vectorshift import Client, VectorshiftError
        from vectorshift._client import DEFAULT_BASE_URL

        if not connection.password:
            raise VectorShiftConnectionError(
                f"Connection {self.vectorshift_conn_id!r} has no API key. Put the key into its "
                "password field (labelled API key)."
            )
        try:
            return Client(
                api_key=connection.password,
                base_url=connection.host or DEFAULT_BASE_URL,
                **self._settings(connection),
            )
        except VectorshiftError as error:
            raise VectorShiftConnectionError(
                f"Connection {self.vectorshift_conn_id!r} cannot be used: {error}"
            ) from error

    def _settings(self, connection: "Connection") -> dict[str, Any]:
        """The client's settings in the connection's extra; text is what a connection URI makes of numbers."""
        try:
            timeout = json.loads(connection.extra or "{}").get("timeout")
            return {} if timeout in (None, "") else {"timeout": float(timeout)}
        except (ValueError, TypeError, AttributeError):
            raise VectorShiftConnectionError(
                f"The extra of connection {self.vectorshift_conn_id!r} should be a JSON object "
                'whose timeout is a number of seconds, such as {"timeout": 30}.'
            ) from None

    def _missing(self) -> VectorShiftConnectionError:
        name = self.vectorshift_conn_id
        return VectorShiftConnectionError(
            f"There is no connection {name!r}. Create one of type vectorshift with the API key as "
            f"its password, or set AIRFLOW_CONN_{name.upper()} to "
            '{"conn_type": "vectorshift", "password": "<API key>"}.'
        )
