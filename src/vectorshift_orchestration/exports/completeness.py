"""Whether the rows of a file are the rows of its window: all inside, and none of them twice."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from datetime import timedelta
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from vectorshift_orchestration.characters import Characters
from vectorshift_orchestration.errors import EventShapeError, ExportIncomplete, OrchestrationError
from vectorshift_orchestration.readers import read_export
from vectorshift_orchestration.spills import Spill
from vectorshift_orchestration.tables import EVENT_ID, EVENT_TIME, first_outside, inside
from vectorshift_orchestration.windows import Window

_PARTS = 16
_BESIDE = timedelta(seconds=1)


def checked_rows(
    path: Path,
    format: str,
    window: Window,
    progress: Callable[[int], None] | None = None,
    *,
    may_be_empty: bool = False,
    characters: Characters | None = None,
    spill: Spill | None = None,
) -> int:
    """Read an exported file to its end and return the number of its rows, which `spill` keeps.

    It takes 8 bytes of memory for each row, besides one batch. Raises `ExportFileError` for a file
    that is cut or damaged, `ExportIncomplete` for a row outside of the window and for a row that is
    there twice, by its span id, and `EventShapeError` for a row just beside the window, which another
    export would hold as well. `may_be_empty` and `characters` are as in `read_export`.
    """
    rows, ids = 0, _Ids()
    schema, batches = read_export(
        path, format, may_be_empty=may_be_empty, characters=characters, progress=progress
    )
    if spill is not None:
        batches = spill.keeping(schema, batches)
    for batch in batches:
        index = first_outside(batch.column(EVENT_TIME), window)
        if index >= 0:
            raise _outside_error(batch.column(EVENT_TIME), index, rows, window)
        rows += batch.num_rows
        ids.add(batch.column(EVENT_ID))
    if suspects := ids.repeated():
        _refuse_repeated(path, format, suspects, characters)
    if spill is not None and characters is not None:
        spill.replaced = characters.count
    return rows


def _outside_error(times: pa.Array, index: int, before: int, window: Window) -> OrchestrationError:
    """The error for a row outside of the window: of another window's file, or of a window cut differently."""
    row = before + index + 1
    summary = f"Row {row} of the export started at {times[index].as_py()}, outside of window {window.label}"
    wider = Window(window.start - _BESIDE, window.end + _BESIDE)
    if first_outside(times, wider) < 0 and pc.any(inside(times, window)).as_py():
        return EventShapeError(
            f"{summary}, but just beside it. Most likely the service rounds the times of a condition, and "
            "another export would hold the same rows. Nothing was landed: give a window whose ends are "
            "whole minutes or hours, and report how the service compares times."
        )
    return ExportIncomplete(
        f"{summary}: it is the file of another window. Nothing was landed; export again.", rows=row
    )


class _Ids:
    """The ids of all rows, as hashes of 64 bits; equal hashes are looked at again."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, ids: pa.Array) -> None:
        """Note the ids of one batch."""
        self._hashes.extend(map(hash, ids.to_pylist()))

    def repeated(self) -> set[int]:
        """The hashes that came more than once; sorted in parts, to keep the memory small."""
        buffers = [None, pa.py_buffer(self._hashes)]
        hashes = pa.Array.from_buffers(pa.int64(), len(self._hashes), buffers)
        repeated: set[int] = set()
        for part in range(_PARTS):
            chosen = hashes.filter(pc.equal(pc.bit_wise_and(hashes, _PARTS - 1), part)).sort()
            twice = pc.equal(chosen.slice(1), chosen.slice(0, max(len(chosen) - 1, 0)))
            repeated.update(chosen.slice(1).filter(twice).to_pylist())
        return repeated


def _refuse_repeated(
    path: Path, format: str, suspects: set[int], characters: Characters | None
) -> None:
    seen: set[str] = set()
    _, batches = read_export(path, format, characters=characters)
    names = chain.from_iterable(batch.column(EVENT_ID).to_pylist() for batch in batches)
    for row, name in enumerate(names, start=1):
        if hash(name) in suspects:
            if name in seen:
                raise ExportIncomplete(
                    f"Row {row} of the export has the span id of an earlier row, so others may be "
                    "missing. Export again.",
                    rows=row,
                )
            seen.add(name)
