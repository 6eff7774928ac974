"""A service, a server and a process that forks the children to be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

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
