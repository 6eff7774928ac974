"""The main jobs under every pair of what the service may be: the truth, or a refusal of ours; never another figure."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.matrix.covering import covering, drawn, pairs_in, pairs_of
from tests.matrix.jobs import JOBS, World
from tests.matrix.service import FACTORS, allowed, events
from vectorshift import Client, Retry
from vectorshift.errors import VectorshiftError
from vectorshift_emulator import Emulator, serve

SEED = int(os.environ.get("VECTORSHIFT_MATRIX_SEED", "12"))
MORE = int(os.environ.get("VECTORSHIFT_MATRIX_MORE", "0"))
"""Rows of the whole product of the switches, drawn beside those that cover the pairs."""

ROWS = covering(FACTORS, allowed, SEED)
ROWS += drawn(FACTORS, allowed, SEED, MORE)


@pytest.fixture(scope="module")
def emulator():
    """One service, which becomes each of the others."""
    with serve(events=0, export_mode="sync") as emulator:
        yield emulator


def outcomes(emulator: Emulator, switches: dict, folder: Path) -> tuple[list[str], Counter]:
    """What was wrong under these switches, and what was refused by which error."""
    emulator.reset()
    emulator.settings(**switches, export_delay=0.0)
    rows = events(switches["clock"])
    emulator.insert(rows)
    wrong, refused = [], Counter()
    retry = Retry(attempts=2, first_wait=0.001, longest_wait=0.002)
    with Client(emulator.api_key, emulator.base_url, retry=retry) as client:
        world = World(client, rows, switches, folder)
        for job in JOBS:
            try:
                result = job.run(world)
            except VectorshiftError as refusal:
                refused[type(refusal).__name__] += 1
                continue
            true = job.truth(world)
            if not job.same(result, true, world):
                wrong.append(f"{job.name}: {str(result)[:300]} instead of {str(true)[:300]}")
    return wrong, refused


@pytest.mark.slow
@pytest.mark.parametrize("row", range(len(ROWS)))
def test_no_job_gives_another_figure(emulator, tmp_path, row, record_property):
    """Each row is one whole service; its switches are printed when a job is wrong."""
    wrong, refused = outcomes(emulator, ROWS[row], tmp_path)
    record_property("refused", dict(refused))
    print(f"\nrow {row}: {len(JOBS)} jobs, refusals {dict(refused)}")  # noqa: T201  # for people, with -s
    assert not wrong, "\n".join([str(ROWS[row]), *wrong])


def test_every_pair_is_covered():
    """The rows hold each pair of values that may stand together."""
    every = pairs_of(FACTORS, allowed)
    covered = set().union(*map(pairs_in, ROWS)) & every
    result = f"{len(FACTORS)} factors, {len(every)} pairs, {len(ROWS)} rows of {len(JOBS)} jobs"
    print(result)  # noqa: T201  # likewise
    assert covered == every
