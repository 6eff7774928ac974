"""Publish a file: it appears at its destination whole and durable, or not at all.

On a disk (`disks.py`) that is a copy beside the destination, flushed and renamed over it. What fsspec
reaches is in `uploads.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vectorshift_orchestration.errors import PublishError
from vectorshift_orchestration.storage.destinations import (
    Destination,
    RemotePath,
    file_target,
    file_uri,
)
from vectorshift_orchestration.storage.disks import appearing
from vectorshift_orchestration.storage.uploads import upload

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Published:
    """A file at its destination: `uri` (file://, s3://...), size in bytes, and SHA-256 in hex."""

    uri: str
    bytes: int
    sha256: str


def publish(
    source: Path,
    destination: Destination,
    *,
    overwrite: bool = True,
    sha256: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Published:
    """Copy `source` to `destination` in one step for every reader.

    `destination` is a path, a URI of any scheme that fsspec serves, or a `UPath`. The source
    stays. Missing folders are made, buckets are not. A link is followed, and a file that is replaced
    keeps its mode. With `overwrite=False` an existing file is left alone. `sha256` is what the
    source should have, in hex. `progress` is called with the number of bytes copied so far.

    Raises `PublishError` when the source is not what it should be, when the destination cannot be
    opened, is not a regular file or already exists, or when the disk or the store refuses. Then the
    destination is unchanged; only an object store that took the upload and lost
    its answer may hold the new file, complete.
    """
    target = file_target(destination)
    if isinstance(target, RemotePath):
        size, digest = _digest_of_source(source)
        _check_digest(source, digest, sha256)
        upload(source, target, digest, overwrite=overwrite, progress=progress)
        return Published(target.uri, size, digest)
    with appearing(target, overwrite=overwrite) as partial:
        with source.open("rb") as reader, partial.open("xb") as writer:
            size, digest = _copy(reader, writer, progress)
        _check_digest(source, digest, sha256)
    return Published(file_uri(target), size, digest)


def digest_of(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 in hex of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def _digest_of_source(source: Path) -> tuple[int, str]:
    try:
        return digest_of(source)
    except OSError as problem:
        raise PublishError(f"{source} cannot be read: {problem.strerror or problem}.") from problem


def _check_digest(source: Path, actual: str, expected: str | None) -> None:
    if expected not in (None, actual):
        raise PublishError(
            f"{source.name} is not the file any more that was checked. Nothing was published; "
            "stage it again."
        )


def _copy(
    reader: IO[bytes], writer: IO[bytes], progress: Callable[[int], None] | None
) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    while chunk := reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        digest.update(chunk)
        size += len(chunk)
        if progress is not None:
            progress(size)
    return size, digest.hexdigest()
