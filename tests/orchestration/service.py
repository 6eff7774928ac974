"""A real service without events for the tests of this folder, and the count of the window laws."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.orchestration import laws
from vectorshift import Client, Retry
from vectorshift_emulator import Emulator, serve


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many examples the window laws were tried with."""
    if laws.examples:
        terminalreporter.write_line(laws.summary())


@pytest.fixture
def anyio_backend() -> str:
    """Awaiting tests run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def blank_session() -> Iterator[Emulator]:
    """One service for the session."""
    with serve(events=0, export_mode="sync") as emulator:
        yield emulator


@pytest.fixture
def blank(blank_session: Emulator) -> Iterator[Emulator]:
    """A service without events; what a test inserts and switches is undone after it."""
    blank_session.reset_counters()
    yield blank_session
    blank_session.reset()


@pytest.fixture
def client(blank: Emulator) -> Iterator[Client]:
    """An account at that service, which tries again at once and knows how times are compared."""
    impatient = Retry(first_wait=0.001, longest_wait=0.002)
    with Client(blank.api_key, blank.base_url, retry=impatient, time_precision="us") as client:
        yield client
