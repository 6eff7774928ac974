"""A service that answers from a script and remembers what it was asked: for what the emulator never says."""

import json
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request as the service saw it; `path` is still percent-encoded and holds the query string."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """One answer; `raw` replaces all of it by bytes sent piece by piece, after which the connection ends."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: Iterable[bytes] | None = None

    @property
    def content(self) -> bytes:
        """The body as bytes; anything else is sent as JSON."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Script = Callable[[Request], Answer]


class Service:
    """What tests see: the address, the requests so far, the connections so far, and how to go on."""

    def __init__(self, script: Any) -> None:
        self.base_url = ""
        self.begin(script)

    def begin(self, script: Any) -> None:
        """Forget everything and follow a script, or give one answer again and again."""
        self.script: Script = script if callable(script) else in_turn(script)
        self.requests: list[Request] = []
        self.connections = 0
        self.ended = threading.Event()

    def pieces(self, text: bytes, every: float) -> Iterator[bytes]:
        """The bytes one at a time, `every` seconds apart, until the test is over."""
        ended = self.ended
        for position in range(len(text)):
            if ended.wait(every):
                return
            yield text[position : position + 1]

    def silence(self) -> Iterator[bytes]:
        """Nothing, until the test is over."""
        self.ended.wait()
        yield b""


def in_turn(*answers: Any) -> Script:
    """Give the answers in order; the last one again and again."""
    left = [each if isinstance(each, Answer) else Answer(each) for each in answers]
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def serving(script: Any, tls: ssl.SSLContext | None = None) -> Iterator[Service]:
    """Run a service of a script (or of one answer) while the block lasts; `service.base_url` ends in /v1."""
    service = Service(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            service.connections += 1
            super().setup()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path.removeprefix("/v1"), headers, body)
            service.requests.append(request)
            self.reply(service.script(request))

        def reply(self, answer: Answer) -> None:
            if answer.raw is not None:
                self.close_connection = True
                try:
                    for piece in answer.raw:
                        self.wfile.write(piece)
                except OSError:
                    return  # the client hung up, as it should
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = answer

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up is part of the script."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        service.base_url = f"{scheme}://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield service
        finally:
            service.ended.set()
            server.shutdown()
            thread.join()
