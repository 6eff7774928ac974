"""A file on a disk appears whole: written beside its place, flushed, and renamed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from vectorshift_orchestration._failpoints import failpoint
from vectorshift_orchestration.errors import PublishError

_CANNOT_FLUSH = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EROFS})
_CANNOT_LINK = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EMLINK, errno.EXDEV})


@contextmanager
def appearing(target: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A path to write to, beside `target`, that is flushed and renamed to it when the block ends.

    After an error, the block's own too, no such file is left. Raises `PublishError` as `publish`.
    """
    resolved, target = target, Path(os.path.realpath(target))
    partial = target.with_name(partial_name())
    try:
        old = _present(target, resolved)
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _flush(partial)
        if old is not None:
            _keep_mode(old, partial)
        failpoint("publish.flushed")
        _put(partial, target, overwrite)
        failpoint("publish.renamed")
    except OSError as problem:
        _discard(partial)
        raise PublishError(
            f"{resolved} could not be written: {problem.strerror or problem}. Nothing was published; "
            "make room or give the right to write there, then run again."
        ) from problem
    except BaseException:
        _discard(partial)
        raise
    with suppress(OSError):  # the file is there; at worst it does not survive a power failure
        _flush(target.parent)


def partial_name() -> str:
    """A name for a file that is not whole yet; `sweeper.py` knows it again."""
    return f".vs-{uuid4().hex}.partial"


def exists_already(target: object) -> PublishError:
    """The error for a destination that is not to be overwritten."""
    return PublishError(
        f"{target} exists already and overwrite is off. Remove it or allow overwriting."
    )


def _present(target: Path, resolved: Path) -> os.stat_result | None:
    """The status of the target. Raises `PublishError` for one that a file cannot replace."""
    try:
        old = target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(old.st_mode):
        raise PublishError(f"{resolved} is a folder. Name the file in it.")
    if not stat.S_ISREG(old.st_mode):
        kind = "a link that leads to itself" if stat.S_ISLNK(old.st_mode) else "not a regular file"
        raise PublishError(f"{resolved} is {kind}, which is not to be replaced. Name another file.")
    return old


def _keep_mode(old: os.stat_result, partial: Path) -> None:
    with suppress(OSError):  # only root gives a file away, and not every disk has modes
        os.chown(partial, old.st_uid, old.st_gid)
    with suppress(OSError):
        partial.chmod(stat.S_IMODE(old.st_mode))


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
        raise exists_already(target) from None
    except OSError as problem:
        if problem.errno not in _CANNOT_LINK:
            raise
        if target.exists():
            raise exists_already(target) from None
        os.replace(partial, target)
    else:
        _discard(partial)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(handle)
