"""Hour after hour of exports while everything around them misbehaves: windows landed, wrong ones, and what the process holds.

`python -m tests.reliability.soak 3600 7` does so for an hour with seed 7, and ends with status 1 if a window was wrong.
"""

from __future__ import annotations

import csv
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import linear_regression
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import duckdb
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.days import LAST_MIDNIGHT
from tests.fault_proxy import Fault, FaultProxy
from tests.postgres import schemas
from tests.reliability.endurance import Held, emulator
from tests.reliability.exporting import exported, opened
from vectorshift_emulator import Emulator
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.windows import Window

HOURS = Window(LAST_MIDNIGHT - timedelta(days=1), LAST_MIDNIGHT).split(timedelta(hours=1))
"""The windows of a cycle, one after the other."""

OF_THE_SERVICE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("*", "status", {"code": 429, "retry_after": "0"}),
    ("*", "status", {"code": 503}),
    ("*", "reset", {"fraction": 0.5}),
    ("export_create", "short_file", {"fraction": 0.5}),
    ("export_poll", "not_json", {}),
    ("export_poll", "ready_without_url", {}),
    ("export_poll", "task_failed", {}),
    ("download", "expired", {}),
    ("download", "flip_byte", {}),
    ("download", "html_200", {}),
    ("download", "truncate", {"fraction": 0.7}),
    ("download", "wrong_file", {}),
)
OF_A_WIRE = (
    Fault("refused"),
    Fault("lost request"),
    Fault("lost reply"),
    Fault("unanswered"),
    Fault("reset", at=0.5),
    Fault("late", seconds=0.02),
)
LOST_COMMIT = Fault("lost reply", on=b"COMMIT")
RATE = 0.1
"""How many faults of the service and of either wire come for each export, and how many late events for each window."""

TRIES = 12
"""An orchestrator's, of which faults that come together take several."""

COLUMNS = ("span_id", "trace_id", "span_kind", "status", "error_message", "execution_id")
Rows: TypeAlias = Counter[tuple[str | None, ...]]


@dataclass
class Came:
    """What came of a soak."""

    windows: int = 0
    wrong: int = 0
    requests: int = 0
    exports: int = 0
    late: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    held: list[tuple[int, Held]] = field(default_factory=list)
    """After each cycle: the windows landed, and what was held then."""

    @property
    def slope(self) -> float | None:
        """MiB of memory for each 1,000 windows, after the first third; None where fewer than 1,000 are left to tell by."""
        windows, held = zip(*self.held[len(self.held) // 3 :], strict=True)
        if windows[-1] - windows[0] < 1000:
            return None
        return linear_regression(windows, [each.memory for each in held]).slope * 1000 / 1024

    def told(self) -> str:
        """The figures, in words."""
        kinds = ", ".join(f"{name} {count:,}" for name, count in self.injected.most_common())
        grows = "" if self.slope is None else f"; {self.slope:+.2f} MiB for each 1,000 windows"
        return (
            f"{self.windows:,} windows landed, {self.wrong} wrong; {self.exports:,} exports, {self.requests:,} requests, "
            f"{self.late:,} late events, {self.injected.total():,} faults ({kinds}); after the first cycle "
            f"{self.held[-1][1].since(self.held[0][1])}{grows}"
        )


@dataclass(frozen=True)
class Sink:
    """A table, files beside it, how a job gets to the table, and how a look does."""

    files: Path
    connect: Callable[[], AbstractContextManager[Any]]
    look: Callable[[], AbstractContextManager[Any]]

    def land(self, service: Emulator, base_url: str, window: Window, work: Path) -> None:
        """One window, by as many tries as it takes."""
        landing = Landing(destination=self.file(window), table="events", connect=self.connect)
        exported(
            *(base_url, service.api_key, "CSV", work, landing),
            window=window,
            tries=TRIES,
            timeout=10.0,
        )

    def file(self, window: Window) -> Path:
        """Where the file of a window is."""
        return self.files / f"{window.start:%d-%H}.csv"

    def wrong(self, truths: dict[Window, Rows]) -> int:
        """How many windows are not the truth, in the table or in their file."""
        wrong = 0
        with self.look() as connection:
            for window, true in truths.items():
                found = connection.execute(
                    f"SELECT {', '.join(COLUMNS)} FROM events WHERE span_start_time >= '{window.start:%F %T}'"
                    f" AND span_start_time < '{window.end:%F %T}'"
                )
                rows = Counter(tuple(row) for row in found.fetchall())
                with self.file(window).open(newline="") as lines:
                    wrong += not rows == true == counted(csv.DictReader(lines))
        return wrong


def counted(rows: Iterable[dict[str, Any]]) -> Rows:
    """Rows as a multiset; in a file, no value is an empty one, and a status is in capitals."""
    return Counter(
        tuple((row | {"status": row["status"].lower()})[name] or None for name in COLUMNS)
        for row in rows
    )


def truth(service: Emulator, window: Window) -> Rows:
    """What a window has, straight from the service's database."""
    return counted(
        service.truth(
            f"SELECT {', '.join(COLUMNS)} FROM events WHERE start_time >= '{window.start:%F %T}'"
            f" AND start_time < '{window.end:%F %T}'"
        )
    )


class Trouble:
    """Puts faults on a service and on two wires, by a seed."""

    def __init__(
        self, seed: int, service: Emulator, service_wire: FaultProxy, database_wire: FaultProxy
    ) -> None:
        self._random = random.Random(seed)
        self._service = service
        self._wires = service_wire, database_wire
        self._of_the_service: Counter[str] = Counter()

    def comes(self) -> None:
        """What may go wrong with the next export."""
        chance, some = self._random.random, self._random
        if chance() < RATE:
            route, kind, options = some.choice(OF_THE_SERVICE)
            self._service.fault(route, kind, **options)
        for wire, last in zip(self._wires, ((), (LOST_COMMIT,)), strict=True):
            if chance() < RATE and not wire.pending:
                wire.plan(some.choice((*OF_A_WIRE, *last)))

    def late_events(self, window: Window) -> int:
        """How many events come late, into a window that may have been exported before."""
        if self._random.random() > RATE:
            return 0
        at = window.start + timedelta(seconds=self._random.randrange(3500))
        return len(self._service.burst(1, at=at, seed=self._random.randrange(1 << 30)))

    def injected(self) -> Counter[str]:
        """What was put on and has happened, by kind; the service forgets what has not."""
        for each in self._service.faults():
            self._of_the_service[f"{each['route']} {each['kind']}"] += each["injected"]
        self._service.clear_faults()
        return sum((wire.injected for wire in self._wires), +self._of_the_service)


@contextmanager
def sinks(folder: Path) -> Iterator[tuple[list[Sink], FaultProxy]]:
    """A DuckDB file, and a PostgreSQL behind a wire that may break."""
    file = str(folder / "warehouse.duckdb")
    in_a_file = partial(opened, partial(duckdb.connect, config={"threads": 1}), file)
    with schemas() as made:
        straight = made.new()
        parts = conninfo_to_dict(straight)
        with FaultProxy(int(str(parts["port"])), str(parts["host"])) as wire:
            weak = make_conninfo(straight, host="127.0.0.1", port=wire.port)
            behind, past = (partial(opened, psycopg.connect, each) for each in (weak, straight))
            by_kind = {"duckdb": (in_a_file, in_a_file), "postgres": (behind, past)}
            yield [Sink(folder / name, *ways) for name, ways in by_kind.items()], wire
            wire.forgotten()


def soak(seconds: float, seed: int, say: Callable[[str], None] = lambda _: None) -> Came:
    """Export the hours of a day into both sinks again and again, for so long and for two cycles at least.

    At the end of each cycle, tables and files are compared with the truth.
    """
    came, began = Came(), time.monotonic()
    with (
        TemporaryDirectory() as name,
        emulator() as service,
        sinks(Path(name)) as (places, database_wire),
        FaultProxy.before(service.base_url) as service_wire,
    ):
        service.settings(export_mode="async", export_delay=0)
        trouble = Trouble(seed, service, service_wire, database_wire)
        while len(came.held) < 2 or time.monotonic() - began < seconds:
            for window in HOURS:
                came.late += trouble.late_events(window)
                for sink in places:
                    trouble.comes()
                    sink.land(service, f"{service_wire.origin}/v1", window, Path(name) / "work")
                    came.windows += 1
            truths = {window: truth(service, window) for window in HOURS}
            came.wrong += sum(sink.wrong(truths) for sink in places)
            counters = service.counters()
            came.requests = sum(counters["requests"].values())
            came.exports = counters["exports_created"]
            came.injected = trouble.injected()
            came.held.append((came.windows, settled(came.held[0][1] if came.held else None)))
            say(came.told())
        service_wire.forgotten()
    return came


def settled(first: Held | None) -> Held:
    """What is held once the proxies' threads have seen that their connections ended, which takes them a moment."""
    deadline = time.monotonic() + 30
    while True:
        held = Held.now()
        grown = first is None or held.files > first.files or held.threads > first.threads
        if not grown or time.monotonic() > deadline - 29 * (first is None):
            return held
        time.sleep(0.05)


def main(seconds: float, seed: int = 1) -> int:
    """Print the figures now and then, and at the end."""
    told = time.monotonic()

    def say(line: str) -> None:
        nonlocal told
        if time.monotonic() - told > 60:
            told = time.monotonic()
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    came = soak(seconds, seed, say)
    sys.stdout.write(f"{came.told()}\n")
    return int(came.wrong > 0)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), *map(int, sys.argv[2:])))
