"""An export from asking to rows that have landed.

    ask -> wait -> finish
    created  ready, staged   published, committed

A request has an identity (`request.ExportRequest.key`) that does not depend on the attempt, so
that a file, a ledger row and a second try are known to belong together. Between processes go ids,
states and counts only: a signed URL lives in one function call.

    request.py        the request, and the options of an export
    fetch.py          one file, from any recorded state
    job.py            the three steps, over one file or several
    state.py          the record
    staging.py        the file, downloaded and checked; completeness.py is the check of its rows
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectorshift_orchestration.exports.job import (
        ExportJob as ExportJob,
        ExportLanded as ExportLanded,
        Record as Record,
        resume as resume,
    )
    from vectorshift_orchestration.exports.request import (
        ExportOptions as ExportOptions,
        ExportRequest as ExportRequest,
    )
    from vectorshift_orchestration.exports.state import ExportState as ExportState
else:
    from vectorshift_orchestration.lazily import lazily

    __getattr__, __dir__, __all__ = lazily(
        __name__,
        {
            "job": "ExportJob ExportLanded Record resume",
            "request": "ExportOptions ExportRequest",
            "state": "ExportState",
        },
    )
