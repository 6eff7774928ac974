"""Whether a downloaded file is all there: the checksums that came with it, and the end of its format.

A body cut short can look complete to HTTP (no length, or a length that fits the cut), so the content itself is asked.
"""

import base64
import hashlib
import re
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
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class Incomplete(Exception):
    """The file is not what was sent; the text says why."""


def verified(
    file: BinaryIO, headers: Mapping[str, str], kind: str, *, may_be_empty: bool = False
) -> tuple[int, str]:
    """Check a file of format `kind` (CSV, JSON, XLSX); return (bytes, SHA-256 in hex). Raises `Incomplete`.

    JSON lines without rows are a file of no bytes, which only `may_be_empty` lets pass.
    """
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    for chunk in _chunks(file):
        sha256.update(chunk)
        md5.update(chunk)
        size += len(chunk)
    for name, wanted, found in _checksums(headers, sha256.digest(), md5.digest()):
        if wanted != found:
            raise Incomplete(f"its bytes do not match the checksum in {name}")
    if not size and kind == "JSON" and may_be_empty:
        return 0, sha256.hexdigest()
    if problem := _bad_content(file, size, kind):
        raise Incomplete(problem)
    return size, sha256.hexdigest()


def encodings(headers: Mapping[str, str]) -> list[str]:
    """The encodings that changed the bytes of a body: those that some servers name without any change are none."""
    named = headers.get("content-encoding", "").lower().split(",")
    return [each.strip() for each in named if each.strip() not in _UNCHANGED]


def has_checksum(headers: Mapping[str, str]) -> bool:
    """Whether a reply names a checksum of the whole file that `verified` can check."""
    return bool(_checksums(headers, b"", b""))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk


def about_the_whole(headers: Mapping[str, str]) -> dict[str, str]:
    """What an answer with a part of the file says of the whole."""
    return {name: headers[name] for name in _OF_THE_WHOLE if name in headers}


def _checksums(
    headers: Mapping[str, str], sha256: bytes, md5: bytes
) -> list[tuple[str, bytes, bytes]]:
    """Each header that names a checksum of the whole file, that checksum, and the one of the bytes that arrived."""
    mine = {"sha-256": sha256, "md5": md5}
    told = [(name, kind, headers.get(name, "")) for name, kind in _PLAIN.items()]
    if headers.get("x-amz-checksum-type", "").strip().upper() == "COMPOSITE":
        told = [each for each in told if not each[0].startswith("x-amz-checksum-")]
    for name in _LISTS:
        for item in headers.get(name, "").split(","):
            kind, _, value = item.partition("=")
            told.append((name, kind.strip().lower().removeprefix("id-"), value))
    found = [
        (name, digest, mine[kind])
        for name, kind, value in told
        if kind in mine and (digest := _digest(value, _SIZES[kind]))
    ]
    return list(dict.fromkeys(found))


def _digest(text: str, size: int) -> bytes | None:
    """Read a digest of `size` bytes in hex or base64; None where it is not one, as a checksum of checksums (`…-2`)."""
    bare = text.partition(";")[0].strip().strip('":').translate(_URL_SAFE)
    try:
        if len(bare) == 2 * size:
            return bytes.fromhex(bare)
        found = base64.b64decode(
            bare.rstrip("=") + "=" * (-len(bare.rstrip("=")) % 4), validate=True
        )
    except ValueError:
        return None
    return found if len(found) == size else None


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
    opened, rest, brackets = 0, b"", False
    for chunk in _chunks(file):
        bare, quote, text = _STRING.sub(b"", rest + chunk).partition(b'"')
        rest = quote + text
        starts = bare.count(b"[") + bare.count(b"{")
        opened += starts - bare.count(b"]") - bare.count(b"}")
        brackets = brackets or starts > 0
    return None if brackets and not opened and not rest else "the JSON is not closed"


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
