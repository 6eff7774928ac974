"""Exports that failed because a worksheet cannot hold them: they fail each time, so they are not requested again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vectorshift_orchestration.errors import ExportFormatError

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.errors import AnalyticsExportFailed
    from vectorshift_orchestration.exports.request import ExportRequest

_ROWS = 1_048_575
"""Rows that a worksheet holds below its header: the format's own limit."""

_LIMIT = re.compile(r"1[_,. ]?048[_,. ]?57[56]|32[_,. ]?767|maximum limit")
"""How writers of XLSX name the limits that they met: by their numbers; excelize says "maximum limit" of rows."""


def too_much(
    problem: AnalyticsExportFailed, request: ExportRequest, client: Client
) -> ExportFormatError | None:
    """The error for an XLSX export that failed because of what the format can hold; None for any other failure.

    Requests the window's count if the service's reason is not enough. Raises the SDK's errors.
    """
    if request.format != "XLSX":
        return None
    reason = problem.export_error or "it gave no reason"
    if not _LIMIT.search(reason):
        rows = request.bound(client).count()["count"]
        if rows <= _ROWS:
            return None
        reason = f"{reason}; the window has {rows:,} events"
    return ExportFormatError(
        f"The service could not write window {request.window.label} as XLSX, whose sheets hold {_ROWS:,} rows "
        f"below a header and cells of 32,767 characters: {reason}. Exporting again gives the same. Export as CSV or "
        "JSON, or in shorter windows."
    )
