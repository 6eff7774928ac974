"""The ledger of files: a note about each window says which query its file holds.

Notes lie apart from the files, as `root/_vectorshift_windows/events/dt=2026-11-22/part-0.json`, so that
readers of the folder `root/events` find only rows. A file without a note belongs to no query.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vectorshift_orchestration.errors import StorageError, WindowTakenError
from vectorshift_orchestration.storage.destinations import (
    Destination,
    RemotePath,
    file_target,
    partition_path,
)
from vectorshift_orchestration.storage.files import publish
from vectorshift_orchestration.windows import Window

_FOLDER = "_vectorshift_windows"
_QUERY_KEY = "query_key"
_ADVICE = (
    "Give each query a table, which is a folder, of its own; or replace_other=True, once, to replace "
    "what is there."
)


def note_path(root: str, table: str, window: Window) -> str:
    """The one name of the note about a window, whatever the format of its file."""
    return partition_path(f"{root.removesuffix('/')}/{_FOLDER}", table, window, "json")


@dataclass(frozen=True, slots=True)
class Note:
    """The note, at `place`, about a file that is replaced window by window."""

    place: Destination
    file: Destination

    def require_own(self, query_key: str) -> None:
        """Raise `WindowTakenError` when the file is there and answers another query."""
        if self._read() not in (None, query_key) and _exists(file_target(self.file)):
            raise WindowTakenError(
                f"{_named(self.file)} was not changed, because it holds rows that another query put "
                f"there. {_ADVICE}"
            )

    @contextmanager
    def claimed(self, query_key: str, *, replace_other: bool) -> Iterator[None]:
        """Note whose the file is, and let it be written. Raises as `require_own` and `publish`.

        Raises `WindowTakenError` behind the block, too, when another query noted the file meanwhile:
        otherwise it is unknown which of the two wrote last.
        """
        if not replace_other:
            self.require_own(query_key)
        noted = self._read()
        if noted != query_key:
            with TemporaryDirectory(prefix="vectorshift-") as folder:
                file = Path(folder) / "note.json"
                file.write_text(json.dumps({_QUERY_KEY: query_key}))
                publish(file, self.place)
        yield
        if self._read() not in (None, query_key):
            raise WindowTakenError(
                f"{_named(self.file)} was written by two queries at once, and may hold the rows of "
                f"either. {_ADVICE} Then run both again."
            )

    def _read(self) -> str | None:
        """The query that is noted; None where nothing is, or where we may write but not read."""
        target = file_target(self.place)
        try:
            if isinstance(target, RemotePath):
                target.fs.invalidate_cache()
                text = target.fs.cat_file(target.path)
            else:
                text = target.read_bytes()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        except Exception as problem:  # noqa: BLE001  # every driver has its own
            raise _unreadable(self.place, problem) from None
        try:
            return str(json.loads(text)[_QUERY_KEY])
        except (ValueError, LookupError, TypeError) as problem:
            raise _unreadable(self.place, problem) from None


def _exists(target: Path | RemotePath) -> bool:
    if isinstance(target, Path):
        return target.exists()
    target.fs.invalidate_cache()
    try:
        return bool(target.fs.exists(target.path))
    except PermissionError:
        return True


def _named(place: Destination) -> str:
    target = file_target(place)
    return str(target) if isinstance(target, Path) else target.uri


def _unreadable(place: Destination, problem: Exception) -> StorageError:
    target = file_target(place)
    reason = target.redacted(problem) if isinstance(target, RemotePath) else str(problem)
    return StorageError(
        f"The note {_named(place)}, which says whose rows a file holds, cannot be read ({reason}), so "
        "nothing was written. Run again, or remove the note if it is damaged."
    )
