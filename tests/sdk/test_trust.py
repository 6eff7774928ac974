"""verify: whom a client believes, for calls and for downloads; there is no way to believe everybody."""

import asyncio
import contextlib
import ssl

import pytest

from tests.sdk.certificates import Authority
from tests.sdk.conftest import IMPATIENT
from tests.sdk.scripted import Answer, in_turn, serving
from vectorshift import (
    AnalyticsDownloadFailed,
    ApiConnectionError,
    Client,
    ConfigurationError,
)

COUNT = {"status": "success", "count": 1}
CSV = b"span_id,text\nsp_1,a\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority that no machine knows."""
    return Authority(tmp_path_factory.mktemp("authority"))


def old_tls(context):
    """The same server, which speaks TLS 1.1 at most."""
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with contextlib.suppress(ValueError):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


SERVERS = {
    "expired": lambda authority: authority.server("127.0.0.1", days=-1),
    "wrong host": lambda authority: authority.server("elsewhere.example"),
    "another authority": lambda authority: Authority(authority.folder, "stranger").server(
        "127.0.0.1"
    ),
    "TLS 1.1": lambda authority: old_tls(authority.server("127.0.0.1")),
}


@pytest.fixture(params=["blocking", "awaiting"])
def count(request):
    """query().count() of a client, in both ways."""

    def call(client):
        if request.param == "blocking":
            return client.query().count()
        return asyncio.run(client.query().acount())

    return call


@pytest.fixture(params=["blocking", "awaiting"])
def fetch(request, tmp_path):
    """download_export of a URL, in both ways."""

    def call(client, url):
        task = {"download_url": url, "format": "CSV"}
        if request.param == "blocking":
            return client.download_export(task, tmp_path / "out.csv")
        return asyncio.run(client.adownload_export(task, tmp_path / "out.csv"))

    return call


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_nobody_vouches_for_gets_no_key(authority, count, server):
    """Expired, for another host, of a stranger, or too old: the request is not sent."""
    with (
        serving(COUNT, tls=SERVERS[server](authority)) as service,
        Client("sk_x", service.base_url, retry=IMPATIENT, verify=authority.bundle) as client,
    ):
        with pytest.raises(ApiConnectionError, match="did not arrive"):
            count(client)
        assert service.requests == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("server", SERVERS)
def test_a_file_server_that_nobody_vouches_for_is_refused(authority, fetch, server, tmp_path):
    """Downloads trust whom the client trusts, and nobody else."""
    with (
        serving(Answer(CSV), tls=SERVERS[server](authority)) as files,
        Client(
            "sk_x", "https://127.0.0.1:9/v1", retry=IMPATIENT, verify=authority.bundle
        ) as client,
    ):
        with pytest.raises(AnalyticsDownloadFailed, match=r"ConnectError|SSL|TLS"):
            fetch(client, files.base_url + "/file")
        assert files.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["path", "text", "context"])
def test_an_authority_of_ones_own(authority, count, fetch, form):
    """The path of a bundle, or a context made of it, is trusted for calls and downloads."""
    bundle = authority.bundle
    context = ssl.create_default_context(cafile=bundle)
    verify = {"path": bundle, "text": str(bundle), "context": context}[form]
    with (
        serving(COUNT, tls=authority.server("127.0.0.1")) as service,
        Client("sk_x", service.base_url, retry=IMPATIENT, verify=verify) as client,
    ):
        assert count(client) == {"count": 1}
        service.script = in_turn(Answer(CSV))
        assert fetch(client, service.base_url + "/file").bytes == len(CSV)


def test_the_usual_authorities_do_not_know_it(authority, count):
    """Without verify= the same server is a stranger."""
    with (
        serving(COUNT, tls=authority.server("127.0.0.1")) as service,
        Client("sk_x", service.base_url, retry=IMPATIENT) as client,
        pytest.raises(ApiConnectionError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        count(client)


def test_a_file_server_is_checked_by_its_name(authority, fetch, names):
    """A download connects to the address that was checked, and still asks for the certificate of the name."""
    names.answers["files.example"] = [["127.0.0.1"]]
    asked_for = []
    tls = authority.server("files.example")
    tls.sni_callback = lambda _, name, __: asked_for.append(name)
    with (
        serving(Answer(CSV), tls=tls) as files,
        Client(
            "sk_x", "https://127.0.0.1:9/v1", retry=IMPATIENT, verify=authority.bundle
        ) as client,
    ):
        port = files.base_url.removesuffix("/v1").rpartition(":")[2]
        assert fetch(client, f"https://files.example:{port}/file").bytes == len(CSV)
        [seen] = files.requests
    assert asked_for == ["files.example"]
    assert seen.headers["host"] == f"files.example:{port}"


def unchecked(**settings):
    """A context that was told to look away."""
    context = ssl.create_default_context()
    for name, value in settings.items():
        setattr(context, name, value)
    return context


@pytest.mark.parametrize(
    "verify",
    [
        False,
        unchecked(check_hostname=False),
        unchecked(check_hostname=False, verify_mode=ssl.CERT_NONE),
        unchecked(check_hostname=False, verify_mode=ssl.CERT_OPTIONAL),
    ],
    ids=["False", "no host name", "no certificate", "any certificate"],
)
def test_unverified_tls_is_refused(verify):
    """There is no way to send the key without checking the certificate, and the way out is named."""
    with pytest.raises(ConfigurationError, match=r"CA bundle \(PEM\)"):
        Client("sk_x", verify=verify)


def test_what_is_not_a_bundle_is_refused(tmp_path):
    """A file that is missing, empty or of something else, a folder, and other values are reported at once."""
    (tmp_path / "empty.pem").touch()
    (tmp_path / "text.pem").write_text("no certificate")
    for verify in ("nowhere.pem", tmp_path, tmp_path / "empty.pem", tmp_path / "text.pem", None, 1):
        with pytest.raises(ConfigurationError, match="a file of PEM certificates"):
            Client("sk_x", verify=verify)


def test_the_certificates_of_these_tests_are_those_of_a_strict_python(tmp_path):
    """A client as strict as Python 3.13's own shakes hands with a server that the authority vouches for."""
    authority = Authority(tmp_path)
    strict = ssl.create_default_context(cafile=str(authority.bundle))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = strict.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = authority.server("localhost").wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert client.getpeercert()["subject"] == ((("commonName", "localhost"),),)
