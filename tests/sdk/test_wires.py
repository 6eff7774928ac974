"""What every wire promises, proven on each: the same answers, the same errors, and nothing sent twice unseen."""

import asyncio
import gzip
import logging
import subprocess
import sys
import threading
import zlib

import pytest

from tests.sdk.certificates import Authority
from tests.sdk.conftest import IMPATIENT
from tests.sdk.raw_server import raw_server
from tests.sdk.scripted import Answer, in_turn, serving
from tests.sdk.ways import ONCE, way
from vectorshift import ApiConnectionError, ApiTimeoutError, Client, VectorshiftApiError
from vectorshift._transport import choice, exchange
from vectorshift._transport.exchange import NoAnswer
from vectorshift._transport.incoming import Incoming

__all__ = ["way"]

COUNT = b'{"status": "success", "count": 7}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n" + COUNT


def answered(way, data, **settings):
    """The outcome of one count that is answered with these bytes, after which the server hangs up."""
    with serving(lambda _: Answer(raw=[data])) as service:
        outcome = way.count(service.base_url, **settings)
        assert len(service.requests) == 1
    return outcome


# --- which wire --------------------------------------------------------------------------------


def test_the_wire_is_reported_once_with_its_reason(way, service, caplog):
    """One line at DEBUG says which wire was chosen and why."""
    service.script = in_turn({"status": "success", "count": 7})
    with caplog.at_level(logging.DEBUG, "vectorshift"), way.client(service.base_url) as client:
        way.each(client, ("count",), ("count",))
    [line] = [each.getMessage() for each in caplog.records if each.name == choice.__name__]
    assert f"calls go by {way.library}: " in line


@pytest.mark.parametrize("path", ["v 1", "é/v1", "a/../v1"])
def test_a_base_url_that_needs_encoding_goes_by_httpx(service, path):
    """What only httpx puts right is left to httpx, and arrives."""
    base_url = service.base_url.removesuffix("v1") + path
    assert choice.wire(base_url, None).library == "httpx"
    service.script = in_turn({"status": "success", "count": 7})
    with Client("sk_test_key", base_url, retry=ONCE) as client:
        assert client.query().count() == {"count": 7}
        assert asyncio.run(client.query().acount()) == {"count": 7}
    [one, other] = service.requests
    assert one.path == other.path
    assert one.path.isascii()


@pytest.mark.parametrize("missing", ["httptools", "aiohappyeyeballs"])
def test_the_sdk_alone_goes_by_httpx(service, missing):
    """Without the extra `fast` calls go by httpx, blocking and awaiting, and the log says what would make them cheaper."""
    service.script = in_turn({"status": "success", "count": 7})
    code = f"""
import asyncio, logging, sys
sys.modules[{missing!r}] = None
logging.basicConfig(stream=sys.stdout, format="%(message)s")
logging.getLogger("vectorshift").setLevel(logging.DEBUG)
from vectorshift import Client
client = Client("sk_x", {service.base_url!r})
print(client.query().count(), asyncio.run(client.query().acount()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for kind in ("Blocking", "Awaiting"):
        assert f"{kind} calls go by httpx: {missing} is not installed (pip install" in done.stdout
    assert "{'count': 7} {'count': 7}" in done.stdout


def test_blocking_calls_do_not_load_httpx(service):
    """A script that only asks the API over plain HTTP starts without the HTTP libraries."""
    service.script = in_turn({"status": "success", "count": 7})
    code = f"""
import sys
from vectorshift import Client
print(Client("sk_x", {service.base_url!r}).query().count())
assert not {{"httpx", "httpcore", "aiohttp"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# --- answers -----------------------------------------------------------------------------------

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"


def zipped(body):
    """An answer whose body is compressed already."""
    return GZIP % (len(body), body)


GOOD = {
    "length": OK,
    "chunked": CHUNKED
    + b"8;x=y\r\n"
    + COUNT[:8]
    + b"\r\n19\r\n"
    + COUNT[8:]
    + b"\r\n0\r\nA: b\r\n\r\n",
    "to its end": b"HTTP/1.1 200 OK\r\n\r\n" + COUNT,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + COUNT,
    "no reason": OK.replace(b" OK", b""),
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    + b"HTTP/1.1 100 Continue\r\n\r\n"
    + OK,
    "gzip": zipped(gzip.compress(COUNT)),
    "gzip in two members": zipped(gzip.compress(COUNT[:9]) + gzip.compress(COUNT[9:])),
    "identity": OK.replace(b"OK\r\n", b"OK\r\nContent-Encoding: identity\r\n"),
    "a long field": OK.replace(b"OK\r\n", b"OK\r\nX-Long: " + b"x" * 20_000 + b"\r\n"),
    "many fields": OK.replace(b"OK\r\n", b"OK\r\n" + b"X-Many: x\r\n" * 80),
    "a folded field": OK.replace(b"OK\r\n", b"OK\r\nX-Folded: a\r\n b\r\n"),
    "bare line feeds": OK.replace(b"\r\n", b"\n"),
    "a blank after a size": CHUNKED + b"21 \r\n" + COUNT + b"\r\n0\r\n\r\n",
    "no letters of ASCII": OK.replace(b"OK\r\n", b"OK\r\nX-Name: \xe9\r\n"),
}


@pytest.mark.parametrize("case", GOOD)
def test_an_answer_in_every_form(way, case):
    """However an answer says where it ends, and however it is compressed, it is read."""
    assert answered(way, GOOD[case]) == {"count": 7}


def test_a_status_and_fields_arrive(way):
    """Status, body and fields of an error are read, names in any case and several of one name together."""
    data = b'HTTP/1.1 418 No\r\nX-REQUEST-id: r1\r\nRetry-after: 7\r\nContent-Length: 15\r\n\r\n{"error": "no"}'
    error = answered(way, data)
    assert isinstance(error, VectorshiftApiError)
    assert (error.status_code, error.request_id, error.retry_after) == (418, "r1", 7)
    assert error.error_message == "no"


def test_a_status_without_a_body(way):
    """204 and 304 end with their head, whatever length they name."""
    for status in (204, 304):
        data = f"HTTP/1.1 {status} X\r\nContent-Length: 9\r\n\r\n".encode()
        assert isinstance(answered(way, data), VectorshiftApiError)


def test_a_redirect_is_reported_and_not_followed(way):
    """The key goes to no other host."""
    with serving({"status": "success", "count": 7}) as other:
        data = f"HTTP/1.1 307 X\r\nLocation: {other.base_url}\r\nContent-Length: 0\r\n\r\n"
        error = answered(way, data.encode())
        assert getattr(error, "status_code", None) == 307
        assert other.requests == []


def test_every_wire_asks_for_the_same(way, service):
    """Host, key, types, compression and length are the same bytes whichever wire sends them."""
    service.script = in_turn({"status": "success", "event": {}, "count": 7})
    with way.client(service.base_url) as client:
        way.each(client, ("count",), ("event", "sp/1 é"))
    posted, got = service.requests
    host = service.base_url.removeprefix("http://").removesuffix("/v1")
    fields = {
        "host": host,
        "authorization": "Bearer sk_test_key",
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "gzip",
        "user-agent": "vectorshift-orchestration",
    }
    kept = {"connection": "keep-alive"} if way.library == "httpx" else {}
    assert got.headers == fields | kept
    assert posted.headers == fields | kept | {"content-length": str(len(posted.body))}
    assert got.path.startswith("/analytics/events/sp%2F1%20%C3%A9")


# --- what is not an answer -------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n"
CUT = {
    "nothing": (b"", exchange.HUNG_UP),
    "in the body": (OK[:-3], exchange.CUT),
    "after the head": (HEAD, exchange.CUT),
    "in a chunk": (CHUNKED + b"21\r\n" + COUNT[:9], exchange.CUT),
    "between chunks": (CHUNKED + b"8\r\n" + COUNT[:8] + b"\r\n", exchange.CUT),
    "in gzip of a matching length": (zipped(gzip.compress(COUNT)[:-9]), exchange.CUT),
    "in the second member": (zipped(gzip.compress(COUNT) + gzip.compress(b" ")[:9]), exchange.CUT),
}


@pytest.mark.parametrize("case", CUT)
def test_an_answer_that_is_cut_short(way, case):
    """Wherever the bytes end too early it is an error of the connection, and the request may have been acted on."""
    data, reason = CUT[case]
    error = answered(way, data)
    assert type(error) is ApiConnectionError
    assert reason in str(error)
    assert error.sent is True


@pytest.mark.parametrize("size", [5, 14, 20, 38])
def test_a_head_that_is_cut_short(way, size):
    """Half a head is not an answer, wherever it ends."""
    error = answered(way, HEAD[:size])
    assert type(error) is ApiConnectionError
    assert error.sent is True


BAD = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a status that is none": b"HTTP/1.1 abc OK\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\nContent-Length: 34\r\n\r\n" + COUNT,
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + COUNT,
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +33\r\n\r\n" + COUNT,
    "a length in words": b"HTTP/1.1 200 OK\r\nContent-Length: all\r\n\r\n" + COUNT,
    "length and chunks": CHUNKED.replace(b"OK\r\n", b"OK\r\nContent-Length: 33\r\n") + b"0\r\n\r\n",
    "another coding": CHUNKED.replace(b"chunked", b"gzip, chunked") + b"0\r\n\r\n",
    "a chunk of no size": CHUNKED + b"x\r\n",
    "a chunk of a negative size": CHUNKED + b"-5\r\n",
    "a line that is no field": OK.replace(b"OK\r\n", b"OK\r\nnonsense\r\n"),
    "a blank in a name": OK.replace(b"Content-Length:", b"Content-Length :"),
    "a field without end": OK.replace(b"OK\r\n", b"OK\r\nX-Long: " + b"x" * 300_000 + b"\r\n"),
    "fields without end": OK.replace(b"OK\r\n", b"OK\r\n" + b"X-Many: x\r\n" * 30_000),
    "another version": OK.replace(b"1.1", b"2.0"),
    "another protocol": b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "not gzip": zipped(COUNT),
    "a coding that was not asked for": zipped(zlib.compress(COUNT)).replace(b"gzip", b"deflate"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_http_is_not_an_answer(way, case):
    """What two readers might read in two ways is an error of the connection, never a result."""
    error = answered(way, BAD[case], timeout=2)
    assert type(error) is ApiConnectionError
    assert error.sent is True


def test_a_body_without_end_is_not_kept(way, monkeypatch):
    """More than fits into memory is refused: by its length, as it comes, and as it is decompressed."""
    monkeypatch.setattr(exchange.check_size, "__defaults__", (1000,))
    monkeypatch.setattr(exchange, "MOST_BYTES", 1000)
    body = COUNT + b" " * 2000
    for data in (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body),
        b"HTTP/1.1 200 OK\r\n\r\n" + body,
        CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        zipped(gzip.compress(body)),
    ):
        assert "larger than 1,000 bytes" in str(answered(way, data))


@pytest.mark.parametrize("first", [1, 60_000, 200_000, 400_000])
def test_a_long_head_is_refused_however_its_pieces_fall(first):
    """Whether a head ends in the first bytes that come or in later ones, it is no longer than it may be."""
    head, read = BAD["a field without end"], Incoming()
    with pytest.raises(NoAnswer, match="head is too long"):
        read.feed(head[:first]) or read.feed(head[first:])


def test_a_long_body_is_not_a_long_head():
    """A body that comes together with its head does not count as one."""
    body, read = b"x" * 400_000, Incoming()
    assert read.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + body)
    assert read.answer().body == body


@pytest.mark.parametrize(
    "data",
    [
        b"sk_test_key https://x/y?sig=secret\r\n\r\n",
        OK.replace(b"OK\r\n", b"OK\r\nsk_test_key secret\r\n"),
        OK + b"secret",
        CHUNKED + b"secret\r\n",
    ],
)
def test_an_error_reveals_nothing_of_the_response(way, data):
    """Whatever a server sends in place of HTTP, be it the key or a row, does not get into an error."""
    error = answered(way, data)
    if error != {"count": 7}:
        assert type(error) is ApiConnectionError
        assert "sk_test" not in str(error)
        assert "secret" not in str(error)


# --- time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", HEAD[:20], HEAD, OK[:-1]])
def test_the_read_timeout_in_every_phase(way, service, sent):
    """Silence before the head, in it, after it or in the body ends the try, and says how long it was."""

    def pieces():
        yield sent
        yield from service.silence()

    service.script = lambda _: Answer(raw=pieces())
    error = way.count(service.base_url, timeout=0.05)
    assert type(error) is ApiTimeoutError
    assert "nothing came for 0.05 s" in str(error)
    assert error.sent is True


def test_a_handshake_that_hangs_ends_with_the_connect_timeout(way, service):
    """A server that accepts and never says hello has seen no request."""
    with raw_server(lambda _, __: b"") as server:
        error = way.count(
            server.base_url.replace("http:", "https:"), connect_timeout=0.05, total_timeout=5
        )
    assert type(error) is ApiTimeoutError
    assert "no connection within 0.05 s" in str(error)
    assert error.sent is False


def test_the_deadline_ends_a_trickle(way, service):
    """Bytes that keep coming do not outlast the total time."""
    service.script = lambda _: Answer(raw=service.pieces(OK.replace(b"33", b"99"), 0.02))
    error = way.count(service.base_url, total_timeout=0.15, timeout=1)
    assert type(error) is ApiTimeoutError
    assert exchange.LATE in str(error)


def test_a_server_that_is_not_there_has_seen_nothing(way):
    """A refused connection is an error of the connection, and says so."""
    error = way.count("http://127.0.0.1:9/v1")
    assert type(error) is ApiConnectionError
    assert "no connection: " in str(error)
    assert error.sent is False


def test_a_name_that_is_none_has_seen_nothing(way):
    """A host without an address, or with a label too long for any, is an error of the connection."""
    for host in ("nowhere.invalid", "x" * 70 + ".example"):
        error = way.count(f"http://{host}/v1")
        assert type(error) is ApiConnectionError, error
        assert error.sent is False


def test_a_stranger_is_not_believed(way, tmp_path):
    """A certificate that nobody vouches for ends the connection before the key is sent."""
    with serving({}, tls=Authority(tmp_path).server("127.0.0.1")) as service:
        error = way.count(service.base_url)
        assert service.requests == []
    assert type(error) is ApiConnectionError
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    assert error.sent is False


def test_https_is_kept_as_http_is(way, tmp_path):
    """Over TLS several calls take one connection."""
    authority = Authority(tmp_path)
    answer = {"status": "success", "count": 7}
    with (
        serving(answer, tls=authority.server("127.0.0.1")) as service,
        way.client(service.base_url, verify=authority.bundle) as client,
    ):
        assert way.each(client, *[("count",)] * 5) == [{"count": 7}] * 5
        assert service.connections == 1


# --- kept connections --------------------------------------------------------------------------


def test_a_request_is_not_sent_again_unseen(way):
    """A kept connection that dies under a request, a GET even, is one failed try, which the client's retries decide on."""

    def answers(connection, request):
        return OK if request == 0 else None

    with raw_server(answers) as server, way.client(server.base_url) as client:
        first, second, third = way.each(client, ("count",), ("event", "sp_1"), ("count",))
        assert server.requests == [2, 1]
    assert first == third == {"count": 7}
    assert type(second) is ApiConnectionError
    assert second.sent is True


def test_what_comes_unasked_is_nobodys_answer(way):
    """A second answer to one request ends the connection: the next call is answered over another one, or by an error."""
    unasked = OK.replace(b" 7}", b" 8}")

    def answers(connection, request):
        return OK + unasked if (connection, request) == (0, 0) else OK

    with raw_server(answers) as server, way.client(server.base_url) as client:
        first, second, third = way.each(client, ("count",), ("count",), ("count",))
        if way.library == "httpx":  # it has sent the next request when it finds the second answer
            assert type(second) is ApiConnectionError
            assert exchange.UNASKED in str(second)
            assert server.requests == [2, 1]
        else:
            assert second == {"count": 7}
            assert server.requests == [1, 2]
    assert first == third == {"count": 7}


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nX", b"x"])
def test_bytes_after_an_answer_make_no_answer(way, extra):
    """Half an answer that nobody requested may cost calls, and is never part of an answer."""

    def answers(connection, request):
        return OK + extra if (connection, request) == (0, 0) else OK

    with raw_server(answers) as server, way.client(server.base_url) as client:
        *early, last = way.each(client, ("count",), ("count",), ("count",))
    assert last == {"count": 7}
    assert all(each == last or type(each) is ApiConnectionError for each in early)


def test_a_connection_that_says_close_is_not_used_again(way):
    """Connection: close, and HTTP/1.0, are the end of a connection."""
    for answer in (
        OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"),
        OK.replace(b"1.1", b"1.0"),
    ):
        with raw_server(answer) as server, way.client(server.base_url) as client:
            assert way.each(client, ("count",), ("count",)) == [{"count": 7}] * 2
            assert server.requests == [1, 1]


def test_an_old_connection_is_not_used_again(way, service, monkeypatch):
    """What was idle for too long may be dead without a sign."""
    service.script = in_turn({"status": "success", "count": 7})
    for name in ("kept", "kept_awaiting", "leases"):
        module = __import__(f"vectorshift._transport.{name}", fromlist=["KEPT"])
        monkeypatch.setattr(module, "KEPT", 0.0)
    with way.client(service.base_url) as client:
        assert way.each(client, ("count",), ("count",)) == [{"count": 7}] * 2
        assert service.connections == 2


def test_creating_takes_a_connection_of_its_own(way, service):
    """A create goes over none that was used, and leaves none."""
    service.script = in_turn(
        {"status": "success", "count": 7, "task_id": "ex_1", "task_status": "pending"}
    )
    with way.client(service.base_url) as client:
        made = way.each(client, ("count",), ("count",))
        assert service.connections == 1
        if way.is_awaiting:
            asyncio.run(client.query().aexport("CSV", "a.csv"))
        else:
            client.query().export("CSV", "a.csv")
        assert service.connections == 2
    assert made == [{"count": 7}] * 2


def test_requests_under_way_are_bounded(way, service):
    """No more than max_connections requests are under way, and every one of many is answered."""
    service.script = in_turn({"status": "success", "count": 7})
    with way.client(service.base_url, max_connections=2, retry=IMPATIENT) as client:
        if way.is_awaiting:

            async def many():
                async with client:
                    return await asyncio.gather(*(client.query().acount() for _ in range(40)))

            found = asyncio.run(many())
        else:
            found = []
            threads = [
                threading.Thread(target=lambda: found.append(client.query().count()))
                for _ in range(40)
            ]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
        assert found == [{"count": 7}] * 40
        assert service.connections <= 2


def test_waiting_for_a_connection_in_vain_is_an_error(way, service):
    """With every connection taken the time of a call ends its wait, and it is never sent."""
    asked = threading.Event()

    def script(request):
        asked.set()
        return Answer(raw=service.silence())

    service.script = script
    with way.client(service.base_url, max_connections=1, timeout=30) as client:
        if way.is_awaiting:

            async def two():
                async with client:
                    first = asyncio.create_task(client.query().acount())
                    await asyncio.to_thread(asked.wait)
                    with pytest.raises(ApiTimeoutError) as caught:
                        await client.aexport_task("ex_1", timeout=0.1)
                    service.ended.set()
                    await asyncio.gather(first, return_exceptions=True)
                return caught.value

            error = asyncio.run(two())
        else:
            first = threading.Thread(target=lambda: way.each(client, ("count",)))
            first.start()
            asked.wait()
            with pytest.raises(ApiTimeoutError) as caught:
                client.export_task("ex_1", timeout=0.1)
            service.ended.set()
            first.join()
            error = caught.value
    assert exchange.LATE in str(error)
    assert len(service.requests) == 1


def test_a_closed_client_goes_on_again(way, service):
    """After close, or aclose, the next call takes a new connection."""
    service.script = in_turn({"status": "success", "count": 7})
    with way.client(service.base_url) as client:
        assert way.each(client, ("count",)) == [{"count": 7}]
        client.close()
        assert way.each(client, ("count",)) == [{"count": 7}]
        assert service.connections == 2


AWAITING = pytest.mark.parametrize("way", ["kept awaiting", "httpx awaiting"], indirect=True)


@AWAITING
def test_a_cancelled_call_leaves_nothing(way, service):
    """Cancelled at any moment, a call gives its place back, and its connection to nobody."""
    asked = threading.Event()

    def script(request):
        if len(service.requests) == 2:
            asked.set()
            return Answer(raw=service.silence())
        return Answer({"status": "success", "count": 7})

    service.script = script

    async def talk():
        async with way.client(service.base_url, max_connections=1) as client:
            await client.query().acount()
            stuck = asyncio.create_task(client.query().acount())
            waiting = asyncio.create_task(client.query().acount())
            await asyncio.to_thread(asked.wait)
            stuck.cancel()
            ended = await asyncio.gather(stuck, return_exceptions=True)
            return ended, await waiting

    [ended], found = asyncio.run(talk())
    assert isinstance(ended, asyncio.CancelledError)
    assert found == {"count": 7}


@AWAITING
def test_event_loops_of_several_threads(way, service):
    """One client serves several event loops at once, each over connections of its own."""
    service.script = in_turn({"status": "success", "count": 7})
    found = []
    with way.client(service.base_url) as client:

        async def some():
            return await asyncio.gather(*(client.query().acount() for _ in range(5)))

        threads = [
            threading.Thread(target=lambda: found.extend(asyncio.run(some()))) for _ in range(4)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert client._transport()._awaiting == {}
    assert found == [{"count": 7}] * 20


@AWAITING
def test_aclose_ends_what_is_under_way(way, service):
    """Whoever still waits for an answer when the client is closed gets an error, and no connection is left."""
    asked = threading.Event()

    def script(request):
        asked.set()
        return Answer(raw=service.silence())

    service.script = script

    async def talk():
        async with way.client(service.base_url) as client:
            waiting = asyncio.create_task(client.query().acount())
            await asyncio.to_thread(asked.wait)
        return await asyncio.gather(waiting, return_exceptions=True)

    [error] = asyncio.run(talk())
    assert type(error) is ApiConnectionError
