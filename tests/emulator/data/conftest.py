"""Fixtures: an empty database."""

from collections.abc import Iterator

import pytest

from vectorshift_emulator.data.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty database in memory."""
    store = Store()
    yield store
    store.close()
