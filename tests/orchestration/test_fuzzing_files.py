"""A seeded share of the disturbed files of `fuzzing_files.py`; `make reliability` reads many more."""

import os

import pytest

from tests.orchestration import fuzzing_files

FILES = int(os.environ.get("TEST_FUZZED_FILES", "800"))
FIRST = int(os.environ.get("TEST_FUZZED_FROM", "0"))
SHARES = 4


@pytest.mark.parametrize("share", range(SHARES))
def test_every_disturbed_file_ends_in_a_table_or_an_error_of_ours(share, tmp_path):
    """No foreign exception, and no more than two seconds of CPU, for bytes and structures that are out of place."""
    ends = {
        fuzzing_files.ended(seed, tmp_path) for seed in range(FIRST + share, FIRST + FILES, SHARES)
    }
    assert {"table", "ExportFileError", "ExportFormatError"} <= ends


def test_a_failure_would_be_seen(monkeypatch, tmp_path):
    """An exception of anybody else fails the search, and names the seed."""
    monkeypatch.setattr(fuzzing_files, "read", lambda seed, folder: 1 / 0)
    with pytest.raises(AssertionError, match="seed 3: ZeroDivisionError"):
        fuzzing_files.ended(3, tmp_path)
