"""Whether a downloaded file is all there: the checksums that came with it, and the end of its format.

A body cut short can look complete to HTTP (no length, or a length that fits the cut), so the content itself is checked.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO

_CHUNK = 1 << 20
_SIZES = {"sha-256": 32, "md5": 16}
_PLAIN = {"content-md5": "md5", "x-ms-blob-content-md5": "md5", "x-amz-checksum-sha256": "sha-256"}
_UNCHANGED = ("", "identity", "none", "binary", "utf-8", "utf8", "aws-chunked")
_LISTS = ("repr-digest", "content-digest", "digest", "x-goog-hash")
_OF_THE_WHOLE = ("x-ms-blob-content-md5", "repr-digest", "digest", "x-goog-hash", "content-range")
"""Headers that mean the same in an answer with a part; any other checksum is that of the part there."""
_URL_SAFE = str.maketrans("-_", "+/")


class Incomplete(Exception):
    """The file differs from what was sent; the text says why."""


class Arriving:
    """A file on its way to the disk, hashed as its bytes come by, so that it need not be read again for that."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = 0
        self._sha256 = hashlib.sha256()

    def write(self, data: "bytes | memoryview") -> int:
        """Append some bytes; their number."""
        written = self.file.write(data)
        self._sha256.update(data)
        self.size += written
        return written

    def rewind(self) -> None:
        """Start over."""
        self.file.seek(0)
        self.file.truncate()
        self.size, self._sha256 = 0, hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of what has arrived, in hex."""
        return self._sha256.hexdigest()

    def digest(self, kind: str) -> bytes:
        """The checksum of that kind; but for SHA-256, the file is read for it."""
        if kind == "sha-256":
            return self._sha256.digest()
        md5 = hashlib.md5(usedforsecurity=False)
        for chunk in _chunks(self.file):
            md5.update(chunk)
        return md5.digest()


def verify(arrived: Arriving, headers: Mapping[str, str], kind: str, *, content: bool) -> None:
    """Compare a file with the checksums that came with it, and its `content` with its format `kind` (CSV, JSON, XLSX).

    Raises `Incomplete`.
    """
    for name, checksum, expected in _checksums(headers):
        if expected != arrived.digest(checksum):
            raise Incomplete(f"its bytes do not match the checksum in {name}")
    if content and (problem := _bad_content(arrived.file, arrived.size, kind)):
        raise Incomplete(problem)


def encodings(headers: Mapping[str, str]) -> list[str]:
    """The encodings that changed the bytes of a body: those that some servers name without any change are none."""
    header = headers.get("content-encoding", "").lower().split(",")
    return [each.strip() for each in header if each.strip() not in _UNCHANGED]


def has_checksum(headers: Mapping[str, str]) -> bool:
    """Whether a reply names a checksum of the whole file that `verify` can check."""
    return bool(_checksums(headers))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk


def whole_file_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a partial response that describe the whole file."""
    return {name: headers[name] for name in _OF_THE_WHOLE if name in headers}


def _checksums(headers: Mapping[str, str]) -> list[tuple[str, str, bytes]]:
    """Each header that names a checksum of the whole file, its kind, and the checksum."""
    candidates = [(name, kind, headers.get(name, "")) for name, kind in _PLAIN.items()]
    if headers.get("x-amz-checksum-type", "").strip().upper() == "COMPOSITE":
        candidates = [each for each in candidates if not each[0].startswith("x-amz-checksum-")]
    for name in _LISTS:
        for item in headers.get(name, "").split(","):
            kind, _, value = item.partition("=")
            candidates.append((name, kind.strip().lower().removeprefix("id-"), value))
    checksums = [
        (name, kind, digest)
        for name, kind, value in candidates
        if kind in _SIZES and (digest := _digest(value, _SIZES[kind]))
    ]
    return list(dict.fromkeys(checksums))


def _digest(text: str, size: int) -> bytes | None:
    """Read a digest of `size` bytes in hex or base64; None where it is not one, as a checksum of checksums (`…-2`)."""
    bare = text.partition(";")[0].strip().strip('":').translate(_URL_SAFE)
    try:
        if len(bare) == 2 * size:
            return bytes.fromhex(bare)
        decoded = base64.b64decode(
            bare.rstrip("=") + "=" * (-len(bare.rstrip("=")) % 4), validate=True
        )
    except ValueError:
        return None
    return decoded if len(decoded) == size else None


def _bad_content(file: BinaryIO, size: int, kind: str) -> str | None:
    if not size:
        return "it is empty"
    file.seek(0)
    head = file.read(64).lstrip().lower()
    if head.startswith((b"<!doctype", b"<html")):
        return "it is a web page, not an export"
    if kind == "CSV":
        return _bad_csv(file)
    if kind == "JSON":
        return _bad_json(file)
    return _bad_workbook(file) if kind == "XLSX" else None


def _bad_csv(file: BinaryIO) -> str | None:
    quotes, last = 0, b""
    for last in _chunks(file):
        quotes += last.count(b'"')
    if quotes % 2:
        return "the CSV ends inside a quoted cell"
    return None if last.endswith(b"\n") else "the CSV ends in the middle of a line"


def _bad_json(file: BinaryIO) -> str | None:
    """Without parsing it: outside of strings, every bracket is closed. A Go service writes no rows as `null`."""
    file.seek(0)
    if file.read(64).strip() == b"null":
        return None
    opened, rest, inside, brackets = 0, b"", 0, False
    for chunk in _chunks(file):
        text = (rest + chunk).replace(b"\\\\", b"").replace(b'\\"', b"")
        rest = text[-1:] if text.endswith(b"\\") else b""  # what it escapes is still to come
        parts = text.removesuffix(rest).split(b'"')
        bare = b"".join(parts[inside::2])
        inside ^= len(parts) % 2 == 0
        starts = bare.count(b"[") + bare.count(b"{")
        opened += starts - bare.count(b"]") - bare.count(b"}")
        brackets = brackets or starts > 0
    return None if brackets and not opened and not inside else "the JSON is not closed"


def _bad_workbook(file: BinaryIO) -> str | None:
    import zipfile
    import zlib

    file.seek(0)
    try:
        with zipfile.ZipFile(file) as workbook:
            broken = workbook.testzip()
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        OSError,  # an entry that would begin before the file
        ValueError,
        RuntimeError,  # an entry that would be encrypted
    ) as error:
        return f"the workbook is broken ({error})"
    return f"the workbook's part {broken} is broken" if broken else None
