"""The file of a ready export: downloaded, read to its end, and counted against the service."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from vectorshift_orchestration.errors import ExportIncomplete, PublishError
from vectorshift_orchestration.exports.request import ExportRequest
from vectorshift_orchestration.landing import ExportFile

if TYPE_CHECKING:
    from vectorshift import Client, Download
    from vectorshift.analytics import ExportTask

_LATE_ARRIVAL = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Staged(ExportFile):
    """A complete, checked file: its rows are the rows of the window.

    `counted` is what the service counted; more `rows` than that are accepted only for a window
    that is younger than `late_arrival`. `verified` says what the file server gave to check the
    bytes by: `checksum`, `length`, or `none`, where only the content was checked. Without a
    checksum, a byte that changed inside a text stays unnoticed.
    """

    counted: int
    task_id: str
    verified: str = "none"

    def discard(self) -> None:
        """Remove the file, and what was kept of its rows."""
        self.path.unlink(missing_ok=True)
        if self.spill is not None:
            self.spill.close()


def working_folder(folder_path: str | None = None) -> Path:
    """The folder for files on their way, made when it is not there; `~` is the home directory.

    Unless one is given, it is this user's below the system's folder for temporary files.
    """
    folder = Path(
        folder_path or Path(gettempdir()) / f"vectorshift-exports-{os.getuid()}"
    ).expanduser()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def stage(
    client: Client,
    task: ExportTask | str,
    request: ExportRequest,
    directory: Path,
    *,
    late_arrival: timedelta = _LATE_ARRIVAL,
    counted_before: int | None = None,
    replace_characters: bool = False,
    keep_rows: bool = False,
    progress: Callable[[int], None] | None = None,
    downloaded: Callable[[int], None] | None = None,
) -> Staged:
    """Download a ready export into `directory` and read all of it, so that it can be trusted.

    Give the task id, or the task itself where the service answers no polls. The file must read to
    its end, hold only rows of the window and none twice, and as many as the service counts for the
    same query. A window that ended less than `late_arrival` ago may still get events: there, more
    rows than counted are accepted, and fewer as long as they are not fewer than `counted_before`,
    what the service counted before the export was requested. With `replace_characters` what is not a
    character is replaced, see `Landing`. With `keep_rows` the rows wait in `directory` to be loaded
    them. `progress` is called with the number of rows read, `downloaded` with the number of bytes that
    have arrived.

    Raises `ExportFileError`, `ExportIncomplete`, `PublishError` when the disk is full or refuses,
    and the SDK's errors. Then no file is left.
    """
    from vectorshift_orchestration.characters import Characters
    from vectorshift_orchestration.exports.completeness import checked_rows
    from vectorshift_orchestration.spills import Spill

    with _storing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        done = _download(client, task, directory / request.file_name, downloaded)
    counts = request.bound(client).count
    spill = None
    try:
        # The count comes after the file; without a byte, only it can show that nothing is missing.
        counted = None if done.bytes else counts()["count"]
        with _storing(directory):
            spill = Spill(directory) if keep_rows else None
            rows = checked_rows(
                done.path,
                request.format,
                request.window,
                progress,
                may_be_empty=counted == 0,
                characters=Characters() if replace_characters else None,
                spill=spill,
            )
        if counted is None:
            counted = counts()["count"]
        _check_count(request, rows, counted, counted_before, late_arrival)
    except BaseException:
        done.path.unlink(missing_ok=True)
        if spill is not None:
            spill.close()
        raise
    return Staged(
        done.path,
        request.format,
        done.bytes,
        done.sha256,
        rows,
        counted,
        done.task_id,
        done.verified,
        spill=spill,
    )


def _download(
    client: Client,
    task: ExportTask | str,
    path: Path,
    progress: Callable[[int], None] | None,
) -> Download:
    def arrived(received: int, _: int | None) -> None:
        if progress is not None:
            progress(received)

    return client.download_export(task, path, progress=arrived, check_content=False)


@contextmanager
def _storing(directory: Path) -> Iterator[None]:
    """What the disk refuses, as `PublishError`."""
    from vectorshift.errors import VectorshiftError

    try:
        yield
    except VectorshiftError:  # some are OSErrors too
        raise
    except OSError as problem:
        raise PublishError(
            f"The export could not be stored in {directory}: {problem.strerror or problem}. "
            "No file was left; make room or give the right to write there, then run again."
        ) from problem


def _check_count(
    request: ExportRequest,
    rows: int,
    counted: int,
    counted_before: int | None,
    late_arrival: timedelta,
) -> None:
    recent = request.window.end > datetime.now(UTC) - late_arrival
    least = min(counted, counted_before) if recent and counted_before is not None else counted
    if rows < least or (rows > counted and not recent):
        raise ExportIncomplete(
            f"The export of window {request.window.label} holds {rows:,} rows, and the service "
            f"counts {counted:,}. Nothing was landed; export again, later if events of this "
            "window are still arriving.",
            rows=rows,
            counted=counted,
        )
