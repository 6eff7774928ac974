"""One try of a recorded export: to landed rows, or to a wait elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration.exports.job import ExportJob, ExportLanded
from vectorshift_orchestration.exports.notes import PendingExport, PendingNote
from vectorshift_orchestration.exports.progress import ProgressLog
from vectorshift_orchestration.exports.request import ExportOptions, ExportRequest

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift_orchestration.landing import Landing

_SHORT_WAIT = 1.0
"""Seconds that are waited at once: an export that is ready by then is not worth leaving for."""


def run_export(
    client: Client,
    request: ExportRequest,
    landing: Landing,
    note: PendingNote,
    options: ExportOptions,
    *,
    leaving: bool,
    say: Callable[..., Any],
) -> ExportLanded | PendingExport:
    """From nothing, or from what an earlier try noted, to rows; or, if `leaving`, the export that is not ready yet.

    `say` takes a format and a number, as `logging.Logger.info` does. Raises as `ExportJob`.
    """
    with TemporaryDirectory(prefix="vectorshift-") as folder:
        job = ExportJob(
            client,
            request,
            landing,
            note,
            directory=Path(folder),
            options=options,
            progress=ProgressLog(say),
        )
        job.ask()
        if leaving and not job.wait(min(_SHORT_WAIT, options.poll_interval)):
            assert note.pending is not None  # it was requested, so it is recorded
            return note.pending
        return job.finish()
