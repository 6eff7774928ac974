"""Fixtures: an empty database, and the real traces where they are."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vectorshift_emulator.store import Store

TRACES = Path(__file__).parents[4] / "shared" / "data" / "azure-llm-traces"


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty database in memory."""
    store = Store()
    yield store
    store.close()


@pytest.fixture
def real_traces(capsys) -> Path | None:
    """The folder of the real traces; None, said in one line, where it is absent (not in CI)."""
    if TRACES.is_dir():
        return TRACES
    if os.environ.get("CI"):
        pytest.fail(f"{TRACES} is absent: CI must have the real traces")
    with capsys.disabled():
        print(f"\n{TRACES} is absent: the real traces were not checked")  # noqa: T201
    return None
