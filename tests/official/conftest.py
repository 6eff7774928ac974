"""The official client's interpreter for these tests, and their counts in the closing summary."""

import pytest

from tests.official.environment import official_python


@pytest.fixture(scope="session")
def official():
    """The Python that has the official client."""
    return official_python()


def pytest_terminal_summary(terminalreporter):
    """Prints every `count` that a test recorded, also when all tests pass."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties if report.when == "call" else ():
            if name == "count":
                terminalreporter.line(text)
