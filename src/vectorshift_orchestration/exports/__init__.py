"""An export from asking to rows that have landed.

    ask -> wait -> finish
    created  ready, staged   published, committed

What is asked has an identity (`request.ExportRequest.key`) that does not depend on the attempt, so
that a file, a ledger row and a second try can be told to belong together. Between processes go ids,
states and counts only: a signed URL lives in one function call.

    request.py        what is asked for, and the options of an export
    job.py            the three steps, from any recorded state
    state.py          the record
    staging.py        the file, downloaded and checked; completeness.py is the check of its rows
"""

from vectorshift_orchestration.exports.job import ExportJob, ExportLanded, Record, resume
from vectorshift_orchestration.exports.request import ExportOptions, ExportRequest
from vectorshift_orchestration.exports.state import ExportState

__all__ = [
    "ExportJob",
    "ExportLanded",
    "ExportOptions",
    "ExportRequest",
    "ExportState",
    "Record",
    "resume",
]
