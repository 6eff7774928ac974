"""A forward proxy of the test's own: it knows names that nobody else knows, and remembers what it was asked."""

import base64
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Proxy:
    """What a test sees: the proxy's `url`, the `routes` (host:port to local port), and what was `asked` of it.

    `credentials` (user:password), once given, are demanded; a host without a route is answered with `refusal`.
    """

    def __init__(self) -> None:
        self.url = ""
        self.routes: dict[str, int] = {}
        self.asked: list[str] = []
        self.credentials: str | None = None
        self.refusal = 502


@contextmanager
def forwarding() -> Iterator[Proxy]:
    """Run a proxy while the block lasts: tunnels by CONNECT, and plain requests in their absolute form."""
    proxy = Proxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def port_of(self, target: str) -> int | None:
            proxy.asked.append(target)
            arguments = self.headers.get("proxy-authorization", "")
            if proxy.credentials is not None:
                expected = base64.b64encode(proxy.credentials.encode()).decode()
                if arguments != f"Basic {expected}":
                    self.send_error(407)
                    return None
            if target not in proxy.routes:
                self.send_error(proxy.refusal)
            return proxy.routes.get(target)

        def do_CONNECT(self) -> None:
            self.close_connection = True
            port = self.port_of(self.path)
            if port is None:
                return
            with socket.create_connection(("127.0.0.1", port)) as onward:
                self.send_response(200)
                self.end_headers()
                ends = {self.connection: onward, onward: self.connection}
                while True:
                    for each in select.select(list(ends), [], [])[0]:
                        try:
                            data = each.recv(65536)
                            if data:
                                ends[each].sendall(data)
                        except OSError:
                            return
                        if not data:
                            return

        def forward(self) -> None:
            parts = urlsplit(self.path)
            port = self.port_of(f"{parts.hostname}:{parts.port or 80}")
            if port is None:
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            onward = HTTPConnection("127.0.0.1", port)
            stored = {n: v for n, v in self.headers.items() if not n.lower().startswith("proxy-")}
            onward.request(self.command, f"{parts.path}?{parts.query}".rstrip("?"), body, stored)
            answer = onward.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("date", "server", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            onward.close()

        do_GET = do_POST = forward

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Whoever hangs up is part of the test."""

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
