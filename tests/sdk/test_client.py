"""Clients: where settings come from, connections, deadlines, and what happens at the edges of a process."""

import ast
import asyncio
import copy
import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
from functools import partial

import pytest

import vectorshift
from tests.sdk.conftest import IMPATIENT, SINCE
from tests.sdk.scripted import Answer, in_turn, serving
from vectorshift import (
    Analytics,
    ApiTimeoutError,
    AuthenticationError,
    Client,
    ConfigurationError,
    Retry,
)

COUNT = {"status": "success", "count": 1}
READY = {"status": "success", "task_id": "ex_1", "download_url": "http://127.0.0.1:9/x"}


# --- settings ----------------------------------------------------------------------------------


def test_settings_are_read_at_call_time(service, monkeypatch):
    """The key and the address of `Analytics` may change between two calls; the module wins over the environment."""
    service.script = in_turn(COUNT)
    query = Analytics.query()
    monkeypatch.setenv("VECTORSHIFT_API_KEY", "sk_environment")
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", service.base_url)
    query.count()
    monkeypatch.setattr(vectorshift, "api_key", "sk_module")
    query.count()
    with serving(COUNT) as other:
        monkeypatch.setattr(vectorshift, "base_url", other.base_url)
        query.count()
        keys = [each.headers["authorization"] for each in service.requests + other.requests]
    assert keys == ["Bearer sk_environment", "Bearer sk_module", "Bearer sk_module"]


def test_two_accounts_in_one_process(service, monkeypatch):
    """Each client uses its own key and address, whatever the environment says; bound queries stay with theirs."""
    service.script = in_turn(COUNT)
    monkeypatch.setenv("VECTORSHIFT_API_KEY", "sk_environment")
    with (
        serving(COUNT) as other,
        Client("sk_one", service.base_url) as one,
        Client("sk_two", other.base_url) as two,
    ):
        query = one.query().where(SINCE)
        query.count()
        query.using(two).count()
        copy.deepcopy(query).count()
        assert [each.headers["authorization"] for each in service.requests] == ["Bearer sk_one"] * 2
        assert [each.headers["authorization"] for each in other.requests] == ["Bearer sk_two"]


def test_a_wrong_key_is_reported(emulator):
    """A key that the service does not know is an AuthenticationError that says where keys come from."""
    with Client("sk_wrong", emulator.base_url) as client:
        with pytest.raises(AuthenticationError, match="VECTORSHIFT_API_KEY") as caught:
            client.query().count()
        assert caught.value.status_code == 401
    assert emulator.counters()["requests"] == {"count": 1}


@pytest.mark.parametrize("key", ["sk two words", "sk_line\nbreak", "ключ", "  "])
def test_an_unusable_key_is_refused(key):
    """A key that no header can carry raises before anything is sent, and is not repeated."""
    with pytest.raises(ConfigurationError, match="ASCII text without spaces") as caught:
        Client(key)
    assert key.strip() == "" or key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com/v1",
        "ftp://api.example.com/v1",
        "https://",
        "https://user:secret@host/v1",
        "https://host/v1?key=secret",
        "https://host/v1#secret",
        "https://host:99999/v1",
        "https://host:port/v1",
        "https://[::1/v1",
        "",
    ],
)
def test_an_unusable_address_is_refused(url):
    """An address that is none raises at construction, and no password in it is repeated."""
    with pytest.raises(ConfigurationError, match="https://host/v1") as caught:
        Client("sk_x", url)
    assert "secret" not in str(caught.value)


def test_an_unusable_address_of_the_environment_is_refused(monkeypatch):
    """The environment's address is checked as well, when it is used."""
    monkeypatch.setenv("VECTORSHIFT_API_KEY", "sk_x")
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", "nonsense")
    with pytest.raises(ConfigurationError, match="VECTORSHIFT_BASE_URL"):
        Analytics.query().count()


def test_a_client_shows_no_key_and_does_not_pickle(scripted):
    """The key is in no repr, and a client refuses to cross a process boundary."""
    assert "sk_test_key" not in repr(scripted) + repr(scripted.query()) + repr(
        vars(scripted._transport())
    )
    with pytest.raises(TypeError, match="build one where it is used"):
        pickle.dumps(scripted)


def test_every_request_has_the_same_headers(scripted, service):
    """Bearer key and JSON on GET and POST; no cookies, and a trailing slash of the address is harmless."""
    service.script = in_turn(Answer(COUNT | {"event": {}}, headers={"Set-Cookie": "a=b"}))
    with Client("sk_test_key", service.base_url + "/") as client:
        client.query().count()
        client.event("sp_1")
    for request in service.requests:
        assert request.headers["authorization"] == "Bearer sk_test_key"
        assert request.headers["content-type"] == "application/json"
        assert request.path.startswith("/analytics/")
    assert [request.method for request in service.requests] == ["POST", "GET"]


# --- connections -------------------------------------------------------------------------------


def test_connections_are_reused(scripted, service):
    """Thirty calls in a row take one TCP connection, blocking and awaiting; an export takes a fresh one."""
    service.script = in_turn(COUNT)
    for _ in range(30):
        scripted.query().count()
    assert service.connections == 1

    async def thirty():
        for _ in range(30):
            await scripted.query().acount()

    asyncio.run(thirty())
    assert service.connections == 2
    service.script = in_turn(READY)
    scripted.query().export("CSV", "a.csv")
    assert service.connections == 3


def test_threads_share_a_client(scripted, service):
    """Eight threads that start together get right answers over at most as many connections."""
    service.script = in_turn(COUNT)
    start = threading.Barrier(8)
    result = []

    def work():
        start.wait()
        result.extend(scripted.query().count()["count"] for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert result == [1] * 40
    assert service.connections <= 8


def test_requests_at_once_are_bounded(service):
    """No more than max_connections requests are under way, however many are requested at once."""
    service.script = in_turn(COUNT)

    async def many():
        async with Client("sk_x", service.base_url, max_connections=3) as client:
            return await asyncio.gather(*(client.query().acount() for _ in range(40)))

    assert asyncio.run(many()) == [{"count": 1}] * 40
    assert service.connections == 3


def test_a_kept_connection_that_died_is_replaced(scripted, service):
    """A server that closes kept connections costs a retry, not an error."""
    body = b'{"status": "success", "count": 1}'
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
    service.script = lambda _: Answer(raw=[head.encode() + body])  # after which it hangs up
    assert [scripted.query().count()["count"] for _ in range(3)] == [1, 1, 1]


def test_a_closed_client_connects_again(scripted, service):
    """close() ends the connections; the client works on."""
    service.script = in_turn(COUNT)
    scripted.query().count()
    scripted.close()
    assert scripted.query().count() == {"count": 1}
    assert service.connections == 2


def test_a_redirect_is_not_followed_with_the_key(scripted, service):
    """A redirect of an API call is an error; the key goes to no other host."""
    with serving(COUNT) as other:
        service.script = in_turn(
            Answer({}, 307, {"Location": f"{other.base_url}/analytics/events/count"})
        )
        with pytest.raises(vectorshift.VectorshiftApiError, match="HTTP 307"):
            scripted.query().count()
        assert other.requests == []


# --- deadlines ---------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 33\r\n\r\n"
REPLY = HEAD + b'{"status": "success", "count": 1}'


@pytest.fixture(params=["hang", "hang after headers", "hang mid-body", "drip", "drip of a body"])
def stuck(request, service):
    """A service that accepts, and then never finishes its answer."""

    def pieces():
        match request.param:
            case "hang after headers":
                yield HEAD
            case "hang mid-body":
                yield REPLY[:-5]
            case "drip":
                yield from service.pieces(REPLY * 9, 0.02)
            case "drip of a body":
                yield HEAD.replace(b"33", b"9999")
                yield from service.pieces(b" " * 9999, 0.02)
        yield from service.silence()

    service.script = lambda _: Answer(raw=pieces())
    return service


def _awaited(query):
    return asyncio.run(query.acount())


@pytest.mark.parametrize("how", ["blocking", "awaiting"])
def test_the_total_time_always_wins(stuck, how):
    """Whatever the service does, a call with its retries ends within total_timeout, and says so."""
    with Client("sk_x", stuck.base_url, total_timeout=0.15, retry=IMPATIENT) as client:
        began = time.monotonic()
        ask = client.query().count if how == "blocking" else partial(_awaited, client.query())
        with pytest.raises(ApiTimeoutError, match=r"POST /analytics/events/count.*may have acted"):
            ask()
        assert time.monotonic() - began < 1.15


def test_the_read_timeout_holds_for_each_try(service):
    """timeout= bounds the wait for the next bytes; the call is tried again within its total time."""
    service.script = lambda _: Answer(raw=service.silence())
    with (
        Client("sk_x", service.base_url, timeout=0.05, retry=Retry(3, 0.0)) as client,
        pytest.raises(ApiTimeoutError) as caught,
    ):
        client.query().count()
    assert isinstance(caught.value, TimeoutError)
    assert len(service.requests) == 3


def test_a_create_that_is_not_answered_is_not_repeated(service):
    """An export whose answer never came may exist: it is not created again."""
    service.script = lambda _: Answer(raw=service.silence())
    with (
        Client("sk_x", service.base_url, timeout=0.05, retry=IMPATIENT) as client,
        pytest.raises(ApiTimeoutError, match="may have acted on it"),
    ):
        client.query().export("CSV", "a.csv")
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "setting",
    [
        {"timeout": 0},
        {"connect_timeout": -1},
        {"total_timeout": float("nan")},
        {"max_connections": 0},
    ],
)
def test_unusable_limits_are_refused(setting):
    """Durations are above 0 and finite, and at least one connection is needed."""
    with pytest.raises(vectorshift.VectorshiftError):
        Client("sk_x", **setting)


# --- process edges -----------------------------------------------------------------------------


def _count_in_a_fork(client, queue):
    queue.put(client.query().count())


# Forking while the test's own server runs in a thread is what is tested here.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_worker_connects_again(scripted, service):
    """After a fork parent and child both go on, each over connections of its own."""
    service.script = in_turn(COUNT)
    scripted.query().count()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_count_in_a_fork, args=(scripted, queue))
    child.start()
    assert queue.get() == {"count": 1}
    child.join()
    assert child.exitcode == 0
    assert scripted.query().count() == {"count": 1}
    assert service.connections == 2


def test_event_loops_leave_nothing_behind(scripted, service):
    """asyncio.run may be used again and again without warnings, open connections or remembered loops."""
    service.script = in_turn(COUNT)

    async def some():
        return await asyncio.gather(*(scripted.query().acount() for _ in range(20)))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            assert len(asyncio.run(some())) == 20
        gc.collect()
    assert [str(each.message) for each in caught] == []
    assert scripted._transport()._awaiting == {}


IMPORT_COST = """
import sys
{imports}
heavy = sorted({{"httpx", "msgspec", "asyncio", "ssl", "http.client", "email"}} & set(sys.modules))
assert heavy == {allowed}, heavy
assert not {{name for name in sys.modules if name.startswith("vectorshift_")}}
"""


@pytest.mark.parametrize(
    ("imports", "allowed"),
    [
        ("import vectorshift", []),
        ("from vectorshift import Analytics", []),
        ("from vectorshift import *", ["msgspec"]),
        (
            "import vectorshift; vectorshift.Analytics.query(object_type='pipeline').where(status='failure').to_dict()",
            ["msgspec"],
        ),
        ("from vectorshift import Client; Client('sk_x').query()", ["msgspec"]),
    ],
    ids=["package", "Analytics", "star", "a query", "a client"],
)
def test_importing_is_cheap(imports, allowed):
    """The SDK loads no HTTP before the first request, and msgspec, which queries are made of, with the first query."""
    code = IMPORT_COST.format(imports=imports, allowed=allowed)
    subprocess.run(
        [sys.executable, "-S", "-c", code],
        check=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_the_names_load_nothing_until_they_are_used():
    """`from vectorshift import Analytics` loads no module but its own: DAG files are parsed again and again."""
    code = (
        "import sys; before = set(sys.modules); import importlib, __future__\n"
        "from vectorshift import Analytics\n"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('vectorshift')))\n"
        "assert Analytics.query(object_type='pipeline').to_dict()"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    allowed = {"__future__", "importlib", "importlib._bootstrap", "importlib._bootstrap_external"}
    assert set(ast.literal_eval(done.stdout)) <= allowed | {"warnings"}


def test_prepare_leaves_nothing_to_load():
    """After `prepare` an event loop's first call imports nothing of ours or httpx's; `prepare` itself sends nothing."""
    code = """
import asyncio, sys
from vectorshift import ApiConnectionError, Client, Retry

ours = lambda: {name for name in sys.modules if name.startswith(("vectorshift", "httpx", "httpcore", "msgspec"))}

async def first_call():
    async with Client("sk_x", base_url="http://127.0.0.1:9", retry=Retry(attempts=1)) as client:
        await asyncio.to_thread(client.prepare)
        before = ours()
        try:
            await client.query().acount()
        except ApiConnectionError:
            assert before == ours(), ours() - before
            return
        raise SystemExit("somebody answered")

asyncio.run(first_call())
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_is_true():
    """Every name of __all__ exists, is listed once, and comes from its home; other names are refused."""
    import vectorshift.analytics as analytics

    for module in (vectorshift, analytics):
        assert len(set(module.__all__)) == len(module.__all__)
        for name in module.__all__:
            assert hasattr(module, name)
    assert set(dir(vectorshift)) == set(vectorshift.__all__)
    with pytest.raises(AttributeError, match="no attribute 'analytic'"):
        vectorshift.analytic  # noqa: B018  # the access is the test


PAGE = (
    "Analytics EventField EventKind EventStatus GroupBy Interval AggregationField AggregationOp AggregationOperation "
    "Percentile Filter FieldFilter FilterGroup LogicalOp ExportFormat FieldOp FieldFilterOp Query Event EventPage EventCount "
    "AggregationResult AggregationBucket DataTableResult DataTableRow Trace RunData ExportTask PaginationMeta AnalyticsError "
    "AnalyticsNotFound AnalyticsInvalidQuery AnalyticsExportFailed AnalyticsExportTimeout"
)


def test_every_name_of_the_page_is_there():
    """What the reference page imports from vectorshift.analytics can be imported from there."""
    import vectorshift.analytics as analytics

    assert set(PAGE.split()) - set(analytics.__all__) == set()
