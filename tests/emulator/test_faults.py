"""Faults, seen from the client's end of the socket."""

import http.client
import json
import socket
import time

import pytest

from tests.emulator.wire import API
from vectorshift_emulator import ControlError
from vectorshift_emulator.faults.connections import Connections


def count(client):
    """The raw reply of a count."""
    return client.raw("POST", f"{API}/events/count", b"{}")


@pytest.fixture
def url(emulator, client):
    """The path of a ready export's file."""
    emulator.settings(export_mode="sync")
    body = {"data_table": {"columns": []}, "extension": "CSV", "file_name": "all.csv"}
    return client.ask("/exports", body)["download_url"].removeprefix(
        client.base_url.removesuffix("/v1")
    )


@pytest.mark.parametrize(
    ("kind", "status", "start"),
    [
        ("status", 500, b'{"status":"failed"'),
        ("failed_200", 200, b'{"status":"failed"'),
        ("html_200", 200, b"<html>"),
        ("empty_200", 200, b""),
        ("not_json", 200, b'{"status": "succ'),
    ],
)
def test_answers_in_place_of_the_service(emulator, client, kind, status, start):
    """Such a fault hits one request and the next is served again."""
    emulator.fault("count", kind)
    got, _, body = count(client)
    assert got == status
    assert body.startswith(start)
    assert bool(body) == bool(start)
    assert client.count() > 0
    assert [fault["injected"] for fault in emulator.faults()] == [1]
    assert emulator.counters()["faults_injected"] == 1
    assert emulator.counters()["requests"]["count"] == 2


def test_status_with_a_body_and_retry_after(emulator, client):
    """Status, body and Retry-After are as the fault says; it hits every route when asked to."""
    emulator.fault("*", "status", code=429, body="slow down", retry_after="Wed, 1", times=2)
    for method, path in (("POST", "/events/count"), ("GET", "/events/x")):
        status, headers, body = client.raw(method, API + path, b"{}")
        assert (status, headers["Retry-After"], body) == (429, "Wed, 1", b"slow down")
    assert client.count() > 0


def test_after_lets_requests_pass_first(emulator, client):
    """after=2 hits the third request; times=0 goes on until faults are cleared."""
    emulator.fault("count", "status", after=2, times=0)
    assert [count(client)[0] for _ in range(4)] == [200, 200, 500, 500]
    emulator.clear_faults()
    assert count(client)[0] == 200


def test_delay(emulator, client):
    """A delayed reply is the right one, later."""
    emulator.fault("count", "delay", seconds=0.2)
    start = time.monotonic()
    assert client.count() > 0
    assert time.monotonic() - start >= 0.2


@pytest.mark.parametrize("fraction", [None, 0, 0.5])
def test_reset(emulator, client, fraction):
    """A reset reaches the client as one, before or after the service has acted."""
    emulator.fault("export_create", "reset", fraction=fraction)
    body = json.dumps({"data_table": {}, "extension": "CSV", "file_name": "a"})
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        client.raw("POST", f"{API}/exports", body)
    assert emulator.counters()["exports_created"] == (0 if fraction is None else 1)


def test_a_client_that_has_given_up_is_not_an_error():
    """A fault that comes when its connection is gone already does nothing."""
    gone = {"client": ("127.0.0.1", 1)}
    connections = Connections()
    connections.reset(gone)
    connections.close(gone)
    connections.write(gone, b"x")


@pytest.mark.parametrize("fraction", [None, 0, 0.5])
def test_hang(emulator, client, fraction):
    """A hanging request gets nothing, the head, or half the body, and then nothing more."""
    emulator.fault("count", "hang", fraction=fraction)
    host, port = client.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST {API}/events/count HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
        connection.sendall(f"{head}Authorization: Bearer {client.api_key}\r\n\r\n{{}}".encode())
        connection.settimeout(5)
        received, head, body = b"", b"", b""
        while fraction is not None and not (head and (body or not fraction)):
            head, _, body = (received := received + connection.recv(10_000)).partition(b"\r\n\r\n")
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert head.startswith(b"HTTP/1.1 200" if fraction is not None else b"")
    assert (head != b"", body != b"") == (fraction is not None, bool(fraction))


@pytest.mark.parametrize("share", [0, 0.25, 0.5])
@pytest.mark.parametrize("framing", ["honest", "lying", "chunked", "close"])
def test_truncated_download(emulator, client, url, framing, share):
    """A cut file arrives as its prefix; only a lying Content-Length shows the cut."""
    _, _, whole = client.raw("GET", url)
    emulator.fault("download", "truncate", fraction=share, framing=framing)
    if framing == "lying":
        with pytest.raises(http.client.IncompleteRead) as caught:
            client.raw("GET", url)
        part = caught.value.partial
    else:
        _, headers, part = client.raw("GET", url)
        assert (headers["Content-Length"] is not None) == (framing == "honest")
        assert (headers["Transfer-Encoding"] == "chunked") == (framing == "chunked")
    assert part == whole[: int(len(whole) * share)]


def test_spoiled_downloads(emulator, client, url):
    """One flipped byte, another ETag, an expired URL, a slow body: each exactly that."""
    _, headers, whole = client.raw("GET", url)
    emulator.fault("download", "flip_byte")
    _, _, flipped = client.raw("GET", url)
    assert [i for i, byte in enumerate(flipped) if byte != whole[i]] == [len(whole) // 2]
    emulator.fault("download", "wrong_etag")
    _, changed, body = client.raw("GET", url)
    assert changed["ETag"] != headers["ETag"]
    assert body == whole
    emulator.fault("download", "expired")
    assert client.raw("GET", url)[0] == 403
    emulator.fault("download", "drip", bytes_per_second=10 * len(whole))
    assert client.raw("GET", url)[2] == whole


def test_wrong_file(emulator, client, url):
    """The file of another export is served whole, with a length of its own."""
    _, _, whole = client.raw("GET", url)
    body = {"data_table": {"operator": "AND"}, "extension": "JSON", "file_name": "other.json"}
    client.ask("/exports", body)
    emulator.fault("download", "wrong_file")
    _, headers, other = client.raw("GET", url)
    assert json.loads(other)
    assert int(headers["Content-Length"]) == len(other) != len(whole)


def test_export_states(emulator, client):
    """A task can be told never ready, failed, or ready without a URL."""
    emulator.settings(export_mode="sync")
    body = {"data_table": {}, "extension": "CSV", "file_name": "a"}
    task = client.ask("/exports", body)
    reported = []
    for kind in ("never_ready", "task_failed", "ready_without_url"):
        emulator.fault("export_poll", kind)
        reported.append(client.ask(f"/exports/{task['task_id']}"))
    assert [reply["task_status"] for reply in reported] == ["pending", "failed", "ready"]
    assert reported[1]["error"] == "injected failure"
    assert not any("download_url" in reply for reply in reported)
    assert "download_url" in client.ask(f"/exports/{task['task_id']}")


@pytest.mark.parametrize(
    "fault",
    [
        {"route": "count", "kind": "explode"},
        {"route": "nowhere", "kind": "status"},
        {"route": "count", "kind": "never_ready"},
        {"route": "count", "kind": "status", "code": 99},
        {"route": "count", "kind": "truncate", "fraction": 2},
        {"route": "count", "kind": "truncate", "framing": "odd"},
        {"route": "count", "kind": "status", "injected": 1},
        {"route": "count", "kind": "status", "times": "2"},
        {"route": "count", "kind": "status", "body": 5},
    ],
)
def test_bad_fault(emulator, fault):
    """A fault that cannot be put on is refused and nothing is put on."""
    with pytest.raises(ControlError, match="400"):
        emulator.fault(**fault)
    assert emulator.faults() == []
