"""Downloads: signed URLs that expire, ETag, ranges, HEAD; against a real server."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from vectorshift_emulator._settings import Settings
from vectorshift_emulator.data import seed
from vectorshift_emulator.data.store import Store
from vectorshift_emulator.exports.tasks import Exports

END = datetime(2026, 3, 2, tzinfo=UTC)


@contextmanager
def serving(app) -> Iterator[str]:
    """Run an ASGI app on a free loopback port; yield its origin."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.002)  # the server has no event to wait for
        host, port = server.servers[0].sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def settings():
    """The switches of the exports: ready at once."""
    return Settings(export_mode="sync")


@pytest.fixture(scope="module")
def exports(settings, tmp_path_factory):
    """Exports that are ready at once, whose files a real server hands out; 400 events."""
    store = Store()
    seed.fill(store.cursor(), events=400, days=7, seed=1, end=END)

    async def download(request):
        return exports.download(request)

    with serving(Starlette(routes=[Route("/downloads/{id:path}", download)])) as origin:
        exports = Exports(
            store,
            tmp_path_factory.mktemp("exports"),
            settings,
            secret=b"a secret",
            public_url=lambda: origin,
        )
        yield exports
    exports.close()
    store.close()


@pytest.fixture(scope="module")
def task(exports):
    """A finished CSV export, larger than one block of the stream."""
    query = "SELECT span_id, repeat(trace_id, 50) AS filler FROM events"
    return exports.create(query, [], extension="CSV", file_name="fails 1/2.csv")


@pytest.fixture(scope="module")
def client():
    """A client without proxies."""
    with httpx.Client(trust_env=False) as client:
        yield client


def url_of(task):
    """A fresh download URL."""
    return task.reply(datetime.now(UTC))["download_url"]


def test_a_download_is_the_file(task, client):
    """GET sends every byte with length, type, name and a strong ETag."""
    reply = client.get(url_of(task))
    content = task.path.read_bytes()
    assert len(content) > 256 * 1024
    assert reply.status_code == 200
    assert reply.content == content
    assert reply.headers["content-length"] == str(len(content))
    assert reply.headers["etag"] == f'"{sha256(content).hexdigest()}"'
    assert reply.headers["content-type"].startswith("text/csv")
    assert reply.headers["content-disposition"].endswith("fails%201%2F2.csv")
    assert reply.headers["accept-ranges"] == "bytes"


def test_head_has_the_headers_alone(task, client):
    """HEAD sends the headers of the whole file, ignores a range, and has no body."""
    reply = client.head(url_of(task), headers={"Range": "bytes=0-9"})
    assert reply.status_code == 200
    assert reply.headers["content-length"] == str(task.written.size)
    assert reply.headers["etag"] == f'"{task.written.sha256}"'
    assert reply.content == b""


@pytest.mark.parametrize("asked", ["0-0", "5-9", "100-", "-7", "5-99999999", "-99999999"])
def test_a_range_is_that_part(task, client, asked):
    """A satisfiable range gets 206, Content-Range and exactly those bytes."""
    content = task.path.read_bytes()
    size = len(content)
    first, _, last = asked.partition("-")
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    reply = client.get(url_of(task), headers={"Range": f"bytes={asked}"})
    assert reply.status_code == 206
    assert reply.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
    assert reply.headers["content-length"] == str(stop - start)
    assert reply.content == content[start:stop]


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0"])
def test_a_range_behind_the_end_is_416(task, client, asked):
    """A range without a byte in the file gets 416 and the file's size."""
    reply = client.get(url_of(task), headers={"Range": asked})
    assert reply.status_code == 416
    assert reply.headers["content-range"] == f"bytes */{task.written.size}"
    assert reply.json()["status"] == "failed"


@pytest.mark.parametrize(
    "asked", ["bytes=9-5", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=0-1,4-5"]
)
def test_a_range_of_no_meaning_is_ignored(task, client, asked):
    """A malformed range, another unit and several ranges get the whole file."""
    reply = client.get(url_of(task), headers={"Range": asked})
    assert reply.status_code == 200
    assert len(reply.content) == task.written.size


def test_if_range_guards_a_resume(task, client):
    """With the file's ETag a range is honoured, with another one the whole file comes."""
    url = url_of(task)
    same = {"Range": "bytes=5-", "If-Range": f'"{task.written.sha256}"'}
    assert client.get(url, headers=same).status_code == 206
    for other in ('"0123"', f'W/"{task.written.sha256}"'):
        assert client.get(url, headers=same | {"If-Range": other}).status_code == 200


def test_an_empty_json_export_downloads(exports, client):
    """A file of nothing but brackets is a good download."""
    query = "SELECT span_id FROM events WHERE false"
    task = exports.create(query, [], extension="JSON", file_name="none.json")
    assert client.get(url_of(task)).json() == []


def test_an_expired_url_is_refused(settings, task, client, monkeypatch):
    """After url_ttl seconds a URL gets 403 and says so; the task's next reply has a good one."""
    with monkeypatch.context() as shortened:
        shortened.setattr(settings, "url_ttl", 0)
        refusal = client.get(url_of(task))
    assert refusal.status_code == 403
    assert "expired" in refusal.json()["error"]
    assert client.get(url_of(task)).status_code == 200


def test_urls_can_be_expired_at_once(exports, task, client):
    """expire_urls ends the URLs handed out before and no later one."""
    old = url_of(task)
    exports.expire_urls()
    refusal = client.get(old)
    assert refusal.status_code == 403
    assert "expired" in refusal.json()["error"]
    assert client.get(url_of(task)).status_code == 200


@pytest.mark.parametrize(
    "spoil", ["signature", "expires", "name", "task", "no query", "not a number"]
)
def test_a_tampered_url_is_refused(exports, task, client, spoil):
    """A URL with any part changed gets 403 with a JSON body."""
    url = url_of(task)
    expires, signature = (parse_qs(urlsplit(url).query)[key][0] for key in ("expires", "signature"))
    other = exports.create("SELECT 1 AS a", [], extension="CSV", file_name=task.file_name)
    spoiled = {
        "signature": url.replace(signature, signature[::-1]),
        "expires": url.replace(expires, str(int(expires) + 1)),
        "name": url.replace("fails", "sails"),
        "task": url.replace(task.task_id, other.task_id),
        "no query": url.partition("?")[0],
        "not a number": url.replace(expires, "soon"),
    }[spoil]
    assert spoiled != url
    refusal = client.get(spoiled)
    assert refusal.status_code == 403
    assert refusal.json() == {
        "status": "failed",
        "error": "the signature of the download URL does not match",
    }


def test_a_file_that_is_gone_is_404(exports, client):
    """A good URL of a deleted file gets 404 with a JSON body."""
    task = exports.create("SELECT 1 AS a", [], extension="CSV", file_name="gone.csv")
    url = url_of(task)
    task.path.unlink()
    refusal = client.get(url)
    assert refusal.status_code == 404
    assert refusal.json()["status"] == "failed"
