"""Rows kept aside come back as they were, and nobody stumbles over a file that was given up."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from vectorshift_orchestration.spills import Spill

BATCH = pa.record_batch({"span_id": ["a", "b"]})


def test_kept_rows_come_back_each_time(tmp_path: Path) -> None:
    """What passed through is read from its start again, as often as somebody asks."""
    spill = Spill(tmp_path)
    passed = list(spill.keeping(BATCH.schema, [BATCH, BATCH]))
    for _ in range(2):
        schema, rows = spill.rows()
        assert (schema, list(rows)) == (BATCH.schema, passed)


def test_a_reader_that_stopped_half_way_may_end_after_the_file(tmp_path: Path) -> None:
    """Rows refused in the middle: the file goes first, and what read them ends later, in silence."""
    spill = Spill(tmp_path)
    rows = spill.keeping(BATCH.schema, [BATCH, BATCH])
    next(rows)
    spill.close()
    rows.close()  # type: ignore[attr-defined]  # a generator behind the Iterator
