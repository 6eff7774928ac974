"""The official client's interpreter for these tests, and their counts in the closing summary."""

from datetime import UTC, datetime

import pytest

from tests.locked_environment import ROOT, locked_python
from vectorshift_emulator import serve


@pytest.fixture(scope="session")
def official():
    """The Python that has the official client."""
    return locked_python(ROOT / "requirements" / "official.txt")


@pytest.fixture(scope="module")
def emulator():
    """Sixty days of events over New Year, exports ready in the create reply."""
    end = datetime(2026, 2, 1, tzinfo=UTC)
    with serve(events=5000, days=60, end=end, export_mode="sync") as running:
        yield running


def pytest_terminal_summary(terminalreporter):
    """Prints every `count` that a test recorded, also when all tests pass."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties if report.when == "call" else ():
            if name == "count":
                terminalreporter.line(text)
