"""What holds for every test folder."""

import gc

import pytest


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Let the interpreter end in silence, so that the closing line of a run is pytest's own.

    hypothesis leaves a callback in the garbage collector, which keeps DuckDB's types alive past their module; its
    binding then reports a leak on stderr.
    """
    gc.callbacks.clear()
    gc.collect()
