"""The hook: from a connection to a client, or one sentence about what to set."""

import asyncio
import re

import pytest

from airflow_provider_vectorshift.errors import VectorShiftConnectionError
from airflow_provider_vectorshift.hooks import VectorShiftHook


def test_client_of_the_connection(emulator):
    """The client asks the connection's service with its key, whatever the environment says."""
    with VectorShiftHook().get_conn() as client:
        assert client.query().count()["count"] > 0
        assert emulator.api_key not in repr(client)


def test_awaiting_client(emulator):
    """The same in an event loop."""

    async def counted():
        async with await VectorShiftHook("vectorshift_default").aget_conn() as client:
            return (await client.query().acount())["count"]

    assert asyncio.run(counted()) > 0


def test_two_accounts(emulator, monkeypatch):
    """Two connections are two accounts in one process."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_VS_OTHER",
        f"vectorshift://:sk_other@{emulator.base_url.replace('/', '%2F').replace(':', '%3A')}",
    )
    assert VectorShiftHook().test_connection()[0] is True
    told, text = VectorShiftHook("vs_other").test_connection()
    assert (told, "401" in text, "sk_other" in text) == (False, True, False)


def test_test_connection(emulator):
    """The form's button answers with a number of events, so the key was really used."""
    emulator.burst(5)
    told, text = VectorShiftHook().test_connection()
    found = re.fullmatch(r"Connected. The account has ([\d,]+) events of the last hour\.", text)
    assert told
    assert int(found[1].replace(",", "")) >= 5


def test_environment_does_not_leak_in(monkeypatch, connect):
    """A connection without a host means the hosted service, never the process's own default."""
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", "http://127.0.0.1:9/v1")
    connect(password="sk_key")
    assert "https://api.vectorshift.ai/v1" in repr(VectorShiftHook().get_conn())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": "https://x/v1"}, "no API key"),
        ({"host": "x/v1", "password": "sk_key"}, "https://host/v1"),
        ({"password": "two words"}, "one word"),
        ({"password": "sk_key", "extra": {"timeout": "soon"}}, "a number of seconds"),
        ({"password": "sk_key", "extra": {"timeout": -1}}, "timeout"),
        ({"password": "sk_key", "extra": "[1]"}, "a number of seconds"),
    ],
)
def test_unusable_connections(connect, fields, words):
    """What is wrong with a connection is said with its id, and without its key."""
    connect(**fields)
    with pytest.raises(VectorShiftConnectionError, match="'vectorshift_default'") as caught:
        VectorShiftHook().get_conn()
    assert words in str(caught.value)
    assert "two words" not in str(caught.value)


@pytest.mark.parametrize("extra", [{"timeout": 5}, {"timeout": "5"}, {"timeout": None}, {}])
def test_timeout_of_the_extra(emulator, connect, extra):
    """The timeout is a number, or its text as a connection URI makes it, or absent."""
    connect(host=emulator.base_url, password=emulator.api_key, extra=extra)
    assert VectorShiftHook().test_connection()[0]


def test_missing_connection(monkeypatch):
    """A connection that does not exist is named, waiting or not, with what to set."""
    monkeypatch.delenv("AIRFLOW_CONN_VECTORSHIFT_DEFAULT", raising=False)
    for get in (VectorShiftHook().get_conn, lambda: asyncio.run(VectorShiftHook().aget_conn())):
        with pytest.raises(VectorShiftConnectionError, match="AIRFLOW_CONN_VECTORSHIFT_DEFAULT"):
            get()
