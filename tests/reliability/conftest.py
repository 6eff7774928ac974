"""A service, a server and a process that forks the children to be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from tests.fault_proxy import FaultProxy
from tests.postgres import Schemas, schemas
from vectorshift_emulator import Emulator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def service() -> Iterator[Emulator]:
    """A running emulator, in a process of its own, whose exports take a moment."""
    command = [sys.executable, "-m", "vectorshift_emulator", "--events", "2000", "--days", "5"]
    with subprocess.Popen(
        [*command, "--export-delay", "0.005"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        try:
            yield Emulator(**told)
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def postgres_schemas() -> Iterator[Schemas]:
    """A running PostgreSQL, one for the session."""
    with schemas() as made:
        yield made


@pytest.fixture
def postgres(postgres_schemas: Schemas) -> str:
    """A connection string whose search path is a schema of the test's own."""
    return postgres_schemas.new()


class Forks:
    """The fork server, and what its children came to."""

    def __init__(self, base_url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.fork_server", base_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def start(self, job: str, *, at: str = "", signal: str = "SIGKILL", **arguments: Any) -> int:
        """Fork a child that gets a signal when it comes to the failpoint `at`; its pid."""
        environment = {"VECTORSHIFT_FAILPOINT": f"{at}={signal}" if at else ""}
        pid = self._ask({"start": {"job": job, "environment": environment, **arguments}})["pid"]
        self._running.add(pid)
        return int(pid)

    def wait(self, pid: int) -> dict[str, Any]:
        """How a child ended, or that it stopped."""
        ended = self._ask({"wait": pid})
        if "stopped" not in ended:
            self._running.discard(pid)
        return ended

    def kill(self, pid: int) -> None:
        """End a child that would run for ever."""
        os.kill(pid, signal.SIGKILL)
        self.wait(pid)

    def run(self, job: str, **arguments: Any) -> dict[str, Any]:
        """Fork a child and wait for its end."""
        return self.wait(self.start(job, **arguments))

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@pytest.fixture
def forks(service: Emulator) -> Iterator[Forks]:
    """A fork server that has everything loaded."""
    with Forks(service.base_url) as made:
        yield made


class Seen:
    """What a test injected, and what became of the rows."""

    def __init__(self) -> None:
        self.injected: Counter[str] = Counter()
        self.lost = self.duplicated = self.wrong = 0

    def compare(self, truth: Iterable[Any], found: Iterable[Any]) -> None:
        """Count what a sink lacks, has too often, and has without its being true; all three have to be none."""
        missing = Counter(truth)
        wanted = set(missing)
        missing.subtract(found)
        self.lost += sum(count for count in missing.values() if count > 0)
        extra = {value: -count for value, count in missing.items() if count < 0}
        self.duplicated += sum(count for value, count in extra.items() if value in wanted)
        self.wrong += sum(count for value, count in extra.items() if value not in wanted)
        assert not +missing, f"lost: {list(+missing)[:3]}"
        assert not extra, f"too many: {list(extra)[:3]}"


@pytest.fixture
def record_faults(
    record_property: Callable[[str, object], None],
) -> Callable[..., AbstractContextManager[Seen]]:
    """Count the faults of proxies, and what they did to rows, for the line at the end of a run."""

    @contextmanager
    def recording(*proxies: FaultProxy) -> Iterator[Seen]:
        seen = Seen()
        yield seen
        for proxy in proxies:
            assert not proxy.pending
            seen.injected += proxy.injected
        assert seen.injected, "no fault was injected"
        record_property("faults", dict(seen.injected))
        record_property("rows", [seen.lost, seen.duplicated, seen.wrong])

    return recording
