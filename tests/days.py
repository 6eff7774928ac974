"""The day of a test run, read once for all of its processes: a run may go on over midnight."""

import os
from datetime import UTC, datetime

_SETTING = "TEST_MIDNIGHT"
"""Names another midnight, as ISO 8601 with its offset: a run of yesterday's day is one over midnight."""


def _last() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


MIDNIGHT = datetime.fromisoformat(os.environ.setdefault(_SETTING, _last().isoformat()))
"""The last midnight UTC when the run began; the events that emulators make end here."""
