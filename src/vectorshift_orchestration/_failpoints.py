"""Named places where a test may stop or kill this process; nothing happens unless it asks.

The kill tests set `VECTORSHIFT_FAILPOINT=<name>=<signal>`, such as `sql.deleted=SIGKILL`. The
process sends itself that signal when it first gets to the place of that name.
"""

from __future__ import annotations

import os

VARIABLE = "VECTORSHIFT_FAILPOINT"


def failpoint(name: str) -> None:
    """Mark a place that a test may choose."""
    chosen, _, sent = os.environ.get(VARIABLE, "").partition("=")
    if chosen == name:
        import signal

        del os.environ[VARIABLE]
        os.kill(os.getpid(), signal.Signals[sent])
