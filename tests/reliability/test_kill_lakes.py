"""kill -9 around and in the middle of a lake's one commit, of exports and of health tables."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from datetime import timedelta

import pytest

from tests.days import LAST_MIDNIGHT
from tests.reliability.jobs import LAKES, lake_rows, seen_as
from tests.reliability.test_kill import DAY, TIMES, truth

POINTS = {
    # name: (failpoint, signal)
    "after staging": ("lake.staged", "SIGKILL"),
    "before the commit": ("lake.committing", "SIGKILL"),
    "some time into the commit": ("lake.committing", "SIGSTOP"),
    "after the commit": ("lake.committed", "SIGKILL"),
}
KILLS_AT_EACH = round(TIMES)
DAYS = 3


def killed(forks, job, point, arguments):
    """Run a job to the point and end it there, or up to 60 ms behind it."""
    place, sent = POINTS[point]
    pid = forks.start(job, at=place, signal=sent, **arguments)
    ended = forks.wait(pid)
    if sent == "SIGSTOP":
        assert ended == {"stopped": True}
        os.kill(pid, signal.SIGCONT)
        time.sleep(random.uniform(0, 0.06))
        forks.kill(pid)  # which the job may have been faster than
    else:
        assert ended == {"signal": 9}, point


@pytest.mark.slow
@pytest.mark.timeout(1500 * max(1, TIMES))
@pytest.mark.parametrize("kind", LAKES)
def test_killed_at_every_point_of_a_commit(kind, service, forks, tmp_path, capsys):
    """Each look, of a reader beside it and after each kill, finds all old or all new; a run again ends it."""
    address, observed = tmp_path / "lake", tmp_path / "observed"
    address.mkdir()
    where = {"kind": kind, "address": str(address)}
    days = {"start": (LAST_MIDNIGHT - timedelta(days=DAYS)).isoformat(), "days": DAYS}
    job = where | {
        "base_url": service.base_url,
        "start": DAY.start.isoformat(),
        "end": DAY.end.isoformat(),
        "folder": str(tmp_path),
        "observed": "",
    }
    service.reset()
    service.settings(export_delay=0.005)
    assert forks.run("export", **job) == {"exit": 0}
    assert forks.run("measure", mark=0, **where, **days) == {"exit": 0}
    reader = forks.start("observe_lake", observed=str(observed), **where)
    states, marks, kills = [truth(service)], [[0]], 0

    def look():
        rows = lake_rows(kind, str(address), "events", "span_id", "status")
        figures = lake_rows(kind, str(address), "health.runs", "bucket_start", "value")
        assert len(figures) == DAYS
        return seen_as(rows), sorted({value for _, value in figures})

    for point in POINTS:
        for _ in range(KILLS_AT_EACH):
            (tmp_path / "record.json").unlink()
            service.burst(1, at=DAY.start + timedelta(minutes=len(states)))
            states.append(truth(service))
            marks.append([len(marks)])
            new = {"mark": len(marks) - 1}
            killed(forks, "export", point, job)
            killed(forks, "measure", point, where | days | new)
            kills += 2
            seen, figures = look()
            assert (seen in states[-2:], figures in marks[-2:]) == (True, True), point
            assert forks.run("export", **job) == {"exit": 0}
            assert forks.run("measure", **where, **days, **new) == {"exit": 0}
            assert look() == (states[-1], marks[-1]), point
    forks.kill(reader)
    looks = [json.loads(line) for line in observed.read_text().splitlines()]
    with capsys.disabled():
        sys.stdout.write(
            f"\n{kind}: {kills} kills, {len(looks)} looks at {len(states)} states beside them\n"
        )
    assert looks
    torn = [look for look in looks if look[0] not in states or look[1] not in marks]
    assert torn == []
