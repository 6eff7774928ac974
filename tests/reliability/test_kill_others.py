"""kill -9 of what an export job stands on: the service, the database's postmaster, and a DuckDB writer in its checkpoint.

LIVE_KILLS sets how many of each (4 unless set).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import duckdb
import psycopg
import pytest

from tests.days import LAST_MIDNIGHT
from tests.postgres import server
from tests.processes import free_port
from tests.reliability.exporting import Memory, exported, opened
from tests.reliability.jobs import LOOK, seen_as
from vectorshift import VectorshiftError
from vectorshift_emulator import Emulator
from vectorshift_orchestration._failpoints import VARIABLE
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.windows import Window

KILLS = int(os.environ.get("LIVE_KILLS", "4"))
DAY = Window(LAST_MIDNIGHT - timedelta(days=2), LAST_MIDNIGHT - timedelta(days=1))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 60 * KILLS)]


class Service:
    """An emulator that keeps its events in a file, and nothing else, when it is killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self._command = [
            *(sys.executable, "-m", "vectorshift_emulator", "--port", str(free_port())),
            *("--events", "2000", "--days", "5", "--database", str(folder / "events.duckdb")),
            *("--export-mode", "async", "--export-delay", "0.01"),
        ]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.emulator = Emulator(**json.loads(self._process.stdout.readline()))

    def kill(self) -> None:
        """End it without a warning."""
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def truth(self) -> list[object]:
        """What `LOOK` should give."""
        rows = self.emulator.truth(
            f"SELECT span_id, status FROM events WHERE start_time >= '{DAY.start:%F %T}' "
            f"AND start_time < '{DAY.end:%F %T}'"
        )
        return seen_as([(row["span_id"], row["status"]) for row in rows])


@pytest.fixture
def frail(tmp_path):
    """A service that may be killed."""
    made = Service(tmp_path)
    yield made
    made.kill()


@contextmanager
def at(place, strike):
    """Call a function when this process comes to a failpoint of that name; whether it did is in the list."""
    struck = []

    def handle(*_):
        struck.append(place)
        strike()

    before = signal.signal(signal.SIGUSR1, handle)
    os.environ[VARIABLE] = f"{place}=SIGUSR1"
    try:
        yield struck
    finally:
        os.environ.pop(VARIABLE, None)
        signal.signal(signal.SIGUSR1, before)


def job(service, landing, folder, **options):
    """One try or more of the export of the day."""
    made = service.emulator
    return exported(
        *(made.base_url, made.api_key, "CSV", folder, landing),
        window=DAY,
        timeout=30.0,
        **options,
    )


MOMENTS = ("export.asking", "export.asked", "looks", "bytes")
FATES = [
    (moment, (number + turn) % 2 == 0) for turn in range(2) for number, moment in enumerate(MOMENTS)
]
"""When the service is killed, and whether it is back at once."""


def test_the_service_is_killed_in_the_middle_of_an_export(frail, tmp_path, capsys):
    """Back at once, or after a try that failed with a typed error: it has forgotten its exports, which are asked for again."""
    table = tmp_path / "warehouse.duckdb"
    landing = Landing(
        destination=tmp_path / "events.csv",
        table="events",
        connect=lambda: opened(duckdb.connect, str(table)),
    )

    def look():
        with closing(duckdb.connect(str(table))) as connection:
            return list(connection.execute(LOOK).fetchone())

    job(frail, landing, tmp_path / "work")
    plan = cycle(FATES)
    kills, failed = Counter(), 0
    for number, (moment, is_back) in zip(range(KILLS), plan, strict=False):
        frail.emulator.burst(1, at=DAY.start + timedelta(minutes=number))
        frail.emulator.fault("download", "drip", bytes_per_second=100_000)
        old, file, new = look(), (tmp_path / "events.csv").read_bytes(), frail.truth()
        assert old != new
        struck = []

        def strike(is_back=is_back):
            frail.kill()
            if is_back:
                frail.start()

        def progress(what, _, moment=moment, struck=struck, strike=strike):
            if what == moment and not struck:
                struck.append(what)
                strike()

        record = Memory()
        with at(moment, strike) as at_point:
            try:
                job(frail, landing, tmp_path / "work", record=record, progress=progress, tries=1)
            except VectorshiftError:
                failed += 1
                assert (look(), (tmp_path / "events.csv").read_bytes()) == (old, file)
        assert len(struck + at_point) == 1, moment
        kills[moment] += 1
        if not is_back:
            frail.start()
        job(frail, landing, tmp_path / "work", record=record)
        assert look() == new == frail.truth(), moment
        # Asked for once more by the one that came back, or twice where an answer was lost.
        assert 0 < frail.emulator.counters()["exports_created"] <= 2
    with capsys.disabled():
        sys.stdout.write(
            f"\nservice: {kills.total()} kills, {failed} tries failed, {dict(kills)}\n"
        )


PLACES = ("sql.loading", "sql.before_commit", "sql.deleted", "sql.begun", "sql.committed")


@pytest.fixture
def own():
    """A server that may be killed."""
    with server() as made:
        yield made


def test_the_postmaster_is_killed_in_the_middle_of_a_load(own, frail, tmp_path, capsys):
    """Each look, whenever the server lets one in, finds all old or all new rows; the job that is tried again lands."""
    landing = Landing(table="events", connect=lambda: opened(psycopg.connect, own.conninfo))
    job(frail, landing, tmp_path)
    states, looks, done = [frail.truth()], [], threading.Event()

    def look():
        while not done.wait(0.02):
            with suppress(psycopg.Error), psycopg.connect(own.conninfo) as connection:
                looks.append(list(connection.execute(LOOK).fetchone()))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for number, place in zip(range(KILLS), cycle(PLACES), strict=False):
            frail.emulator.burst(1, at=DAY.start + timedelta(minutes=number))
            states.append(frail.truth())
            with at(place, own.kill) as struck:
                job(frail, landing, tmp_path)
            assert struck == [place]
            with psycopg.connect(own.conninfo) as connection:
                assert list(connection.execute(LOOK).fetchone()) == states[-1], place
                assert committed(connection, "events", DAY).rows == states[-1][0]
    finally:
        done.set()
        reader.join()
    with capsys.disabled():
        sys.stdout.write(f"\npostmaster: {KILLS} kills, {len(looks)} looks\n")
    assert looks
    assert [seen for seen in looks if seen not in states] == []


STAGES = ("before_truncate", "before_header", "after_free_list_write", "")
"""Where a checkpoint breaks off; with none, the writer is killed some time into its COMMIT, which checkpoints."""


def test_a_duckdb_writer_is_killed_in_its_checkpoint(forks, tmp_path, capsys):
    """The file opens again and holds all old or, where the COMMIT was done, all new rows; the same write again lands."""
    rows, chance, new = 20_000, random.Random(5), Counter()
    written = {
        "address": str(tmp_path / "warehouse.duckdb"),
        "start": "2026-11-21T00:00:00Z",
        "end": "2026-11-22T00:00:00Z",
        "rows": rows,
        "report": str(tmp_path / "report"),
    }

    def marks():
        with closing(duckdb.connect(written["address"])) as connection:
            found = connection.execute("SELECT left(span_id, 1), count(*) FROM events GROUP BY 1")
            return dict(found.fetchall())

    assert forks.run("write", kind="duckdb", mark="a", **written) == {"exit": 0}
    old = "a"
    for number, stage in zip(range(KILLS), cycle(STAGES), strict=False):
        mark = "bc"[number % 2]
        if stage:
            ended = forks.run("checkpoint", mark=mark, breaks_off=stage, **written)
            assert ended == {"signal": 9}, stage
        else:
            pid = forks.start(
                *("checkpoint",),
                at="sql.before_commit",
                signal="SIGSTOP",
                mark=mark,
                breaks_off="",
                **written,
            )
            assert forks.wait(pid) == {"stopped": True}
            os.kill(pid, signal.SIGCONT)
            time.sleep(chance.uniform(0, 0.03))
            forks.kill(pid)
        found = marks()
        assert found in ([{mark: rows}] if stage else [{old: rows}, {mark: rows}]), stage
        new[stage or "some time into a COMMIT"] += found == {mark: rows}
        assert forks.run("write", kind="duckdb", mark=mark, **written) == {"exit": 0}
        assert Path(written["report"]).read_text() == "committed"
        assert marks() == {mark: rows}
        old = mark
    with capsys.disabled():
        sys.stdout.write(f"\nDuckDB: {number + 1} kills, of which after the COMMIT {dict(new)}\n")
