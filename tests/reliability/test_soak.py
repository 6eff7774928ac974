"""A short run of `soak.py`: right to the last row, and nothing is left open."""

import os

import pytest

from tests.reliability.soak import HOURS, soak

SECONDS = float(os.environ.get("SOAK_SECONDS", "75"))


@pytest.mark.slow
@pytest.mark.timeout(600 + 2 * SECONDS)
def test_windows_land_right_while_everything_around_them_misbehaves(record_property):
    """Two cycles or more into two databases, with faults of service and wires and with late events."""
    came = soak(SECONDS, seed=7)
    record_property("faults", dict(came.injected))
    record_property("rows", [0, 0, came.wrong])  # a wrong window counts as one wrong row
    assert came.wrong == 0
    assert came.windows >= 2 * 2 * len(HOURS)
    assert came.late > 0
    assert came.injected.total() >= came.windows // 10
    first, last = came.held[0][1], came.held[-1][1]
    assert last.files <= first.files
    assert last.threads <= first.threads
