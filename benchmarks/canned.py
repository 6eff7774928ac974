"""A server that answers from memory, so that what is measured is the client: HTTP or HTTPS, in a process of its own.

It reads no more of a request than its first line, its headers' lengths and its body.
"""

import asyncio
import multiprocessing
import os
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

Reply: TypeAlias = bytes | Path
Answer: TypeAlias = Callable[[str, bytes], Reply]
"""From a request's target ("/v1/analytics/count") and body to the reply's body: bytes, or a file that is sent as it lies."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where the server is, and the process that it runs in."""

    origin: str
    """`http://127.0.0.1:1234`"""
    pid: int
    trust: dict[str, str] = field(default_factory=dict)
    """Variables that make every usual client believe the certificate; of nothing where the server speaks plain HTTP."""

    @property
    def bundle(self) -> str | None:
        """The path of the authority's certificate, or None."""
        return self.trust.get("SSL_CERT_FILE")


@contextmanager
def canned(
    answer: Answer, *, tls: bool = False, delay: float = 0, content_type: str = "application/json"
) -> Iterator[Served]:
    """Serve `answer` in a forked process until the block ends; `delay` is seconds before each reply."""
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as folder:
        context, trust = _certificate(Path(folder)) if tls else (None, {})
        fork = multiprocessing.get_context("fork")
        told, tell = fork.Pipe(duplex=False)
        server = fork.Process(
            target=lambda: asyncio.run(_serve(answer, context, delay, content_type, tell.send)),
            daemon=True,
        )
        server.start()
        try:
            scheme = "https" if tls else "http"
            yield Served(f"{scheme}://127.0.0.1:{told.recv()}", server.pid or 0, trust)
        finally:
            server.terminate()
            server.join()


def _certificate(folder: Path) -> tuple[ssl.SSLContext, dict[str, str]]:
    from tests.sdk.certificates import Authority

    authority = Authority(folder)
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    return authority.server("127.0.0.1"), dict.fromkeys(names, str(authority.bundle))


async def _serve(
    answer: Answer,
    context: ssl.SSLContext | None,
    delay: float,
    content_type: str,
    tell: Callable[[int], object],
) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: "
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(answer, head.encode(), delay), "127.0.0.1", 0, ssl=context, backlog=2048
    )
    tell(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class _Connection(asyncio.Protocol):
    def __init__(self, answer: Answer, head: bytes, delay: float) -> None:
        self._answer, self._head, self._delay = answer, head, delay
        self._read = bytearray()
        self._wanted = 0
        self._sending: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # TCP, or TLS on it

    def data_received(self, data: bytes) -> None:
        self._read += data
        while len(self._read) >= self._wanted:
            end = self._read.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._read[:end])
            length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
            self._wanted = end + 4 + int(length or 0)
            if len(self._read) < self._wanted:
                return
            body = bytes(self._read[end + 4 : self._wanted])
            del self._read[: self._wanted]
            self._wanted = 0
            target = head.split(b" ", 2)[1].decode()
            if self._delay:
                loop = asyncio.get_running_loop()
                loop.call_later(self._delay, self._send, target, body)
            else:
                self._send(target, body)
            if not self._read:
                return

    def _send(self, target: str, body: bytes) -> None:
        if self._transport.is_closing():
            return
        reply = self._answer(target, body)
        if isinstance(reply, Path):
            self._sending = asyncio.get_running_loop().create_task(self._send_file(reply))
        else:
            self._transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(reply), reply))

    async def _send_file(self, path: Path) -> None:
        self._transport.write(b"%b%d\r\n\r\n" % (self._head, os.stat(path).st_size))
        with path.open("rb") as file:
            await asyncio.get_running_loop().sendfile(self._transport, file)
