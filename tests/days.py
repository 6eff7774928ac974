"""The day of a test run, read once for all of its processes: a run may go on over midnight."""

import os
from datetime import UTC, datetime, timedelta

_RUN = "TEST_MIDNIGHT"
"""The midnight before the run began, as ISO 8601 with its offset; another one stands for another date."""
_FRIDAY = 4


def _began() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


LAST_MIDNIGHT = datetime.fromisoformat(os.environ.setdefault(_RUN, _began().isoformat()))
"""The last midnight UTC when the run began, for what goes by the clock."""

MIDNIGHT = LAST_MIDNIGHT - timedelta(days=(LAST_MIDNIGHT.weekday() - _FRIDAY) % 7)
"""The end of the last Thursday; generated events end here.

They are fewer on weekends, so their days are the same days of the week whenever the tests run.
"""

CLOCK = {name: os.environ[name] for name in ("LD_PRELOAD", "CLOCK_DAYS") if name in os.environ}
"""What moves the clock of this process (`make clock`), for the environment of those that it starts with little else."""
