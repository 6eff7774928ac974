"""Publish a file: it appears at its destination whole and durable, or not at all.

On a disk that is a copy beside the destination, flushed and renamed over it. In an object store it
is one upload of a file that is whole already: nothing is streamed through a writer that would
complete the upload while an exception passes. Elsewhere it is an upload beside, and a rename.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import PublishError
from vectorshift_orchestration.storage.destinations import (
    Destination,
    RemotePath,
    file_target,
    file_uri,
)

_CHUNK_BYTES = 1 << 20
_EXCLUSIVE = frozenset({"s3", "s3a", "gs", "gcs"})
"""Stores whose driver can upload on the condition that nothing is there."""


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
    stays. Missing folders are made, buckets are not. With `overwrite=False` an existing file is
    left alone. `sha256` is what the source should have, in hex. `progress` is called with the
    number of bytes copied so far.

    Raises `PublishError` when the source is not what it should be, when the destination cannot be
    opened, is a folder or already exists, or when the disk or the store refuses. Then what stood
    at the destination stands there still; only an object store that took the upload and lost its
    answer may hold the new file, complete.
    """
    target = file_target(destination)
    if isinstance(target, RemotePath):
        return _upload(source, target, overwrite, sha256, progress)
    with appearing(target, overwrite=overwrite) as partial:
        with source.open("rb") as reader, partial.open("xb") as writer:
            size, digest = _copy(reader, writer, progress)
        _check_digest(source, digest, sha256)
    return Published(file_uri(target), size, digest)


@contextmanager
def appearing(target: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A path to write to, beside `target`, that is flushed and renamed to it when the block ends.

    After an error, the block's own too, no such file is left. Raises `PublishError` as `publish`.
    """
    if target.is_dir():
        raise PublishError(f"{target} is a folder. Name the file in it.")
    partial = target.with_name(partial_name())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _flush(partial)
        failpoint("publish.flushed")
        _put(partial, target, overwrite)
        failpoint("publish.renamed")
        _flush(target.parent)  # makes the rename itself survive a power failure
    except OSError as problem:
        _discard(partial)
        raise PublishError(
            f"{target} could not be written: {problem.strerror or problem}. Nothing was published; "
            "make room or give the right to write there, then run again."
        ) from problem
    except BaseException:
        _discard(partial)
        raise


def partial_name() -> str:
    """A name for a file that is not whole yet; `sweeper.py` knows it again."""
    return f".vs-{uuid4().hex}.partial"


def digest_of(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 in hex of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def _check_digest(source: Path, found: str, wanted: str | None) -> None:
    if wanted not in (None, found):
        raise PublishError(
            f"{source.name} is not the file any more that was checked. Nothing was published; "
            "stage it again."
        )


# --- disks -----------------------------------------------------------------------


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
        raise _exists(str(target)) from None
    partial.unlink()


def _exists(target: str) -> PublishError:
    return PublishError(
        f"{target} exists already and overwrite is off. Remove it or allow overwriting."
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


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- everything else ---------------------------------------------------------------


def _upload(
    source: Path,
    target: RemotePath,
    overwrite: bool,
    sha256: str | None,
    progress: Callable[[int], None] | None,
) -> Published:
    try:
        size, digest = digest_of(source)
    except OSError as problem:
        raise PublishError(f"{source} cannot be read: {problem.strerror or problem}.") from problem
    _check_digest(source, digest, sha256)
    try:
        if not overwrite and target.fs.exists(target.path):
            raise _exists(target.uri)
        if target.one_put:
            _put_file(source, target.fs, target.path, overwrite, progress)
        else:
            _put_beside(source, target, progress)
        target.fs.invalidate_cache()
        stored = target.fs.info(target.path)["size"]
    except PublishError:
        raise
    except Exception as problem:  # every driver has its own
        raise PublishError(
            f"{target.uri} could not be written: {type(problem).__name__}: {problem}. There is "
            "the old file, or none, or the new one, complete; run again."
        ) from problem
    if stored != size:
        raise PublishError(
            f"{target.uri} has {stored:,} bytes where {size:,} were written: somebody else writes "
            "there. Run again when nobody does."
        )
    return Published(target.uri, size, digest)


def _put_beside(source: Path, target: RemotePath, progress: Callable[[int], None] | None) -> None:
    """Upload to another name and rename, because readers could see an upload grow."""
    fs = target.fs
    if fs.isdir(target.path):
        raise PublishError(f"{target.uri} is a folder. Name the file in it.")
    folder, slash, _ = target.path.rpartition("/")
    if folder:
        fs.makedirs(folder, exist_ok=True)
    partial = f"{folder}{slash}{partial_name()}"
    try:
        _put_file(source, fs, partial, True, progress)
        fs.mv(partial, target.path)
    except BaseException:
        with suppress(Exception):
            fs.rm_file(partial)
        raise


def _put_file(
    source: Path,
    fs: Any,
    path: str,
    overwrite: bool,
    progress: Callable[[int], None] | None,
) -> None:
    from fsspec.callbacks import Callback

    hooks = {} if progress is None else {"progress": lambda size, value, **_: progress(value)}
    options = {} if overwrite else {"mode": "create"}
    fs.put_file(str(source), path, callback=Callback(hooks=hooks), **options)
