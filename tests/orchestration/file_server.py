"""A download server of a few lines that sends any bytes in any framing, also what HTTP forbids."""

from __future__ import annotations

import gzip
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def announced(body: bytes, kept: int) -> bytes:
    """Content-Length of the whole body, then a part of it."""
    return _head(f"Content-Length: {len(body)}") + body[:kept]


def chunked(body: bytes, kept: int) -> bytes:
    """One chunk of the whole body, which breaks off."""
    return _head("Transfer-Encoding: chunked") + f"{len(body):x}\r\n".encode() + body[:kept]


def closing(body: bytes, kept: int) -> bytes:
    """No length at all: the end of the connection is the end of the body."""
    return _head() + body[:kept]


def gzipped(body: bytes, kept: int) -> bytes:
    """Compressed, cut, and the Content-Length of the cut."""
    packed = gzip.compress(body, 1)
    cut = packed[: min(len(packed) - 1, kept * len(packed) // len(body))]
    return _head("Content-Encoding: gzip", f"Content-Length: {len(cut)}") + cut


def terminated(body: bytes, kept: int) -> bytes:
    """A part of the body in chunks that end as they should."""
    part = body[:kept]
    chunk = f"{len(part):x}\r\n".encode() + part + b"\r\n" if part else b""
    return _head("Transfer-Encoding: chunked") + chunk + b"0\r\n\r\n"


def whole(body: bytes, *headers: str) -> bytes:
    """An honest answer."""
    return _head(f"Content-Length: {len(body)}", *headers) + body


CUTS = (announced, chunked, closing, gzipped, terminated)
"""The five ways in which a body can be too short."""


def _head(*headers: str) -> bytes:
    lines = ("HTTP/1.1 200 OK", "Content-Type: text/csv", "Connection: close", *headers, "", "")
    return "\r\n".join(lines).encode()


class FileServer:
    """`reply` is what every request gets; `asked` counts the requests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.reply = b""
        self.asked = 0


@contextmanager
def file_server() -> Iterator[FileServer]:
    """Serve until the block ends."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            served.asked += 1
            self.wfile.write(served.reply)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        served = FileServer(f"http://127.0.0.1:{server.server_address[1]}/file")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
