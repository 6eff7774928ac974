"""What is cheap to import stays cheap: a DAG file is parsed again and again."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import vectorshift_orchestration
from vectorshift_orchestration import errors

HEAVY = {"pyarrow", "duckdb", "httpx", "pandas", "airflow", "dagster"}


@pytest.mark.parametrize(
    "module", ["", ".windows", ".specs", ".exports", ".errors", ".extract", ".thresholds"]
)
def test_nothing_heavy_is_loaded(module):
    """Importing the package, windows, specs or exports loads neither Arrow nor a database nor HTTP."""
    script = f"import sys, vectorshift_orchestration{module}; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert not HEAVY & {name.partition(".")[0] for name in done.stdout.split()}


def test_every_public_name_loads():
    """`__all__` is true, and an unknown name is an AttributeError."""
    for name in vectorshift_orchestration.__all__:
        assert getattr(vectorshift_orchestration, name).__name__ == name
    with pytest.raises(AttributeError, match="nope"):
        vectorshift_orchestration.nope  # noqa: B018


@pytest.mark.parametrize(
    "error",
    [
        errors.WindowError("w"),
        errors.ExportFileError("f", row=3),
        errors.ExportIncomplete("i", rows=1, counted=2),
        errors.RowOutsideWindow("r", row=4),
        errors.MergeError("m", metric="latency.p95"),
        errors.ExtractIncomplete("x", rows=1, counted=2),
    ],
)
def test_errors_survive_pickling(error):
    """An error crosses a process boundary with its sentence and its numbers."""
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
