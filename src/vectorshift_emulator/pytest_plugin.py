"""The emulator as pytest fixtures, for users' own tests; loaded by pytest itself, so kept cheap."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vectorshift_emulator import Emulator

EVENTS = 2_000
"""Rows of the session's emulator: enough for every kind of event, made in half a second."""


@pytest.fixture(scope="session")
def vectorshift_emulator_session() -> "Iterator[Emulator]":
    """One running emulator for the whole session, over small generated data."""
    from vectorshift_emulator import serve

    with serve(events=EVENTS) as emulator:
        yield emulator


@pytest.fixture
def vectorshift_emulator(vectorshift_emulator_session: "Emulator") -> "Iterator[Emulator]":
    """The session's emulator; what a test inserts, switches or counts is undone after it."""
    yield vectorshift_emulator_session
    vectorshift_emulator_session.reset()
