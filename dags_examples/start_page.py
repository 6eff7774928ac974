"""The start page of `make up`: links to all that it started, how far each is, and the alerts that arrive here."""

import ipaddress
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from board import Board

OURS = Path(__file__).parent / "start_page"
SHARED = files("vectorshift_emulator.page")
PAGES: dict[str, tuple[Any, str]] = {
    "/": (OURS / "index.html", "text/html"),
    "/start.css": (OURS / "start.css", "text/css"),
    "/start.js": (OURS / "start.js", "text/javascript"),
    "/style.css": (SHARED / "style.css", "text/css"),
    "/dom.js": (SHARED / "dom.js", "text/javascript"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
LONGEST = 1_000_000
"""Bytes of an alert that are read at most."""


class StartPage(ThreadingHTTPServer):
    """The server.

    Args:
        port: where it listens, on this machine only.
        board: what it shows.
        health: the file of the health page.
    """

    daemon_threads = True

    def __init__(self, port: int, board: Board, health: Path) -> None:
        super().__init__(("127.0.0.1", port), _Answer)
        self.board, self.health = board, health

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve in a thread while the block lasts."""
        thread = threading.Thread(target=self.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class _Answer(BaseHTTPRequestHandler):
    server: StartPage

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not _is_own(self.headers.get("Host", "")):
            self._send(403, b"This page is opened as 127.0.0.1 or localhost.", "text/plain")
        elif path == "/state":
            self._send(200, json.dumps(self.server.board.shown()).encode(), "application/json")
        elif path == "/health.html" and self.server.health.exists():
            # Its own policy is in the file; this one takes nothing more.
            self._send(200, self.server.health.read_bytes(), "text/html", policy="sandbox")
        elif path in PAGES:
            file, kind = PAGES[path]
            self._send(200, file.read_bytes(), kind)
        else:
            self._send(404, b"There is nothing here.", "text/plain")

    def do_POST(self) -> None:
        """An alert; a browser sends an Origin, and no page may make one up."""
        sender = {"/alerts/airflow": "Airflow", "/alerts/dagster": "Dagster"}.get(self.path)
        length = self.headers.get("Content-Length", "")
        if sender is None or "Origin" in self.headers or not length.isdecimal():
            self._send(
                404, b"Alerts are posted to /alerts/airflow and /alerts/dagster.", "text/plain"
            )
            return
        payload = json.loads(self.rfile.read(min(int(length), LONGEST)))
        title, text = (
            _slack(payload) if sender == "Airflow" else (payload["title"], payload["reason"])
        )
        self.server.board.alert(sender, title, text)
        self._send(200, b"ok", "text/plain")

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not of interest."""

    def _send(self, status: int, body: bytes, kind: str, *, policy: str = POLICY) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _slack(message: dict[str, Any]) -> tuple[str, str]:
    """Title and text of a message to a Slack webhook."""
    texts = [block["text"]["text"] for block in message.get("blocks") or [] if "text" in block]
    return message.get("text", ""), "\n".join(texts)


def _is_own(host: str) -> bool:
    """Whether this machine was asked by a name that no other site can have (DNS rebinding)."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
