"""One answer as it comes, in whatever pieces: read by llhttp, the parser of Node.js in C, which httptools wraps."""

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from vectorshift._transport.exchange import (
    CUT,
    HUNG_UP,
    Answer,
    NoAnswer,
    check_framing,
    check_size,
    check_version,
    decoded,
    joined,
    unreadable,
)

_LONGEST_HEAD = 1 << 17
"""Bytes; a head has no end of its own that a server must keep to."""


class Incoming:
    """What has arrived of an answer. `is_reusable` says, once it is complete, whether the connection may carry another request."""

    __slots__ = (
        "_came",
        "_fields",
        "_has_head",
        "_headers",
        "_parser",
        "_pieces",
        "_size",
        "_status",
        "is_reusable",
        "is_whole",
    )

    def __init__(self) -> None:
        self.is_reusable = False
        self.is_whole = False
        self._came = 0
        self._size = 0
        self._status = 0
        self._has_head = False
        self._headers: dict[str, str] | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._parser = HttpResponseParser(self)
        # Folded fields, bare line feeds, blanks after the size of a chunk: none leaves a doubt where an answer ends.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    def feed(self, data: bytes) -> bool:
        """Take the next bytes, empty where the connection has ended; return whether the answer is whole.

        Raises `NoAnswer` for what cannot become one.
        """
        if not data:
            self._end()
            return True
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.is_whole:
                raise unreadable(error) from None
            self.is_reusable = False  # it came after the answer, without a request
        self._came += len(data)
        if self._headers is None:
            if self._came > _LONGEST_HEAD and self._is_head_long():
                raise unreadable("its head is too long")
            if self._has_head:
                self._headers = self._read_head()
        check_size(self._size)
        return self.is_whole

    def _is_head_long(self) -> bool:
        read = sum(len(name) + len(value) for name, value in self._fields)
        return not self._has_head or read > _LONGEST_HEAD

    def _read_head(self) -> dict[str, str]:
        check_version(self._parser.get_http_version())
        headers = joined([(n.decode("latin-1"), v.decode("latin-1")) for n, v in self._fields])
        check_framing(headers)
        if not self.is_whole and (length := headers.get("content-length")):
            check_size(int(length))
        return headers

    def _end(self) -> None:
        if self._headers is None:
            raise NoAnswer(CUT if self._came else HUNG_UP)
        if "content-length" in self._headers or "transfer-encoding" in self._headers:
            raise NoAnswer(CUT)
        self.is_whole = True  # the end of the connection is that of the body

    def answer(self) -> Answer:
        """The answer, once it is whole. Raises `NoAnswer` where it cannot be decompressed."""
        headers = self._headers or {}
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return Answer(self._status, headers, decoded(headers, body))

    # --- what the parser calls; an error must not leave these ---

    def on_message_begin(self) -> None:
        """The first byte of an answer, this one or the next."""
        self.is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field, of the head or after the last chunk."""
        if not self._has_head:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The end of a head."""
        if not self.is_whole:
            self._status = self._parser.get_status_code()
            self._has_head = True

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if not self.is_whole:
            self._pieces.append(body)
            self._size += len(body)

    def on_message_complete(self) -> None:
        """The end of an answer, or of an interim one."""
        if self._status >= 200:
            self.is_reusable = not self.is_whole and self._parser.should_keep_alive()
            self.is_whole = True
        else:
            self._has_head = False
            self._fields.clear()
