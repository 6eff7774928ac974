"""Emulators to ask: one with generated events, one without any."""

import pytest

from tests.emulator.wire import Client
from vectorshift_emulator import serve


@pytest.fixture
def emulator(vectorshift_emulator):
    """The session's emulator, as it was after each test."""
    return vectorshift_emulator


@pytest.fixture
def client(emulator):
    """A client of the session's emulator."""
    return Client(emulator.base_url, emulator.api_key)


@pytest.fixture(scope="session")
def empty_emulator():
    """A running emulator without generated events."""
    with serve(events=0, export_mode="sync") as emulator:
        yield emulator


@pytest.fixture
def blank(empty_emulator):
    """The emulator without events; what a test inserts is gone after it."""
    yield empty_emulator
    empty_emulator.reset()


@pytest.fixture
def on_blank(blank):
    """A client of the emulator without events."""
    return Client(blank.base_url, blank.api_key)
