"""The front page: a browser gets it at `/`, everybody else what the service answers there, and strangers nothing."""

import json

import pytest

from tests.emulator.wire import Client
from vectorshift_emulator import serve

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
MISTAKES = ("/_page/truth", "/_page/events", "/_page/counters", "/_page/../_control/truth")


def host(client):
    """The name under which the client asks."""
    return client.base_url.removeprefix("http://").removesuffix("/v1")


def act(client, path, body=None, *, method="POST", **headers):
    """Status and JSON of a change, requested as the page does unless `headers` say otherwise."""
    arguments = {"Origin": f"http://{host(client)}"} | headers
    status, _, text = client.raw(method, f"/_page{path}", json.dumps(body), arguments)
    return status, json.loads(text)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PURGE"])
@pytest.mark.parametrize("accept", [None, "*/*", "application/json"])
def test_an_api_client_finds_nothing_at_the_root(client, method, accept):
    """The service has nothing at `/`, and says so as for any other path that it does not have."""
    headers = {} if accept is None else {"Accept": accept}
    status, _, root = client.raw(method, "/", headers=headers)
    assert (status, root) == (
        404,
        client.raw(method, "/x", headers=headers)[2].replace(b"/x", b"/"),
    )


def test_a_browser_gets_a_page_that_is_shut_off(client):
    """The page may load from the emulator alone, and stand in no frame."""
    status, headers, text = client.raw("GET", "/", headers=BROWSER)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"VectorShift emulator" in text
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert client.raw("GET", "/v1/", headers=BROWSER)[0] == 404


def test_the_state_shows_what_clients_did(client, emulator):
    """Events, requests with the fault that they met, and the switches that changed."""
    emulator.settings(export_delay=9)
    emulator.fault("count", "status", code=503)
    client.ask("/events/count", {}, status=503)
    client.ask("/events/count", {})
    state = json.loads(client.raw("GET", "/_page/state", headers={})[2])
    (truth,) = emulator.truth(
        "SELECT count(*) AS n, count(*) FILTER (status = 'failure') AS failed FROM events"
    )
    days = state["held"]["days"]
    assert sum(day["success"] + day["failure"] + day["in_progress"] for day in days) == truth["n"]
    assert sum(day["failure"] for day in days) == truth["failed"]
    newest, before = state["requests"][:2]
    assert (newest["path"], newest["status"], newest["fault"]) == (
        "/v1/analytics/events/count",
        200,
        None,
    )
    assert (before["status"], before["fault"]) == (503, "status")
    assert state["changed"] == ["export_delay"]
    emulator.burst(5)
    again = json.loads(client.raw("GET", "/_page/state", headers={})[2])
    assert again["held"]["events"] == truth["n"] + 5


def test_no_key_but_the_public_one_is_shown(client):
    """A key that somebody chose is in nothing that the page gets, and neither is the control token."""
    displayed = client.raw("GET", "/_page/state", headers={})[2]
    assert json.loads(displayed)["key"] == "sk_demo"
    with serve(events=10, api_key="sk_chosen") as other:
        asking = Client(other.base_url, other.api_key)
        asking.ask("/events/count", {})
        texts = [
            asking.raw("GET", path, headers=BROWSER)[2].decode()
            for path in ("/", "/_page/state", "/_page/choices", "/_page/page.js")
        ]
    assert json.loads(texts[1])["key"] is None
    assert not [text for text in texts if "sk_chosen" in text or other.control_token in text]


def test_the_page_changes_what_its_forms_offer(client, emulator):
    """A fault, a switch, a burst, and the way back; a bad value is refused in words."""
    assert act(client, "/faults", {"route": "count", "kind": "empty_200"})[0] == 200
    assert emulator.faults()[0]["kind"] == "empty_200"
    assert act(client, "/settings", {"keys": "snake"})[1]["keys"] == "snake"
    assert len(act(client, "/burst", {"count": 3})[1]["span_ids"]) == 3
    assert act(client, "/faults", method="DELETE")[0] == 200
    assert emulator.faults() == []
    assert act(client, "/reset")[0] == 200
    assert emulator.settings()["keys"] == "camel"
    for body, texts in (({"keys": "Camel"}, "did you mean camel"), ([], "object")):
        status, reported = act(client, "/settings", body)
        assert (status, texts in reported["error"]) == (400, True)
    for count in (0, 10_001, "many", None):
        assert act(client, "/burst", {"count": count})[0] == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
)
def test_a_page_of_another_site_changes_nothing(client, emulator, headers):
    """Not under its own origin, and not under a name of its own that leads here."""
    assert client.raw("DELETE", "/_page/faults", headers=headers)[0] == 403
    assert client.raw("POST", "/_page/burst", b'{"count": 1}', headers)[0] == 403
    assert emulator.counters()["requests"] == {}


def test_a_page_of_another_site_reads_nothing(client):
    """A name with dots may be anybody's: what is requested under one is refused."""
    for path in ("/", "/_page/state", "/_page/choices", "/_page/page.js"):
        strange = BROWSER | {"Host": "rebound.example"}
        assert client.raw("GET", path, headers=strange)[0] == 403
        assert client.raw("GET", path, headers=BROWSER | {"Host": "localhost:80"})[0] == 200


@pytest.mark.parametrize("path", MISTAKES)
def test_the_page_reads_and_writes_no_rows(client, path):
    """What takes the control token is out of its reach."""
    arguments = {"Origin": f"http://{host(client)}"}
    assert client.raw("POST", path, b'{"sql": "SELECT 1"}', arguments)[0] == 404
