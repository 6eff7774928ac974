"""The hook: from a connection to a client, or one sentence about what to set."""

import asyncio
import json
import re
from pathlib import Path

import certifi
import pytest

from airflow_provider_vectorshift.errors import VectorShiftConnectionError
from airflow_provider_vectorshift.hooks import VectorShiftHook

DOCS = Path(__file__).parents[2] / "docs" / "airflow.md"


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
    reported, text = VectorShiftHook("vs_other").test_connection()
    assert (reported, "401" in text, "sk_other" in text) == (False, True, False)


def test_test_connection(emulator):
    """The form's button answers with a number of events, so the key was really used."""
    emulator.burst(5)
    reported, text = VectorShiftHook().test_connection()
    result = re.fullmatch(r"Connected. The account has ([\d,]+) events of the last hour\.", text)
    assert reported
    assert int(result[1].replace(",", "")) >= 5


def test_test_connection_asks_once(emulator):
    """Somebody waits before a form: a service that fails is told after one request."""
    emulator.reset_counters()
    emulator.fault("count", "status", code=503, times=0)
    reported, text = VectorShiftHook().test_connection()
    assert (reported, "503" in text) == (False, True)
    assert emulator.counters()["requests"] == {"count": 1}


def test_a_base_url_without_its_version_is_named(emulator, connect):
    """The form's button blames the address, not an id that nobody gave."""
    connect(host=emulator.base_url.removesuffix("/v1"), password=emulator.api_key)
    reported, text = VectorShiftHook().test_connection()
    assert not reported
    assert "HTTP 404" in text
    assert "may lack its /v1" in text
    assert "Check the id" not in text


def test_environment_does_not_leak_in(monkeypatch, connect):
    """A connection without a host means the hosted service, never the process's own default."""
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", "http://127.0.0.1:9/v1")
    connect(password="sk_key")
    assert "https://api.vectorshift.ai/v1" in repr(VectorShiftHook().get_conn())


KEY = {"password": "sk_key"}
UNUSABLE = {
    "another type": ({**KEY, "conn_type": "http"}, "its type is 'http'"),
    "no key": ({"host": "https://x/v1"}, "no API key"),
    "no scheme": ({"host": "x/v1", **KEY}, "base URL must look like https://host/v1"),
    "a secret in the host": ({"host": "https://u:two words@x/v1", **KEY}, "base URL must look"),
    "key of two words": (
        {"password": "two words"},
        "the API key must be ASCII text without spaces",
    ),
    "port": ({"host": "https://x/v1", "port": 8443, **KEY}, "its port is not used"),
    "schema": ({"host": "https://x", "schema": "v1", **KEY}, "its schema is not used"),
    "login": ({"login": "me", **KEY}, "its login is not used"),
    "timeout text": ({"extra": {"timeout": "soon"}, **KEY}, "timeout must be a number of seconds"),
    "timeout -1": ({"extra": {"timeout": -1}, **KEY}, "timeout must be a number of seconds"),
    "timeout nan": ({"extra": {"timeout": "nan"}, **KEY}, "timeout must be a number of seconds"),
    "timeout true": ({"extra": {"timeout": True}, **KEY}, "timeout must be a number of seconds"),
    "retries -1": ({"extra": {"retries": -1}, **KEY}, "retries must be a whole number from 0"),
    "retries 1.5": ({"extra": {"retries": "1.5"}, **KEY}, "retries must be a whole number from 0"),
    "retries many": ({"extra": {"retries": "many"}, **KEY}, "retries must be a whole number"),
    "retries nan": ({"extra": {"retries": "nan"}, **KEY}, "retries must be a whole number"),
    "retries list": ({"extra": {"retries": []}, **KEY}, "retries must be a whole number"),
    "retries true": ({"extra": {"retries": True}, **KEY}, "retries must be a whole number"),
    "verify false": ({"extra": {"verify": False}, **KEY}, "certificates are always checked"),
    "verify 'false'": ({"extra": {"verify": "False"}, **KEY}, "certificates are always checked"),
    "verify missing": ({"extra": {"verify": "/no/ca.pem"}, **KEY}, "'/no/ca.pem' cannot be read"),
    "verify folder": ({"extra": {"verify": "/"}, **KEY}, "a file of PEM certificates"),
    "rate 0": ({"extra": {"rate_limit": 0}, **KEY}, "rate_limit must be a number of requests"),
    "rate text": ({"extra": {"rate_limit": "x"}, **KEY}, "rate_limit must be a number of requests"),
    "precision": (
        {"extra": {"time_precision": "ns"}, **KEY},
        "time_precision must be 'us', 'ms', 's'",
    ),
    "proxied": (
        {"extra": {"proxied_downloads": "perhaps"}, **KEY},
        "proxied_downloads must be True or False",
    ),
    "misspelt": ({"extra": {"timout": 3}, **KEY}, "its extra has no field 'timout'"),
}


@pytest.mark.parametrize(("fields", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_connections(connect, fields, words):
    """What is wrong is said in one sentence with the connection and its field, and without its key."""
    connect(**fields)
    with pytest.raises(VectorShiftConnectionError, match="'vectorshift_default'") as caught:
        VectorShiftHook().get_conn()
    assert words in str(caught.value)
    assert "two words" not in str(caught.value)
    assert VectorShiftHook().test_connection() == (False, str(caught.value))


@pytest.mark.airflow33  # before it, Airflow itself takes such a connection for a missing one
@pytest.mark.parametrize("extra", ["[1]", "timeout=3"])
def test_extra_that_is_not_an_object(connect, extra):
    """An extra that is not a JSON object is named as such."""
    connect(extra=extra, **KEY)
    with pytest.raises(VectorShiftConnectionError, match="its extra must be a JSON object"):
        VectorShiftHook().get_conn()


USABLE = {
    "nothing": {},
    "nulls of a form": {"timeout": None, "retries": None, "verify": None, "rate_limit": None},
    "empty texts": {"timeout": "", "retries": "", "verify": "", "rate_limit": ""},
    "numbers": {"timeout": 5, "retries": 2, "verify": True, "rate_limit": 2.5},
    "texts of a URI": {"timeout": "5", "retries": "2", "verify": "true", "rate_limit": "2.5"},
    "no retries": {"retries": 0},
    "a bundle": {"verify": certifi.where()},
}


@pytest.mark.parametrize("extra", USABLE.values(), ids=USABLE)
def test_settings_of_the_extra(emulator, connect, extra):
    """Each field is a number, or its text as a connection URI makes it, or absent."""
    connect(host=emulator.base_url, password=emulator.api_key, extra=extra)
    with VectorShiftHook().get_conn() as client:
        assert client.query().count()["count"] > 0


@pytest.mark.parametrize("told", [False, "false", "False", True, "true", None], ids=repr)
def test_files_may_leave_the_proxy_aside(connect, told):
    """`proxied_downloads` reaches the client, as JSON has it or as a form's or a URI's text; a proxy is used unless it is false."""
    connect(password="sk_key", extra={"proxied_downloads": told})
    with VectorShiftHook().get_conn() as client:
        assert client._proxied_downloads is (str(told).lower() != "false")


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (2, 3), ("1", 2)])
def test_retries_are_tries_after_the_first(emulator, connect, retries, requests):
    """`retries` counts as Airflow's own do."""
    connect(host=emulator.base_url, password=emulator.api_key, extra={"retries": retries})
    emulator.reset_counters()
    emulator.fault("count", "status", code=429, retry_after="0", times=2)
    with VectorShiftHook().get_conn() as client:
        if requests <= 2:
            with pytest.raises(Exception, match="429"):
                client.query().count()
        else:
            client.query().count()
    assert emulator.counters()["requests"]["count"] == requests


def test_missing_connection(monkeypatch):
    """A connection that does not exist is named, waiting or not, with what to set."""
    monkeypatch.delenv("AIRFLOW_CONN_VECTORSHIFT_DEFAULT", raising=False)
    for get in (VectorShiftHook().get_conn, lambda: asyncio.run(VectorShiftHook().aget_conn())):
        with pytest.raises(VectorShiftConnectionError, match="AIRFLOW_CONN_VECTORSHIFT_DEFAULT"):
            get()


def documented():
    """The values of AIRFLOW_CONN_VECTORSHIFT_DEFAULT in docs/airflow.md."""
    return re.findall(r"^export AIRFLOW_CONN_VECTORSHIFT_DEFAULT='(.+)'$", DOCS.read_text(), re.M)


def test_documented_connections(monkeypatch):
    """Each connection that the documentation shows is usable, and all of them are the hosted service's."""
    result = documented()
    assert [json.loads(each)["conn_type"] for each in result if each.startswith("{")]
    assert [each for each in result if each.startswith("vectorshift://")]
    for each in result:
        monkeypatch.setenv("AIRFLOW_CONN_VECTORSHIFT_DEFAULT", each)
        assert "https://api.vectorshift.ai/v1" in repr(VectorShiftHook().get_conn())
