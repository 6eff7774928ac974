"""Byte ranges of a download (RFC 9110, section 14): which part of a file is requested."""

from __future__ import annotations

import re
from typing import NamedTuple

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


class Part(NamedTuple):
    """Bytes ``start`` up to but not including ``stop``, and the reply status that goes with them.

    The status is 200 for the whole file, 206 for a range and 416 (with no bytes) for a range that
    begins behind the end.
    """

    status: int
    start: int
    stop: int


def requested_part(range_header: str | None, if_range: str | None, *, size: int, etag: str) -> Part:
    """Return the part of a file of ``size`` bytes that the headers ask for.

    A range is ignored, as the RFC allows or asks, when it is malformed, names several ranges or
    comes with an ``If-Range`` that is not the file's strong ETag.
    """
    everything = Part(200, 0, size)
    match = _RANGE.fullmatch(range_header.strip()) if range_header else None
    if match is None or (if_range is not None and if_range.strip() != etag):
        return everything
    first, last = match.groups()
    if not first and not last:
        return everything
    if not first:
        start, stop = max(0, size - int(last)), size
        satisfiable = int(last) > 0 and size > 0
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return everything
        satisfiable = start < size
    return Part(206, start, stop) if satisfiable else Part(416, 0, 0)
