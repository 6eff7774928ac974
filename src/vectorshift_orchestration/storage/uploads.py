"""Publish a file beyond the disk, to any fsspec file system.

In an object store it is one upload of a file that is whole already: nothing is streamed through a
writer that would complete the upload while an exception passes. Elsewhere it is an upload beside, a
rename, and a look at what is there then: some stores do not rename over a file, and not all say so.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from vectorshift_orchestration.errors import PublishError
from vectorshift_orchestration.storage.destinations import RemotePath
from vectorshift_orchestration.storage.disks import exists_already, partial_name

_CHUNK_BYTES = 1 << 20
_SMB_PORT = 445


def upload(
    source: Path,
    target: RemotePath,
    sha256: str,
    *,
    overwrite: bool,
    progress: Callable[[int], None] | None,
) -> None:
    """Put `source`, whose SHA-256 is given in hex, at `target`. Raises `PublishError`."""
    try:
        target.fs.invalidate_cache()  # a listing from before would answer for the store
        if target.one_put:
            _put(source, target, overwrite, progress)
        else:
            _put_beside(source, target, sha256, overwrite, progress)
    except PublishError:
        raise
    except Exception as problem:  # noqa: BLE001  # every driver has its own
        raise PublishError(
            f"{target.uri} could not be written: {target.redacted(problem)}. It holds the old file, or none, or the "
            "new one, complete; run again."
        ) from target.cause(problem)


def _put(
    source: Path, target: RemotePath, overwrite: bool, progress: Callable[[int], None] | None
) -> None:
    """Upload, and compare the size if the store allows it."""
    if not overwrite and _exists(target):
        raise exists_already(target.uri)
    if overwrite or not target.exclusive_put:
        _put_file(source, target.fs, target.path, progress)
    else:
        try:
            _put_file(source, target.fs, target.path, progress, mode="create")
        except FileExistsError:
            raise exists_already(target.uri) from None
        except OSError as problem:
            if "PreconditionFailed" in str(problem) or "412" in str(problem):
                raise exists_already(target.uri) from None
            if (
                problem.errno != errno.ENOSYS
            ):  # a store of the same interface that has no such upload
                raise
            _put_file(source, target.fs, target.path, progress)
    target.fs.invalidate_cache()
    try:
        stored = target.fs.info(target.path)["size"]
    except FileNotFoundError:
        raise
    except Exception:  # noqa: BLE001  # no permission to read: the response to the upload is the proof
        return
    size = source.stat().st_size
    if stored != size:
        raise PublishError(
            f"{target.uri} has {stored:,} bytes where {size:,} were written: another writer is active "
            "there. Run again when it has ended."
        )


def _exists(target: RemotePath) -> bool:
    try:
        exists: bool = target.fs.exists(target.path)
    except PermissionError as problem:
        if target.exclusive_put:
            return False  # the upload itself will show it
        raise PublishError(
            f"{target.uri} cannot be read ({target.redacted(problem)}), so it is not known "
            "whether it exists already. Give the right to read it, or allow overwriting."
        ) from target.cause(problem)
    return exists


def _put_beside(
    source: Path,
    target: RemotePath,
    sha256: str,
    overwrite: bool,
    progress: Callable[[int], None] | None,
) -> None:
    """Upload to another name and rename, because readers could see an upload grow."""
    fs = target.fs
    if fs.isdir(target.path):
        raise PublishError(f"{target.uri} is a folder. Name the file in it.")
    folder, slash, _ = target.path.rpartition("/")
    if folder:
        fs.makedirs(folder, exist_ok=True)
    partial = f"{folder}{slash}{partial_name()}"
    try:
        _put_file(source, fs, partial, progress)
        if not overwrite and fs.exists(target.path):
            raise exists_already(target.uri)
        _rename(target, partial, sha256)
        if fs.exists(partial):
            fs.rm_file(partial)
    except BaseException:
        with suppress(Exception):
            fs.rm_file(partial)
        raise


def _rename(target: RemotePath, partial: str, sha256: str) -> None:
    """Rename over what is there. Raises unless the target then holds the file.

    Where the store does not replace a file, the old one is set aside first, and put back on failure.
    """
    fs, path = target.fs, target.path
    try:
        _replace(target, partial)
    except Exception:
        if not (fs.exists(partial) and fs.exists(path)):
            raise
    if _holds(target, sha256):
        return
    if not fs.exists(partial):
        raise _not_there(target)
    aside = f"{partial.rpartition('/')[0]}/{partial_name()}"
    fs.mv(path, aside)
    try:
        fs.mv(partial, path)
        if not _holds(target, sha256):
            raise _not_there(target)
    except BaseException:
        with suppress(Exception):
            fs.mv(aside, path)
        raise
    fs.rm_file(aside)


def _replace(target: RemotePath, partial: str) -> None:
    fs = target.fs
    if "smb" not in target.protocols:
        fs.mv(partial, target.path)
        return
    from smbclient import replace  # fsspec's own move does not replace a file

    names = [rf"\\{fs.host}" + path.replace("/", "\\") for path in (partial, target.path)]
    replace(*names, port=fs.port or _SMB_PORT)


def _holds(target: RemotePath, sha256: str) -> bool:
    fs, digest = target.fs, hashlib.sha256()
    fs.invalidate_cache()
    if not fs.exists(target.path):
        return False
    with fs.open(target.path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == sha256


def _not_there(target: RemotePath) -> PublishError:
    return PublishError(
        f"{target.uri} does not hold what was written, although the store took it. Run again, or "
        "write to another store."
    )


def _put_file(
    source: Path,
    fs: Any,
    path: str,
    progress: Callable[[int], None] | None,
    **options: Any,
) -> None:
    from fsspec.callbacks import Callback

    hooks = {} if progress is None else {"progress": lambda size, value, **_: progress(value)}
    fs.put_file(str(source), path, callback=Callback(hooks=hooks), **options)
