"""The process's network variables: calls and downloads take the same proxy, and what cannot be read is named at once."""

import asyncio
import subprocess
import sys

import pytest

from tests.sdk.certificates import Authority
from tests.sdk.conftest import IMPATIENT
from tests.sdk.proxy import forwarding
from tests.sdk.scripted import Answer, in_turn, serving
from vectorshift import (
    AnalyticsDownloadFailed,
    ApiConnectionError,
    Client,
    ConfigurationError,
    Retry,
)
from vectorshift._transport.environment import proxy_for, usual_trust

API, FILES = "api.vectorshift.test", "files.vectorshift.test"
CSV = b"span_id,text\nsp_1,a\n"
COUNT = {"status": "success", "count": 7}
LONG = Retry(attempts=2, first_wait=600, longest_wait=600)
"""Whoever retries with this is noticed: the test would not end."""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    """None of the variables is set, whatever the machine says."""
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "ssl_cert_file",
        "ssl_cert_dir",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    usual_trust.cache_clear()
    yield
    usual_trust.cache_clear()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority that vouches for the servers behind the proxy."""
    return Authority(tmp_path_factory.mktemp("authority"))


def answers(request):
    """The API and the file server in one."""
    if request.path.startswith("/out.csv"):
        return Answer(CSV)
    if request.path.startswith("/moved"):
        return Answer(status=302, headers={"Location": f"https://{FILES}/out.csv"})
    return Answer(COUNT)


@pytest.fixture
def hidden(authority):
    """A service whose names only the proxy knows."""
    with serving(answers, tls=authority.server(API, FILES)) as service, forwarding() as proxy:
        port = int(service.base_url.rpartition(":")[2].removesuffix("/v1"))
        proxy.routes = {f"{API}:443": port, f"{FILES}:443": port}
        yield service, proxy


@pytest.fixture
def client(authority):
    """A client of the hidden service."""
    with Client("sk_x", f"https://{API}/v1", retry=IMPATIENT, verify=authority.bundle) as client:
        yield client


@pytest.fixture(params=["blocking", "awaiting"])
def ways(request, tmp_path):
    """count, export and download_export of a client, in both ways."""
    blocking = request.param == "blocking"

    class Ways:
        path = tmp_path / "out.csv"

        def count(self, client):
            return client.query().count() if blocking else asyncio.run(client.query().acount())

        def export(self, client):
            if blocking:
                return client.query().export("CSV", "out")
            return asyncio.run(client.query().aexport("CSV", "out"))

        def fetch(self, client, url):
            task = {"download_url": url, "format": "CSV"}
            if blocking:
                return client.download_export(task, self.path)
            return asyncio.run(client.adownload_export(task, self.path))

    return Ways()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_download_takes_the_proxy_that_calls_take(
    hidden, client, ways, names, monkeypatch, variable
):
    """Where a proxy is the only way out, the file arrives as the answers do, and no name is looked up here."""
    service, proxy = hidden
    monkeypatch.setenv(variable, proxy.url)
    assert ways.count(client) == {"count": 7}
    assert ways.fetch(client, f"https://{FILES}/moved").path.read_bytes() == CSV
    assert set(proxy.asked) == {f"{API}:443", f"{FILES}:443"}
    assert not {API, FILES} & set(names.asked)
    assert [r.headers.get("authorization") for r in service.requests if r.method == "GET"] == [
        None
    ] * 2


def test_a_plain_http_url_takes_http_proxy(ways, monkeypatch):
    """An installation without TLS: HTTP_PROXY forwards calls and files, HTTPS_PROXY is not asked."""
    with serving(answers) as service, forwarding() as proxy:
        port = int(service.base_url.rpartition(":")[2].removesuffix("/v1"))
        proxy.routes = {f"{API}:80": port, f"{FILES}:80": port}
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removeprefix("http://"))
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        with Client("sk_x", f"http://{API}/v1", retry=IMPATIENT) as client:
            service.script = lambda r: answers(r) if r.path.startswith("/out") else Answer(COUNT)
            assert ways.count(client) == {"count": 7}
            assert ways.fetch(client, f"http://{FILES}/out.csv").bytes == len(CSV)
        assert set(proxy.asked) == {f"{API}:80", f"{FILES}:80"}


def test_a_transfer_that_breaks_is_resumed_through_the_proxy(hidden, client, ways, monkeypatch):
    """The rest of the file is requested by the same way."""
    service, proxy = hidden
    head = b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: %d\r\n\r\n' % len(CSV)
    rest = {"Content-Range": f"bytes 5-{len(CSV) - 1}/{len(CSV)}", "ETag": '"v1"'}
    service.script = in_turn(Answer(raw=[head + CSV[:5]]), Answer(CSV[5:], 206, rest))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    assert ways.fetch(client, f"https://{FILES}/out.csv").path.read_bytes() == CSV
    assert [each.headers.get("range") for each in service.requests] == [None, "bytes=5-"]


def test_credentials_go_to_the_proxy_and_to_nobody_else(hidden, client, ways, monkeypatch):
    """A proxy with user and password gets them, percent-decoded; the service does not."""
    service, proxy = hidden
    proxy.credentials = "me:p@ss"
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:p%40ss@"))
    assert ways.count(client) == {"count": 7}
    assert ways.fetch(client, f"https://{FILES}/out.csv").bytes == len(CSV)
    assert all("proxy-authorization" not in each.headers for each in service.requests)


@pytest.mark.parametrize("what", ["count", "fetch"])
def test_a_proxy_that_wants_credentials_ends_the_call_at_once(
    hidden, authority, ways, monkeypatch, what
):
    """407 is a matter of settings: no retry, and the variable is named, its password is not."""
    _, proxy = hidden
    proxy.credentials = "me:right"
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:secret@"))
    with (
        Client("sk_x", f"https://{API}/v1", retry=LONG, verify=authority.bundle) as client,
        pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught,
    ):
        ways.count(client) if what == "count" else ways.fetch(client, f"https://{FILES}/out.csv")
    assert len(proxy.asked) == 1
    assert "secret" not in str(caught.value)


def test_a_proxy_that_refuses_is_named_as_the_one_who_did(hidden, client, ways, monkeypatch):
    """403 of a proxy is not an answer of the service; a create was not sent, and may be tried again."""
    _, proxy = hidden
    proxy.routes, proxy.refusal = {}, 403
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(ApiConnectionError, match=r"the proxy answered 403.*did not arrive"):
        ways.export(client)
    assert len(proxy.asked) == IMPATIENT.attempts
    with pytest.raises(AnalyticsDownloadFailed, match="the proxy answered 403"):
        ways.fetch(client, f"https://{FILES}/out.csv")


def test_downloads_may_be_kept_off_the_proxy(hidden, authority, ways, monkeypatch):
    """With proxied_downloads=False a file comes from an address that was judged here, or not at all."""
    _, proxy = hidden
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with Client(
        "sk_x",
        f"https://{API}/v1",
        retry=IMPATIENT,
        verify=authority.bundle,
        proxied_downloads=False,
    ) as client:
        assert ways.count(client) == {"count": 7}
        with pytest.raises(AnalyticsDownloadFailed, match="no address"):
            ways.fetch(client, f"https://{FILES}/out.csv")
    assert f"{FILES}:443" not in proxy.asked


def test_no_proxy_brings_the_check_of_addresses_back(hidden, client, ways, names, monkeypatch):
    """A host of NO_PROXY is reached directly, so that its addresses are judged."""
    _, proxy = hidden
    names.answers[FILES] = [["10.1.2.3"]]
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", FILES)
    with pytest.raises(AnalyticsDownloadFailed, match="not on the public internet"):
        ways.fetch(client, f"https://{FILES}/out.csv")
    assert proxy.asked == []


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "10.0.0.1", "127.0.0.1", "[::1]", "[fd00:ec2::254]"]
)
def test_an_address_in_the_url_is_judged_with_a_proxy_as_well(
    hidden, client, ways, monkeypatch, host
):
    """A proxy decides about names; an address that can be read off the URL is refused before anybody is asked."""
    _, proxy = hidden
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(AnalyticsDownloadFailed, match="not on the public internet"):
        ways.fetch(client, f"https://{host}/out.csv")
    assert proxy.asked == []


def test_an_excepted_api_is_called_directly(service, ways, monkeypatch):
    """NO_PROXY is followed for calls: a proxy that is not there is not missed."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "fd00::/8, 127.0.0.0/8")
    service.script = in_turn(COUNT)
    with Client("sk_x", service.base_url, retry=IMPATIENT) as client:
        assert ways.count(client) == {"count": 7}
    monkeypatch.delenv("NO_PROXY")
    with (
        Client("sk_x", service.base_url, retry=IMPATIENT) as client,
        pytest.raises(ApiConnectionError),
    ):
        ways.count(client)


EXCEPTIONS = [
    ("*", "https://a.example", True),
    ("example", "https://a.example", True),
    (".example", "https://a.example", True),
    ("*.example", "https://a.example", True),
    ("A.EXAMPLE.", "https://a.example", True),
    ("ample", "https://a.example", False),
    ("a.example:443", "https://a.example", True),
    ("a.example:8443", "https://a.example", False),
    ("a.example:8443", "https://a.example:8443", True),
    ("http://a.example", "https://a.example", False),
    ("all://a.example", "https://a.example", True),
    ("10.0.0.0/8", "https://10.2.3.4", True),
    ("10.0.0.0/8", "https://11.2.3.4", False),
    ("10.0.0.0/8", "https://10.example", False),
    ("10.2.3.4", "https://10.2.3.4", True),
    ("::1", "https://[::1]", True),
    ("0:0::1", "https://[::1]", True),
    ("[::1]", "https://[::1]:8443", True),
    ("[::1]:8443", "https://[::1]:8443", True),
    ("[::1]:8443", "https://[::1]", False),
    ("fd00::/8", "https://[fd12::3]", True),
    ("[fd00::]/8", "https://[fd12::3]", True),
    ("fd00::/8", "https://[fe80::3]", False),
    ("fd00::/8", "https://10.2.3.4", False),
    ("localhost, 127.0.0.1 fe80::/10", "https://[fe80::1]", True),
    ("", "https://a.example", False),
    (" , ,", "https://a.example", False),
]


@pytest.mark.parametrize(("exceptions", "url", "direct"), EXCEPTIONS)
def test_no_proxy(monkeypatch, exceptions, url, direct):
    """Names with what lies below them, ports, addresses and networks of both kinds."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert (proxy_for(url) is None) is direct


def test_which_variable_is_read(monkeypatch):
    """The scheme's own before ALL_PROXY, lower case before upper case even where it is empty, none without any."""
    assert proxy_for("https://a.example") is None
    monkeypatch.setenv("ALL_PROXY", "all.example:1")
    assert proxy_for("https://a.example") == "http://all.example:1"
    monkeypatch.setenv("HTTPS_PROXY", "http://upper.example:2")
    assert proxy_for("https://a.example") == "http://upper.example:2"
    assert proxy_for("http://a.example") == "http://all.example:1"
    monkeypatch.setenv("https_proxy", "")
    monkeypatch.setenv("all_proxy", "")
    assert proxy_for("https://a.example") is None
    monkeypatch.setenv("HTTP_PROXY", "http://header.example:3")
    assert proxy_for("http://a.example") == "http://header.example:3"
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    assert proxy_for("http://a.example") is None


MALFORMED = {
    "scheme": ("HTTPS_PROXY", "ftp://user:secret@proxy:1"),
    "old socks": ("ALL_PROXY", "socks4://secret@proxy:1"),
    "socks without a number": ("all_proxy", "socks://secret@proxy:1"),
    "port": ("HTTPS_PROXY", "http://user:secret@proxy:port"),
    "port 0": ("HTTPS_PROXY", "http://user:secret@proxy:0"),
    "no host": ("https_proxy", "http://user:secret@"),
    "bracket": ("HTTPS_PROXY", "http://user:secret@[::1"),
    "blank": ("HTTPS_PROXY", "http://user:secret@pro xy:1"),
    "quoted": ("HTTPS_PROXY", '"http://user:secret@proxy:1"'),
    "network": ("NO_PROXY", "10.0.0.0/99"),
    "IPv6 network": ("NO_PROXY", "fd00::/999"),
    "exception": ("no_proxy", "[::1"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_variable_that_cannot_be_read_is_named_at_once(
    service, tmp_path, ways, monkeypatch, case
):
    """Nothing is sent, nothing is tried again, and a password in it is not repeated."""
    name, value = MALFORMED[case]
    if name.upper() == "NO_PROXY":
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv(name, value)
    with Client("sk_x", "https://api.example/v1", retry=LONG) as client:
        for ask in (
            lambda: ways.count(client),
            lambda: ways.export(client),
            lambda: ways.fetch(client, "https://files.example/out.csv"),
        ):
            with pytest.raises(ConfigurationError, match=name) as caught:
                ask()
            assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_socks_proxy_without_its_package_is_named():
    """The package to install is said, where it is missing."""
    code = """
import sys
sys.modules["socksio"] = None
from vectorshift import Client, ConfigurationError
for ask in ("client.query().count()", "client.download_export(dict(download_url='https://f.example/x'), 'x.csv')"):
    client = Client("sk_x", "https://api.example/v1")
    try:
        eval(ask)
    except ConfigurationError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"ALL_PROXY": "socks5h://me:secret@proxy:1080", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    output = done.stdout.splitlines()
    assert len(output) == 2
    assert all("ALL_PROXY" in line and "httpx[socks]" in line for line in output)
    assert "secret" not in done.stdout


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("kind", ["missing", "of the other kind", "empty"])
def test_certificates_that_cannot_be_read_are_named_at_once(
    tmp_path, ways, monkeypatch, name, kind
):
    """A wrong path is an error of the settings, not seconds of retries that end in a connection error."""
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.write_bytes(b"")
    right, other = (file, folder) if name == "SSL_CERT_FILE" else (folder, file)
    path = {"missing": tmp_path / "nowhere", "of the other kind": other, "empty": right}[kind]
    monkeypatch.setenv(name, str(path))
    with Client("sk_x", "https://127.0.0.1:9/v1", retry=LONG) as client:
        for ask in (
            lambda: ways.count(client),
            lambda: ways.fetch(client, "https://8.8.8.8/out.csv"),
            client.prepare,
        ):
            with pytest.raises(ConfigurationError, match=name):
                ask()


def test_the_authorities_of_ssl_cert_file_are_believed(authority, ways, monkeypatch):
    """SSL_CERT_FILE says whom to trust, for calls and files."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    with (
        serving(answers, tls=authority.server("127.0.0.1")) as service,
        Client("sk_x", service.base_url, retry=IMPATIENT) as client,
    ):
        assert ways.count(client) == {"count": 7}
        url = service.base_url.removesuffix("/v1")
        assert ways.fetch(client, f"{url}/out.csv").bytes == len(CSV)


def test_proxied_downloads_is_true_or_false():
    """Anything else is refused where the client is built."""
    with pytest.raises(ConfigurationError, match="proxied_downloads"):
        Client("sk_x", proxied_downloads="no")
