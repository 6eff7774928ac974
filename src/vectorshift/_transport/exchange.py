"""What passes between the transport and a wire: a request ready to send, an answer that came whole, or why none did.

A wire is a way of speaking HTTP. All of them ask for the same bytes and read an answer by the same rules, which are here.
"""

import re
import ssl
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

KEPT = 30.0
"""Seconds that an idle connection is kept."""

MOST_BYTES = 512 * 1024 * 1024
"""The largest body that is read into memory."""

LATE = "the total time of the call is over"
CUT = "the answer was cut short"
HUNG_UP = "the server closed the connection without an answer"
UNASKED = "the answer came before its request"

_PLAIN = re.compile(
    r"(?P<scheme>https?)://(?P<netloc>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]+)?"
    r"(?P<prefix>(/[A-Za-z0-9_~!$&'()*+,;=:@%-][A-Za-z0-9._~!$&'()*+,;=:@%-]*)*)"
)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect and to wait for the next bytes, how many requests may be under way at once, and whom to
    trust (None: the usual authorities)."""

    connect: float
    read: float
    connections: int
    trust: ssl.SSLContext | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where connections go, and what a request says of it: `netloc` in Host, `prefix` before its path."""

    secure: bool
    host: str
    port: int
    netloc: str
    prefix: str


@lru_cache(maxsize=64)
def plain_origin(base_url: str) -> Origin | None:
    """Read a base URL that needs no encoding; None for any other, which is left to httpx."""
    match = _PLAIN.fullmatch(base_url)
    if match is None:
        return None
    parts = urlsplit(base_url)
    usual = _PORTS[parts.scheme]
    port = parts.port or usual
    netloc = match["netloc"].lower() + ("" if port == usual else f":{port}")
    return Origin(parts.scheme == "https", parts.hostname or "", port, netloc, match["prefix"])


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `base_url` and `target` (path and query) are quoted and make its URL together."""

    method: str
    base_url: str
    target: str
    fields: Mapping[str, str] = field(repr=False)
    content: bytes | None

    def written(self, origin: Origin) -> bytes:
        """The request as HTTP/1.1 writes it."""
        fields = "".join([f"{name}: {value}\r\n" for name, value in self.fields.items()])
        content = self.content or b""
        length = f"Content-Length: {len(content)}\r\n" if content or self.method != "GET" else ""
        head = f"{self.method} {origin.prefix}{self.target} HTTP/1.1\r\nHost: {origin.netloc}\r\n{fields}{length}\r\n"
        return head.encode("ascii") + content


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its header fields in lower case, and its body as the service meant it, decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """No whole answer came. `sent` is False only where the service cannot have seen the request."""

    def __init__(self, reason: str, *, sent: bool = True, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.sent = sent
        self.timed_out = timed_out


class BlockingWire(Protocol):
    """Sends requests of several threads."""

    def exchange(self, request: Request, deadline: float, *, fresh: bool) -> Answer:
        """Send a request and read its answer, until `deadline` (monotonic); `fresh` takes a connection of its own.

        Raises `NoAnswer`.
        """

    def close(self) -> None:
        """Close the idle connections now, and the others when their answers have come."""


class AwaitingWire(Protocol):
    """Sends requests of one event loop."""

    async def exchange(self, request: Request, deadline: float, *, fresh: bool) -> Answer:
        """The same, awaiting; the caller ends it at the deadline."""

    async def aclose(self) -> None:
        """Close all connections."""


def not_connected(error: BaseException) -> NoAnswer:
    """No connection: the service has seen nothing."""
    return NoAnswer(f"no connection: {_message(error)}", sent=False)


def no_connection_within(seconds: float) -> NoAnswer:
    """No connection in time."""
    return NoAnswer(f"no connection within {seconds:g} s", sent=False, timed_out=True)


def broken(error: BaseException) -> NoAnswer:
    """The connection broke while a request was under way."""
    return NoAnswer(f"the connection broke: {_message(error)}")


def silent(seconds: float) -> NoAnswer:
    """Nothing came for too long."""
    return NoAnswer(f"nothing came for {seconds:g} s", timed_out=True)


def unreadable(why: str | Exception) -> NoAnswer:
    """The bytes are not HTTP, or are ambiguous. Of an error only the name is given: its text may hold those bytes."""
    reason = why if isinstance(why, str) else type(why).__name__
    return NoAnswer(f"the answer is not proper HTTP: {reason}")


def _message(error: BaseException) -> str:
    return str(error) or type(error).__name__


def check_size(received: int, limit: int = MOST_BYTES) -> None:
    """Raise `NoAnswer` for more bytes than may come."""
    if received > limit:
        raise NoAnswer(f"the answer is larger than {limit:,} bytes")


def joined(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header fields in lower case, with those of one name put together."""
    headers: dict[str, str] = {}
    for name, value in fields:
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def check_version(version: str) -> None:
    """Raise `NoAnswer` for an answer of another version of HTTP."""
    if version not in ("1.0", "1.1"):
        raise unreadable("its version is not 1.0 or 1.1")


def check_framing(headers: Mapping[str, str]) -> None:
    """Raise `NoAnswer` where two readers could find different ends of one answer."""
    if " " in "".join(headers):
        raise unreadable("the name of a field holds a blank")
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None and (length is not None or coding.strip().lower() != "chunked"):
        raise unreadable("its Transfer-Encoding leaves open where it ends")
    if length is not None and not (length.isascii() and length.isdigit()):
        raise unreadable("its Content-Length is not one number")


def decoded(headers: Mapping[str, str], body: bytes) -> bytes:
    """Decompress a body. Raises `NoAnswer` if it was cut, is too large, or not in the requested coding."""
    named = headers.get("content-encoding", "").lower()
    codings = [each for each in named.replace(" ", "").split(",") if each not in ("", "identity")]
    if not codings or not body:
        return body
    if codings not in (["gzip"], ["x-gzip"]):
        raise NoAnswer(f"the answer is compressed as {named}, and gzip was requested")
    plain = bytearray()
    while body:
        reader = zlib.decompressobj(wbits=31)  # gzip
        try:
            plain += reader.decompress(body, MOST_BYTES + 1 - len(plain))
        except zlib.error as error:
            raise NoAnswer(f"the answer cannot be decompressed: {error}") from None
        check_size(len(plain))
        if not reader.eof:
            raise NoAnswer(CUT)
        body = reader.unused_data
    return bytes(plain)
