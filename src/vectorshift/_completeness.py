"""Whether a downloaded file is all there: the checksums that came with it, and the end of its format.

A body cut short can look complete to HTTP (no length, or a length that fits the cut), so the content itself is asked.
Source: RELIABILITY.md 2 D (completeness), F5, F6.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

_CHUNK = 1 << 20
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class Incomplete(Exception):
    """The file is not what was sent; the text says why."""


def verified(file: BinaryIO, headers: Mapping[str, str], kind: str) -> tuple[int, str]:
    """Check a file of format `kind` (CSV, JSON, XLSX); return (bytes, SHA-256 in hex). Raises `Incomplete`."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    for chunk in _chunks(file):
        sha256.update(chunk)
        md5.update(chunk)
        size += len(chunk)
    for name, wanted, found in _checksums(headers, sha256.digest(), md5.digest()):
        if wanted != found:
            raise Incomplete(f"its bytes do not match the checksum in {name}")
    if problem := _bad_content(file, size, kind):
        raise Incomplete(problem)
    return size, sha256.hexdigest()


def has_checksum(headers: Mapping[str, str]) -> bool:
    """Whether a reply names a checksum of the whole file that `verified` can check."""
    return bool(_checksums(headers, b"", b""))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk


def _checksums(headers: Mapping[str, str], sha256: bytes, md5: bytes) -> list[tuple[str, str, str]]:
    b64_sha, b64_md5 = (base64.b64encode(raw).decode() for raw in (sha256, md5))
    found = [("Content-MD5", headers.get("content-md5"), b64_md5)]
    found.append(("x-amz-checksum-sha256", headers.get("x-amz-checksum-sha256"), b64_sha))
    for name in ("repr-digest", "digest"):
        if match := re.search(
            r"sha-256=:?([A-Za-z0-9+/=]+?):?(,|$)", headers.get(name, ""), re.IGNORECASE
        ):
            found.append((name, match[1], b64_sha))
    if match := re.search(r"md5=([A-Za-z0-9+/=]+)", headers.get("x-goog-hash", "")):
        found.append(("x-goog-hash", match[1], b64_md5))
    return [(name, wanted, mine) for name, wanted, mine in found if wanted]


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
    """Without parsing it: outside of strings, every bracket is closed."""
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
