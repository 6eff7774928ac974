"""An export job under everything that may happen to it, in any order: its rows are those of one moment, and never older ones.

The service, the clock and the process are this file's; the SDK, the checks, the ledger (DuckDB) and the published file are real.
`TEST_JOB_CASES=500` is what `make reliability` tries.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp
from unittest.mock import patch

import duckdb
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.orchestration.rows import DAY, event, write_csv
from vectorshift import Client, Retry, VectorshiftError
from vectorshift._calls import Call, Fetch, Fetched, Reply
from vectorshift_orchestration.exports import ExportJob, ExportOptions, ExportRequest, ExportState
from vectorshift_orchestration.landing import Landing

CASES = int(os.environ.get("TEST_JOB_CASES", "8"))
PATIENCE = Retry(attempts=2, first_wait=0.0, longest_wait=0.0)
OPTIONS = ExportOptions(timeout=7200, poll_interval=1, late_arrival=timedelta(0))
MOST_TRIES = 12


class Died(BaseException):
    """The process ended here."""


class Clock:
    """Two clocks: one that only goes on, and the wall's, which may be set back, forward, or stand still."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.wall = time.time()
        self.frozen = False

    def monotonic(self) -> float:
        return self.elapsed

    def time(self) -> float:
        return self.wall

    def sleep(self, seconds: float) -> None:
        self.elapsed += seconds
        self.wall += 0.0 if self.frozen else seconds


class Record:
    """What survives a process; `dies` ends it before or after a state is written."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.dies = ""

    def read(self) -> ExportState | None:
        return None if self.text is None else ExportState.from_json(json.loads(self.text))

    def write(self, state: ExportState) -> None:
        at, self.dies = self.dies, "" if self.dies.endswith(state.state) else self.dies
        if at == f"before {state.state}":
            raise Died
        self.text = json.dumps(state.to_json())
        if at == f"after {state.state}":
            raise Died

    def discard(self) -> None:
        self.text = None


class Service:
    """The service behind the transport: an export holds the events that there were when it was requested."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.events = 3
        self.status = "ready"
        self.exports: list[int] = []
        self.loses = self.breaks = 0

    def send(self, call: Call) -> Reply:
        self.clock.sleep(0.01)
        body: dict[str, object] = {"status": "success"}
        if call.template.endswith("/count"):
            body["count"] = self.events
        elif call.template == "/analytics/exports":
            self.exports.append(self.events)
            body |= {"task_id": f"ex_{len(self.exports) - 1}", "task_status": "pending"}
            if self.loses:
                self.loses -= 1
                return self._reply(0, b"", reason="the connection broke")
        elif self.status == "gone":
            return self._reply(404, b'{"error": "not found"}')
        else:
            task_id = call.path.rpartition("/")[2]
            body |= {"task_id": task_id, "task_status": self.status, "format": "CSV"}
            if self.status == "ready":
                body["download_url"] = f"http://127.0.0.1:9/{task_id}"
        return self._reply(200, json.dumps(body).encode())

    def fetch(self, step: Fetch) -> Fetched:
        rows = self.exports[int(step.url.text.rpartition("_")[2])]
        content = file_of(rows)
        headers = {"content-length": str(len(content))}
        if self.breaks:
            self.breaks -= 1
            content = content[: len(content) // 2]
        received = step.sink.write(content)
        return Fetched(200, received, headers, usable=True, now=self.clock.monotonic())

    def close(self) -> None:
        """Nothing is open."""

    def _reply(self, status: int, body: bytes, reason: str = "") -> Reply:
        clock = self.clock
        return Reply(status, body, reason=reason, now=clock.monotonic(), wall=clock.time())


_FILES: dict[int, bytes] = {}


def file_of(rows: int) -> bytes:
    """The exported file of the first `rows` events."""
    if rows not in _FILES:
        path = Path(mkdtemp()) / "file"
        _FILES[rows] = write_csv(path, [event(number) for number in range(rows)]).read_bytes()
        shutil.rmtree(path.parent)
    return _FILES[rows]


class Exporting(RuleBasedStateMachine):
    """One window, its job, its storage, and a second writer."""

    @initialize(with_file=st.booleans())
    def begin(self, with_file: bool) -> None:
        self.folder = Path(mkdtemp(prefix="vs-"))
        self.clock = Clock()
        self.patches = [
            patch(f"{module}.time", self.clock)
            for module in (
                *(
                    "vectorshift_orchestration.exports.job",
                    "vectorshift_orchestration.exports.fetch",
                ),
                "vectorshift._drivers",
            )
        ]
        for each in self.patches:
            each.start()
        self.service = Service(self.clock)
        self.client = Client("sk_x", "http://127.0.0.1:9/v1", retry=PATIENCE)
        self.client._open_transport = self.service  # type: ignore[assignment]
        self.request = ExportRequest(self.client.query().to_dict(), DAY)
        self.database = duckdb.connect(config={"threads": 1})
        self.target = self.folder / "lake" / "events.csv" if with_file else None
        self.landing = Landing(
            destination=self.target, table="events", connect=lambda: nullcontext(self.database)
        )
        self.record = Record()
        self.job: ExportJob | None = None
        self.newest = 0

    # --- what the job does ---

    def _job(self, record: Record, name: str) -> ExportJob:
        return ExportJob(
            self.client,
            self.request,
            self.landing,
            record,
            directory=self.folder / name,
            options=OPTIONS,
        )

    @rule(step=st.sampled_from(["ask", "wait", "wait", "finish"]), seconds=st.sampled_from([0, 60]))
    def go_on(self, step: str, seconds: int) -> None:
        """The next step, in this process or in a new one that has the record."""
        job = self.job = self.job or self._job(self.record, "work")
        try:
            if step == "wait":
                job.wait(seconds)
            elif step == "ask":
                job.ask()
            else:
                job.finish()
                self.job, self.record.text = None, None
        except VectorshiftError:
            self.job = None
        except Died:
            self.job = None

    @rule()
    def die(self) -> None:
        """Between two steps."""
        self.job = None

    @rule(
        when=st.sampled_from(["before", "after"]),
        state=st.sampled_from(["intent", "created", "ready", "staged", "published", "committed"]),
    )
    def die_at(self, when: str, state: str) -> None:
        """Beside the next note of a state."""
        self.record.dies = f"{when} {state}"

    @rule()
    def another_writer(self) -> None:
        """A second process lands the same window, if the service and the storage let it."""
        with suppress(VectorshiftError):
            self._job(Record(), "other").finish()

    # --- what happens to it ---

    @rule(status=st.sampled_from(["pending", "ready", "ready", "failed", "gone", "unheard-of"]))
    def the_service_says(self, status: str) -> None:
        self.service.status = status

    @rule(answers=st.integers(1, 4), files=st.integers(0, 12))
    def the_wire_breaks(self, answers: int, files: int) -> None:
        self.service.loses, self.service.breaks = answers, files

    @rule(count=st.integers(1, 3))
    def events_arrive(self, count: int) -> None:
        self.service.events += count

    @rule(seconds=st.sampled_from([1, 600, 8000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.sleep(seconds)

    @rule(seconds=st.sampled_from([-3600, 3600]))
    def the_clock_is_set(self, seconds: int) -> None:
        self.clock.wall += seconds

    @rule(frozen=st.booleans())
    def the_clock_stands_still(self, frozen: bool) -> None:
        self.clock.frozen = frozen

    @precondition(lambda self: self.target is not None)
    @rule(blocked=st.booleans())
    def the_destination_refuses(self, blocked: bool) -> None:
        """A file where the folder should be: whatever is uploaded is refused."""
        lake, aside = self.folder / "lake", self.folder / "aside"
        if blocked and not lake.is_file():
            if lake.exists():
                lake.rename(aside)
            lake.write_text("")
        elif not blocked and lake.is_file():
            lake.unlink()
            if aside.exists():
                aside.rename(lake)

    # --- what always holds ---

    @invariant()
    def the_table_is_of_one_moment(self) -> None:
        """Every row once, all that there were at a moment, and never fewer than before."""
        if not hasattr(self, "database"):
            return
        rows = self._rows()
        assert rows == {f"sp_{number}": 1 for number in range(len(rows))}
        assert len(rows) in {0, *self.service.exports}
        assert len(rows) >= self.newest
        self.newest = len(rows)

    def _rows(self) -> Counter[str]:
        tables = {name for [name] in self.database.execute("SHOW TABLES").fetchall()}
        if "events" not in tables:
            return Counter()
        found = self.database.execute("SELECT span_id FROM events").fetchall()
        return Counter(name for [name] in found)

    def teardown(self) -> None:
        """When everything works again, some tries later the window is right, in the table and in the file."""
        try:
            if hasattr(self, "database"):
                self._heal()
        finally:
            for each in getattr(self, "patches", ()):
                each.stop()
            if hasattr(self, "database"):
                self.database.close()
                shutil.rmtree(self.folder)

    def _heal(self) -> None:
        self.service.status, self.service.loses, self.service.breaks = "ready", 0, 0
        self.clock.frozen, self.record.dies = False, ""
        if self.target is not None:
            self.the_destination_refuses(blocked=False)
        for _ in range(MOST_TRIES):
            try:
                landed = self._job(self.record, "work").finish()
                break
            except VectorshiftError:
                continue
        else:
            raise AssertionError(f"{MOST_TRIES} tries landed nothing")
        self.the_table_is_of_one_moment()
        assert landed.rows == self.newest
        assert landed.recreated <= 2
        if self.target is not None:
            assert self.target.read_bytes() == file_of(self.newest)


def test_a_job_survives_whatever_happens_in_any_order() -> None:
    """Deaths at every note, lost answers, cut files, clocks that jump or stop, refused uploads and a second writer."""
    run_state_machine_as_test(
        Exporting,
        settings=settings(
            max_examples=CASES,
            stateful_step_count=25,
            deadline=None,
            database=None,
            derandomize="TEST_JOB_CASES" not in os.environ,
            suppress_health_check=list(HealthCheck),
        ),
    )
