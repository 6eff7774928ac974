"""The connection type `vectorshift`: one connection is one account's client."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from airflow_provider_vectorshift._airflow import AirflowNotFoundException
from airflow_provider_vectorshift.errors import (
    VectorShiftConnectionError,
    VectorShiftConnectionMissing,
)

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from airflow_provider_vectorshift._connection import Settings
    from vectorshift import Client

_FORM_TIMEOUT = 10.0
"""Seconds."""


class VectorShiftHook(BaseHook):
    """Builds clients from an Airflow connection of type `vectorshift`.

    The connection's password is the API key, its host the base URL (the hosted service's when
    empty). Its extra may hold

    - `timeout`: seconds to wait for the next bytes of an answer (60);
    - `retries`: how often a failed request is tried again (4);
    - `verify`: the path of a CA bundle to trust in place of the usual authorities;
    - `rate_limit`: the most requests per second of one client (no limit);
    - `time_precision`: how finely the service compares times, us, ms or s (probed);
    - `proxied_downloads`: whether files come through the proxy of the environment, too (true).

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

        Raises `VectorShiftConnectionError` when the connection does not exist, or a field of it
        cannot be used.
        """
        return self._settings().client()

    async def aget_conn(self) -> "Client":
        """`get_conn` for an event loop: the connection is looked up without blocking it."""
        return (await self._asettings()).client()

    def ashared(self) -> "AbstractAsyncContextManager[Client]":
        """The client of this connection that all triggers of this event loop share.

            async with VectorShiftHook(conn_id).ashared() as client:
                task = await client.aexport_task(export_id)

        Do not close it; the last one to leave does. A changed connection applies to
        those who enter later. Raises as `get_conn` does.
        """
        from vectorshift_orchestration.clients import shared_client

        return shared_client(self.vectorshift_conn_id, self._triggerer_settings)

    @property
    def base_url(self) -> str:
        """The address of the service that the connection leads to. Raises as `get_conn` does."""
        return str(self._settings().base_url)

    def test_connection(self) -> tuple[bool, str]:
        """Send one request: whether that worked, and a sentence for the form."""
        from dataclasses import replace
        from datetime import UTC, datetime, timedelta

        from vectorshift import VectorshiftError
        from vectorshift.analytics import EventField

        at = EventField.EVENT_START_TIME
        try:
            settings = replace(self._settings(), retries=0)
            with settings.client(total_timeout=_FORM_TIMEOUT) as client:
                recent = client.query().where(at >= datetime.now(UTC) - timedelta(hours=1))
                count = recent.count()["count"]
        except (VectorshiftError, VectorShiftConnectionError) as error:
            return False, str(error)
        return True, f"Connected. The account has {count:,} events of the last hour."

    def _settings(self) -> "Settings":
        from airflow_provider_vectorshift._connection import Settings

        with self._missing_explained():
            return Settings.of(self.get_connection(self.vectorshift_conn_id))

    async def _asettings(self, prefix: str = "", hint: str = "") -> "Settings":
        from airflow_provider_vectorshift._connection import Settings

        with self._missing_explained(prefix, hint):
            return Settings.of(await self.aget_connection(self.vectorshift_conn_id))

    async def _triggerer_settings(self) -> "Settings":
        return await self._asettings(
            "The triggerer looked it up: ",
            " Where connections are environment variables, the triggerer needs them as well as the "
            "workers.",
        )

    @contextmanager
    def _missing_explained(self, prefix: str = "", hint: str = "") -> Iterator[None]:
        """Turn a missing connection into an error that says what to set, between `prefix` and `hint`."""
        try:
            yield
        except AirflowNotFoundException:
            name = self.vectorshift_conn_id
            raise VectorShiftConnectionMissing(
                f"{prefix}Connection {name!r} does not exist. Create one of type vectorshift with the API "
                f"key as its password, or set AIRFLOW_CONN_{name.upper()} to "
                f'{{"conn_type": "vectorshift", "password": "<API key>"}}.{hint}'
            ) from None
