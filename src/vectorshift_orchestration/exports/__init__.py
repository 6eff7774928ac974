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

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_HOMES = {
    "job": ("ExportJob", "ExportLanded", "Record", "resume"),
    "request": ("ExportOptions", "ExportRequest"),
    "state": ("ExportState",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
