"""kill -9 at every point between the question and the committed rows."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import duckdb
import psycopg
import pytest

from tests.days import LAST_MIDNIGHT
from tests.reliability.jobs import LOOK, seen_as
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.storage.sweeper import sweep
from vectorshift_orchestration.windows import Window

POINTS = {
    # name: (failpoint, kills before the job is let through)
    "before create": ("export.asking", 2),  # an export is asked for at most three times
    "after send, before reply": ("", 2),
    "after reply, before persist": ("export.asked", 2),
    "after persist": ("saved.created", 1),  # a job that goes on does not come here again
    "mid-poll": ("progress.looks", 9),
    "mid-download": ("progress.bytes", 9),
    "after fsync, before rename": ("publish.flushed", 9),
    "after rename, before ledger": ("publish.renamed", 9),
    "after BEGIN": ("sql.begun", 9),
    "after DELETE": ("sql.deleted", 9),
    "mid-COPY": ("sql.loading", 9),
    "before COMMIT": ("sql.before_commit", 9),
    "after COMMIT, before success": ("sql.committed", 1),
}

TIMES = float(os.environ.get("TEST_KILL_TIMES", "1"))
"""1 is 650 kills in all; more for a longer run."""
KILLS_AT_EACH = {"postgres": round(40 * TIMES), "duckdb": round(10 * TIMES)}

DAY = Window(LAST_MIDNIGHT - timedelta(days=2), LAST_MIDNIGHT - timedelta(days=1))


def truth(service):
    rows = service.truth(
        f"SELECT span_id, status FROM events WHERE start_time >= '{DAY.start:%F %T}' "
        f"AND start_time < '{DAY.end:%F %T}'"
    )
    return seen_as([(row["span_id"], row["status"]) for row in rows])


def look(kind, address):
    """What the table holds, and the checksum of the file that its ledger row names."""
    opened = (
        psycopg.connect(address)
        if kind == "postgres"
        else duckdb.connect(address, config={"threads": 1})
    )
    with closing(opened) as connection:
        commit = committed(connection, "events", DAY)
        return list(connection.execute(LOOK).fetchone()), commit.sha256


def file_digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def observations(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(3000 * max(1, TIMES))  # four minutes on two busy cores
@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_killed_at_every_point(kind, service, forks, tmp_path, request, capsys):
    """The window is all old or all new at every look, and true after each job that ends."""
    address = str(tmp_path / "warehouse.duckdb")
    if kind == "postgres":
        address = request.getfixturevalue("postgres")
    observed = str(tmp_path / "observed")
    job = {
        "base_url": service.base_url,
        "start": DAY.start.isoformat(),
        "end": DAY.end.isoformat(),
        "folder": str(tmp_path),
        "kind": kind,
        "address": address,
        "observed": observed,
    }
    record, published = tmp_path / "record.json", tmp_path / "published" / "events.csv"
    service.reset()
    service.settings(export_delay=0.005)
    assert forks.run("export", **job) == {"exit": 0}
    states, jobs, began = [truth(service)], 1, time.monotonic()
    reader = None
    if kind == "postgres":
        reader = forks.start("observe", address=address, observed=observed)
    kills, expected = dict.fromkeys(POINTS, 0), KILLS_AT_EACH[kind]
    for point, (place, in_a_row) in POINTS.items():
        while kills[point] < expected:
            record.unlink()
            service.burst(1, at=DAY.start + timedelta(minutes=len(states)))
            for _ in range(min(in_a_row, expected - kills[point])):
                ended = forks.run("export", at=place, kill_on_reply=not place, **job)
                assert ended == {"signal": 9}, point
                kills[point] += 1
            assert forks.run("export", **job) == {"exit": 0}
            states.append(truth(service))
            jobs += 1
            assert look(kind, address) == (states[-1], file_digest(published)), point
    seconds = time.monotonic() - began
    if reader is not None:
        forks.kill(reader)
    leftovers = sweep(tmp_path, older_than=timedelta(0), staged=True)
    polls = observations(observed)
    torn = [seen for seen in polls if seen not in states]
    exports = service.counters()["exports_created"]
    report = [
        f"{kind}: {sum(kills.values())} kills, {jobs} jobs done, {seconds:.1f} s",
        *(f"  {count:5d}  {point}" for point, count in kills.items()),
        f"  {len(polls):,} looks at {len(states)} states: {len(torn)} torn, "
        f"{sum(seen[0] != seen[1] for seen in polls)} with duplicates; {exports} remote exports "
        f"for {jobs} jobs; {len(leftovers)} leftover files swept",
    ]
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *report, ""]))
    assert torn == []
    assert len({json.dumps(state) for state in states}) == len(states)
    assert len(polls) > sum(kills.values())
    if kind == "postgres":
        assert polls[-1] == states[-1]
    assert leftovers
    assert sorted(path.name for path in tmp_path.rglob("*.*") if "duckdb" not in path.name) == [
        "events.csv",
        "record.json",
    ]


@pytest.mark.slow
@pytest.mark.timeout(600 * max(1, TIMES))
def test_a_window_in_chunks_is_killed_at_every_point(service, forks, tmp_path, postgres):
    """No reader sees a part of the window: it is all old or all new, and true after each job that ends."""
    observed = str(tmp_path / "observed")
    job = {
        "base_url": service.base_url,
        "start": DAY.start.isoformat(),
        "end": DAY.end.isoformat(),
        "folder": str(tmp_path),
        "kind": "postgres",
        "address": postgres,
        "observed": observed,
        "chunks": 3,
    }
    service.reset()
    service.settings(export_delay=0.005)
    assert forks.run("export", **job) == {"exit": 0}
    states = [truth(service)]
    reader = forks.start("observe", address=postgres, observed=observed)
    for point, (place, in_a_row) in POINTS.items():
        if place.startswith("publish."):
            continue
        (tmp_path / "record.json").unlink()
        service.burst(1, at=DAY.start + timedelta(minutes=len(states)))
        for _ in range(min(in_a_row, round(3 * TIMES))):
            ended = forks.run("export", at=place, kill_on_reply=not place, **job)
            assert ended == {"signal": 9}, point
        assert forks.run("export", **job) == {"exit": 0}
        states.append(truth(service))
        with psycopg.connect(postgres) as connection:
            assert list(connection.execute(LOOK).fetchone()) == states[-1], point
            assert committed(connection, "events", DAY).rows == states[-1][0], point
    forks.kill(reader)
    polls = observations(observed)
    assert [seen for seen in polls if seen not in states] == []
    assert polls[-1] == states[-1]
