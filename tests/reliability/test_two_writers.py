"""Two processes that write one window: one commits, the other one gives way (F14)."""

from __future__ import annotations

import os
import signal
import time

import psycopg
import pytest

STOPPED_SECONDS = float(os.environ.get("TEST_STOPPED_SECONDS", "3"))
ROUNDS = 20
ROWS = 500
DAY = {"start": "2026-11-21T00:00:00Z", "end": "2026-11-22T00:00:00Z"}
WEEK = {"start": "2026-11-16T00:00:00Z", "end": "2026-11-23T00:00:00Z"}


@pytest.fixture
def writer(forks, postgres, tmp_path):
    """Start a process that writes a window with rows that bear its mark."""

    def start(mark, window=DAY, **place):
        return forks.start(
            "write",
            kind="postgres",
            address=postgres,
            rows=ROWS,
            mark=mark,
            report=str(tmp_path / mark),
            **window,
            **place,
        )

    return start


def marks(postgres):
    with psycopg.connect(postgres) as connection:
        result = connection.execute("SELECT left(span_id, 1), count(*) FROM events GROUP BY 1")
        return dict(result.fetchall())


@pytest.mark.slow
@pytest.mark.parametrize("other", [DAY, WEEK], ids=["same window", "wider window"])
def test_two_at_once(writer, forks, postgres, tmp_path, other):
    """Both have begun when both are let go: each time one commits and one is stale."""
    for _ in range(ROUNDS):
        pids = [
            writer(mark, window, at="write.begun", signal="SIGSTOP")
            for mark, window in (("a", DAY), ("b", other))
        ]
        assert [forks.wait(pid) for pid in pids] == [{"stopped": True}] * 2
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        assert [forks.wait(pid) for pid in pids] == [{"exit": 0}] * 2
        outcomes = {(tmp_path / mark).read_text(): mark for mark in "ab"}
        assert sorted(outcomes) == ["committed", "stale"]
        assert marks(postgres) == {outcomes["committed"]: ROWS}


@pytest.mark.slow
@pytest.mark.parametrize("place", ["write.begun", "sql.begun", "sql.loading", "sql.before_commit"])
def test_one_is_stopped_and_comes_back_late(writer, forks, postgres, tmp_path, place):
    """Before its lock it comes too late; with its lock it goes first, and who waited gives way."""
    late = writer("l", at=place, signal="SIGSTOP")
    assert forks.wait(late) == {"stopped": True}
    quick = writer("q")
    if place == "write.begun":
        assert forks.wait(quick) == {"exit": 0}
    time.sleep(STOPPED_SECONDS)
    os.kill(late, signal.SIGCONT)
    assert forks.wait(late) == {"exit": 0}
    if place != "write.begun":
        assert forks.wait(quick) == {"exit": 0}
    reported = {mark: (tmp_path / mark).read_text() for mark in "lq"}
    winner = "q" if place == "write.begun" else "l"
    assert reported == {"l": "stale", "q": "stale"} | {winner: "committed"}
    assert marks(postgres) == {winner: ROWS}
