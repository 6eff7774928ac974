"""Where a download may go: a URL comes from outside, and must not make this machine look behind its own door."""

import asyncio
import socket
import threading

import pytest

from tests.sdk.conftest import IMPATIENT
from tests.sdk.scripted import Answer, in_turn, serving
from vectorshift import AnalyticsDownloadFailed, Client
from vectorshift._addresses import kind_of

CSV = b"span_id,text\nsp_1,a\n"

LOOPBACK = [
    "127.0.0.1",
    "127.0.0.2",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "0177.0.0.01",
    "017700000001",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "localhost",
    "LOCALHOST",
    "①②⑦.⓪.⓪.①",
]
PRIVATE = [
    "10.0.0.1",
    "10.255.255.255",
    "10.1",
    "167772161",
    "0x0a000001",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "192.168.257",
    "3232235777",
    "100.64.0.1",
    "[fc00::1]",
    "[fd12:3456:789a::1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:c0a8:101]",
    "[64:ff9b::10.0.0.1]",
    "[2002:a00:1::]",
]
NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.1",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[fec0::1]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",
    "0",
    "0x0",
    "[::]",
    "[::ffff:0.0.0.0]",
    "[::127.0.0.1]",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "[ff02::1]",
    "[2001:db8::1]",
    "[2001::1]",
    "[100::1]",
    "[64:ff9b:1::a00:1]",
]
FROM_A_PUBLIC_API = LOOPBACK + PRIVATE + NEVER


@pytest.fixture
def door(service):
    """A port on which this machine counts who knocks; what it serves is a file."""
    service.script = in_turn(Answer(CSV))
    return service


@pytest.fixture(params=["blocking", "awaiting"])
def fetch(request, tmp_path):
    """download_export of a URL by a client of the API at `base_url`, in both ways."""

    def call(base_url, url):
        with Client("sk_test_key", base_url, retry=IMPATIENT) as client:
            task = {"download_url": url, "format": "CSV"}
            if request.param == "blocking":
                return client.download_export(task, tmp_path / "out.csv")
            return asyncio.run(client.adownload_export(task, tmp_path / "out.csv"))

    return call


def port(service):
    """The port of a service."""
    return service.base_url.removesuffix("/v1").rpartition(":")[2]


def test_the_table_is_long_enough():
    """At least sixty spellings of places that a public API's file is not at."""
    assert len(set(FROM_A_PUBLIC_API)) >= 60


@pytest.mark.parametrize("host", FROM_A_PUBLIC_API)
def test_a_public_api_leads_to_public_addresses_only(fetch, door, tmp_path, host):
    """However an address of this machine, its network or a metadata service is spelled, nobody knocks there."""
    with pytest.raises(AnalyticsDownloadFailed, match=r"not on the public internet") as caught:
        fetch("https://93.184.216.34/v1", f"https://{host}:{port(door)}/latest?sig=deadbeef")
    assert door.connections == 0
    assert "deadbeef" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", PRIVATE + NEVER)
def test_an_api_on_this_machine_leads_to_this_machine_only(fetch, door, host):
    """The emulator's files may be on loopback; the network around it and metadata services stay closed."""
    with pytest.raises(AnalyticsDownloadFailed, match=r"not on the public internet"):
        fetch(door.base_url, f"http://{host}:{port(door)}/latest")
    assert door.connections == 0


@pytest.mark.parametrize("host", LOOPBACK + NEVER)
def test_an_api_in_a_private_network_leads_to_no_other_door(fetch, door, host):
    """A private installation's files may be in a private network; loopback and metadata services stay closed."""
    with pytest.raises(AnalyticsDownloadFailed, match=r"not on the public internet"):
        fetch("http://10.20.30.40/v1", f"http://{host}:{port(door)}/latest")
    assert door.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_file_beside_an_api_on_this_machine_arrives(fetch, door, host):
    """The emulator's own files arrive, and no credentials reach the file server."""
    assert fetch(door.base_url, f"http://{host}:{port(door)}/file").bytes == len(CSV)
    [seen] = door.requests
    assert not {"authorization", "cookie", "x-api-key"} & set(seen.headers)
    assert seen.headers["host"] == f"{host}:{port(door)}"


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("8.8.8.8", "public"),
        ("2606:4700:4700::1111", "public"),
        ("::ffff:8.8.8.8", "public"),
        ("10.0.0.1", "private"),
        ("100.127.255.255", "private"),
        ("fdff::1", "private"),
        ("127.0.0.1", "loopback"),
        ("fe80::1%eth0", "never"),
    ],
)
def test_kinds(host, kind):
    """The four kinds of addresses."""
    assert kind_of(host) == kind


@pytest.mark.parametrize("host", PRIVATE + NEVER)
def test_a_redirect_leads_nowhere_that_a_url_could_not(fetch, door, host):
    """A redirect is held to the same rule: nobody knocks where it led, with the key or without."""
    target = f"http://{host}:{port(door)}/latest"
    with serving(Answer(b"", 302, {"Location": target})) as api:
        with pytest.raises(AnalyticsDownloadFailed, match=r"not on the public internet|Invalid"):
            fetch(api.base_url, api.base_url + "/file")
        assert all("authorization" not in each.headers for each in api.requests)
    assert door.connections == 0


def test_a_redirect_to_another_port_carries_no_credentials(fetch, door):
    """Where a redirect is followed, neither the key nor a cookie goes along."""
    present = Answer(b"", 302, {"Location": f"{door.base_url}/file", "Set-Cookie": "session=1"})
    with serving(present) as api:
        assert fetch(api.base_url, api.base_url + "/file").bytes == len(CSV)
    [seen] = door.requests
    assert not {"authorization", "cookie", "x-api-key"} & set(seen.headers)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://sk_key:x@127.0.0.1/file", "a user name before 127.0.0.1"),
        ("http://sk_key@127.0.0.1/file", "a user name before 127.0.0.1"),
        ("http://127.0.0.1:99999/file", "cannot be read"),
        ("http://[::1/file", "cannot be read"),
        ("http:///file", "not an https address"),
        ("//127.0.0.1/file", "not an https address"),
        ("gopher://127.0.0.1/file", "not an https address"),
    ],
)
def test_a_url_that_is_none_is_refused(fetch, door, url, reason):
    """User names, ports that are none and other schemes are refused, without repeating what may be secret."""
    with pytest.raises(AnalyticsDownloadFailed, match=reason) as caught:
        fetch(door.base_url, url)
    assert "sk_key" not in str(caught.value)
    assert door.connections == 0


def test_the_address_that_was_checked_is_the_one_connected_to(fetch, door, names):
    """A name that changes between the check and the connection (DNS rebinding) changes nothing."""
    names.answers["files.example"] = [["127.0.0.1"], ["169.254.169.254"]]
    assert fetch(door.base_url, f"http://files.example:{port(door)}/file").bytes == len(CSV)
    assert names.asked.count("files.example") == 1
    [seen] = door.requests
    assert seen.headers["host"] == f"files.example:{port(door)}"


def test_a_name_that_turns_bad_between_two_tries_is_refused(fetch, door, names):
    """Each try looks the name up and checks it again."""
    names.answers["files.example"] = [["127.0.0.1"], ["169.254.169.254"]]
    door.script = in_turn(Answer(b"busy", 503), Answer(CSV))
    with pytest.raises(AnalyticsDownloadFailed, match="not on the public internet"):
        fetch(door.base_url, f"http://files.example:{port(door)}/file")
    assert len(door.requests) == 1


def test_one_bad_address_among_good_ones_is_enough(fetch, door, names):
    """A name is refused as a whole."""
    names.answers["files.example"] = [["127.0.0.1", "10.0.0.1"]]
    with pytest.raises(AnalyticsDownloadFailed, match="not on the public internet"):
        fetch(door.base_url, f"http://files.example:{port(door)}/file")
    assert door.connections == 0


def test_a_name_of_the_private_network_that_the_api_is_in(fetch, door, names):
    """A private API's name counts as the network that it is in."""
    names.answers["api.internal"] = [["127.0.0.1"]]
    assert fetch("http://api.internal/v1", f"http://127.0.0.1:{port(door)}/f").bytes == len(CSV)
    names.answers["api.internal"] = [["169.254.0.1"]]
    with pytest.raises(AnalyticsDownloadFailed, match="not on the public internet"):
        fetch("http://api.internal/v1", f"http://169.254.169.254:{port(door)}/latest")


def test_the_next_address_is_tried_when_one_does_not_answer(fetch, door, names):
    """A host with several addresses is not lost when the first one is."""
    names.answers["files.example"] = [["127.0.0.9", "127.0.0.1"]]
    assert fetch(door.base_url, f"http://files.example:{port(door)}/file").bytes == len(CSV)


def test_a_name_without_an_address_is_reported(fetch, names):
    """A host that nobody knows is tried again, and then told."""
    names.answers["files.example"] = [[]]
    with pytest.raises(AnalyticsDownloadFailed, match="has no address"):
        fetch("http://127.0.0.1:1/v1", "http://files.example/file")
    assert names.asked == ["files.example"] * IMPATIENT.attempts


def test_looking_up_a_name_is_bounded(door, monkeypatch, tmp_path):
    """An awaiting download does not wait for a resolver longer than it may take."""
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(30) and [])

    async def stuck():
        async with Client("sk_x", door.base_url, retry=IMPATIENT) as client:
            try:
                await client.adownload_export(
                    {"download_url": "http://files.example/f"}, tmp_path / "out", timeout=0.05
                )
            finally:
                release.set()

    with pytest.raises(AnalyticsDownloadFailed, match="not complete within"):
        asyncio.run(stuck())
