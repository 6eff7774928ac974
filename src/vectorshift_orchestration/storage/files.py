"""Publish a file: it appears at its destination whole and durable, or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from vectorshift_orchestration.errors import PublishError

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Published:
    """A file at its destination: `uri` (file://...), size in bytes, and SHA-256 in hex."""

    uri: str
    bytes: int
    sha256: str


def publish(
    source: Path,
    destination: str | PathLike[str],
    *,
    overwrite: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Published:
    """Copy `source` to `destination` (a path or a file:// URI) in one step for every reader.

    The copy is made beside the destination, flushed to the disk, and renamed over it; the source
    stays. Missing folders are made. With `overwrite=False` an existing file is left alone.
    `progress` is called with the number of bytes copied so far.

    Raises `PublishError` when the destination has a scheme other than file, is a folder or already
    exists, or when the disk is full or refuses. Then no temporary file is left, and what stood at
    the destination stands there still.
    """
    target = local_path(destination)
    if target.is_dir():
        raise PublishError(f"{target} is a folder. Name the file in it.")
    partial = target.with_name(f".{target.name}.{uuid4().hex}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as reader, partial.open("xb") as writer:
            size, digest = _copy(reader, writer, progress)
        _put(partial, target, overwrite)
        _flush_folder(target.parent)
    except OSError as problem:
        _discard(partial)
        raise PublishError(
            f"{target} could not be written: {problem.strerror or problem}. Nothing was published; "
            "make room or give the right to write there, then run again."
        ) from problem
    except BaseException:
        _discard(partial)
        raise
    return Published(target.as_uri(), size, digest)


def local_path(destination: str | PathLike[str]) -> Path:
    """The absolute path of a local path or file:// URI. Raises `PublishError` for other schemes."""
    text = os.fspath(destination)
    if "://" not in text:
        return Path(text).absolute()
    address = urlsplit(text)
    if address.scheme != "file":
        raise PublishError(
            f"{address.scheme}:// destinations are not written yet. Give a local path or a file:// "
            "URI; object stores will come with the extra vectorshift-orchestration[arrow]."
        )
    if address.netloc not in ("", "localhost"):
        raise PublishError(f"{text} names another host. Write file:///path with three slashes.")
    return Path(unquote(address.path)).absolute()


def _discard(partial: Path) -> None:
    with suppress(OSError):  # its folder may not even exist
        partial.unlink()


def _put(partial: Path, target: Path, overwrite: bool) -> None:
    if overwrite:
        os.replace(partial, target)
        return
    try:
        os.link(partial, target)
    except FileExistsError:
        raise PublishError(
            f"{target} exists already and overwrite is off. Remove it or allow overwriting."
        ) from None
    partial.unlink()


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
    writer.flush()
    os.fsync(writer.fileno())
    return size, digest.hexdigest()


def _flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
