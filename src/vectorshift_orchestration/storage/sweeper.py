"""Remove what a killed process left: files that were not whole yet, known by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from vectorshift_orchestration.errors import PublishError
from vectorshift_orchestration.storage.destinations import (
    Destination,
    RemotePath,
    file_uri,
    resolved,
)

_STAGED = r"vs-[0-9a-f]{16}\.(?:csv|json|xlsx)"
_PARTIAL = re.compile(rf"\.vs-[0-9a-f]{{32}}\.partial|\.{_STAGED}\.[0-9a-f]{{8}}\.part")
_WHOLE = re.compile(_STAGED)


def sweep(
    root: Destination,
    *,
    older_than: timedelta = timedelta(hours=24),
    staged: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[str]:
    """Remove our own unfinished files below `root` that were not written to for `older_than`.

    `root` is a folder: a path, a URI or a `UPath`. Take `older_than` longer than the longest
    download or copy, because a file under way looks the same. With `staged`, the whole exports
    that a killed process left in its working folder (`vs-<key>.csv`) go as well; do not ask for
    that where such files are published. Other names, links, and files whose age is unknown
    are never touched. `progress` is called with the number of files checked.

    Returns the URIs of what was removed. Raises `PublishError` when `root` is not a folder or refuses.
    """
    if older_than < timedelta(0):
        raise PublishError(f"Files cannot be older than {older_than!r}. Give 0 or more.")
    folder = resolved(root)
    limit = datetime.now(UTC) - older_than
    if isinstance(folder, RemotePath):
        return _swept_remote(folder, limit, staged, progress)
    if not folder.is_dir():
        raise PublishError(f"{folder} is not a folder, so there is nothing to sweep.")
    return _swept_local(folder, limit, staged, progress)


def _is_ours(name: str, staged: bool) -> bool:
    return bool(_PARTIAL.fullmatch(name) or (staged and _WHOLE.fullmatch(name)))


def _counted(names: Iterator[str], progress: Callable[[int], None] | None) -> Iterator[str]:
    for number, name in enumerate(names, start=1):
        yield name
        if progress is not None:
            progress(number)


def _swept_local(
    folder: Path, limit: datetime, staged: bool, progress: Callable[[int], None] | None
) -> list[str]:
    def refuse(problem: OSError) -> None:
        raise PublishError(
            f"{problem.filename} cannot be listed: {problem.strerror}. Give the right to, or "
            "sweep a folder below."
        ) from problem

    every = (
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder, onerror=refuse)
        for name in names
    )
    removed = []
    for text in _counted(every, progress):
        path = Path(text)
        if not _is_ours(path.name, staged) or path.is_symlink() or not path.is_file():
            continue
        try:
            if datetime.fromtimestamp(path.stat().st_mtime, UTC) <= limit:
                path.unlink()
                removed.append(file_uri(path))
        except FileNotFoundError:
            continue  # its owner was faster
        except OSError as problem:
            refuse(problem)
    return removed


def _swept_remote(
    folder: RemotePath, limit: datetime, staged: bool, progress: Callable[[int], None] | None
) -> list[str]:
    fs, removed = folder.fs, []
    try:
        fs.invalidate_cache()
        for path in _counted(iter(fs.find(folder.path)), progress):
            if not _is_ours(path.rpartition("/")[2], staged):
                continue
            changed = _changed(fs, path)
            if changed is not None and changed <= limit:
                fs.rm_file(path)
                removed.append(RemotePath(fs, path).uri)
    except Exception as problem:  # noqa: BLE001  # every driver has its own
        raise PublishError(
            f"{folder.uri} could not be swept: {folder.redacted(problem)}."
        ) from folder.cause(problem)
    return removed


def _changed(fs: Any, path: str) -> datetime | None:
    try:
        changed: datetime = fs.modified(path)
    except (NotImplementedError, FileNotFoundError):
        return None
    return changed.replace(tzinfo=UTC) if changed.tzinfo is None else changed
