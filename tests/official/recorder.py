"""A service that answers everything and remembers what it was asked, request by request."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PREFIX = "/v1"

# The smallest reply of each route that both clients accept: nothing found, an export ready at once.
_EXPORT = {
    "status": "success",
    "task_id": "ex_1",
    "task_status": "ready",
    "download_url": "http://127.0.0.1:9/ex_1",
}
REPLIES: dict[str, dict[str, Any]] = {
    "/analytics/events/count": {"status": "success", "count": 0},
    "/analytics/events/search": {"status": "success", "events": []},
    "/analytics/aggregations": {"status": "success", "result": {"aggregation_result": {}}},
    "/analytics/tables": {"status": "success", "rows": [], "columns": []},
    "/analytics/exports": _EXPORT,
    "/analytics/run-data": {"status": "success", "result": {"chatbot": {}}},
    "/analytics/traces/": {
        "status": "success",
        "trace_id": "tr_1",
        "events": [{"span_id": "sp_1"}],
    },
    "/analytics/events/": {"status": "success", "event": {"spanId": "sp_1"}},
}


@dataclass(frozen=True)
class Request:
    """One request as the service saw it."""

    method: str
    path: str  # still percent-encoded, without the base URL's path
    raw_query: str
    authorization: str
    content_type: str
    body: str  # JSON with sorted keys; keeps 1, 1.0 and true apart, as the service would

    @property
    def query(self) -> list[tuple[str, str]]:
        """The decoded query values: clients may spell the same one in several ways."""
        return parse_qsl(self.raw_query, keep_blank_values=True)

    @property
    def json(self) -> Any:
        """The body as a value; None when there was none."""
        return json.loads(self.body) if self.body else None

    def __str__(self) -> str:
        """All that the service can tell apart, on one line."""
        head = f"{self.method} {self.path} {self.query}"
        return f"{head} [{self.authorization}] [{self.content_type}] {self.body}"


class Recorder:
    """Requests in order of arrival, by the API key they carried."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.by_key: defaultdict[str, list[Request]] = defaultdict(list)


@contextmanager
def recording() -> Iterator[Recorder]:
    """Serves on a free loopback port until the block ends."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), _Handler) as server:
        server.recorder = Recorder(f"http://127.0.0.1:{server.server_port}{PREFIX}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.recorder
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one packet
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        path = url.path.removeprefix(PREFIX)
        request = Request(
            method=self.command,
            path=path,
            raw_query=url.query,
            authorization=self.headers.get("Authorization", ""),
            content_type=self.headers.get("Content-Type", ""),
            body=canonical(json.loads(raw)) if raw else "",
        )
        key = request.authorization.removeprefix("Bearer ")
        self.server.recorder.by_key[key].append(request)
        body = json.dumps(_reply(path)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer

    def log_message(self, *_: Any) -> None:
        """Says nothing: the record is the log."""


def canonical(value: Any) -> str:
    """JSON text that is equal exactly when two values are equal to the service."""
    return json.dumps(value, sort_keys=True)


def _reply(path: str) -> dict[str, Any]:
    lookup = path.rpartition("/")[0] + "/"
    return REPLIES.get(path) or REPLIES.get(lookup) or {"status": "success"}
