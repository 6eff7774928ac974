"""Which parts of a window are read, and whether each is whole. Pure: it asks nothing itself.

A part is counted, then read page by page, then compared with its count. Whatever falls short is cut
in half and requested again, down to a floor: a service that hands out only so many rows of one
query (a cap on offsets, a cap on totals; docs/contract.md F knows none) is read whole that way, and one
that loses rows ends in an error instead of a short table. Parts with more rows than a chunk are
halved before they are read, so that no more than a chunk has to be remembered at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from vectorshift_orchestration.errors import EventShapeError, ExtractIncomplete, WindowError
from vectorshift_orchestration.tables import EVENT_TIME, event_batch, first_outside, inside
from vectorshift_orchestration.windows import Window
from vectorshift_orchestration.windows.edges import TICK

if TYPE_CHECKING:
    from vectorshift.analytics import Event

_BATCH_ROWS = 4_096

Progress = Callable[[int, int], None]


class Coverage:
    """The reading of one window.

    Args:
        window: what is to be covered.
        chunk_rows: parts with more events than this are halved before they are read.
        floor: parts of this width or less are not halved.
        progress: called with the rows and the pages so far, after each page. Rows of a part that
            has to be read again are taken back.
        splits_seconds: returns whether a part of a second may be cut in half.
        drops_strays: rows from outside of a part are left out, instead of being an error.
    """

    def __init__(
        self,
        window: Window,
        chunk_rows: int,
        floor: timedelta,
        progress: Progress | None,
        *,
        splits_seconds: Callable[[Window], bool],
        drops_strays: bool = False,
    ) -> None:
        if floor < TICK or chunk_rows < 1:
            raise WindowError(
                f"A part holds at least one row and one millisecond, not {chunk_rows!r} and {floor!r}."
            )
        self._pending = [window]
        self._chunk_rows = chunk_rows
        self._floor = floor
        self._progress = progress
        self._splits_seconds = splits_seconds
        self.drops_strays = drops_strays
        self._rows = 0
        self._pages = 0

    def parts(self) -> Iterator[Window]:
        """The parts to count and read, oldest first, until the whole window is covered."""
        while self._pending:
            self._part = self._pending.pop()
            self._events: list[Event] = []
            self._batches: list[pa.RecordBatch] = []
            yield self._part

    def counted(self, count: int) -> bool:
        """Take the count of the part; say whether it is to be read."""
        self.expected = count
        if count > self._chunk_rows and self._halve():
            return False
        return count > 0

    def page(self, rows: int, _total: int | None) -> None:
        """Note that a page of the part has come, after which it has `rows` rows."""
        self._pages += 1
        if self._progress is not None:
            self._progress(self._rows + rows, self._pages)

    def take(self, event: Event) -> None:
        """Take one event. Raises `EventShapeError` when it is not an event of the part."""
        self._events.append(event)
        if len(self._events) == _BATCH_ROWS:
            self._pack()

    def whole(self) -> list[pa.RecordBatch]:
        """The rows of the part; none when it fell short and will be read again in halves."""
        if self._events:
            self._pack()
        rows = sum(batch.num_rows for batch in self._batches)
        if rows < self.expected:
            self.short(rows)
            return []
        self._rows += rows
        return self._batches

    def short(self, rows: int) -> None:
        """Read the part again in halves. Raises `ExtractIncomplete` when it cannot be halved."""
        if not self._halve():
            raise ExtractIncomplete(
                f"The service counts {self.expected:,} events in {self._part.label} and hands out "
                f"{rows:,}, and that part is too narrow to be requested in halves. Nothing of it "
                "was taken: narrow the query by object or kind, or ask for an export.",
                rows=rows,
                counted=self.expected,
            )

    def _halve(self) -> bool:
        part = self._part
        if part.width <= self._floor or part.width <= TICK:
            return False
        middle = part.start + max(1, part.width // TICK // 2) * TICK
        second = middle.replace(microsecond=0)
        if part.start < second:
            middle = second
        elif not self._splits_seconds(part):
            return False
        self._pending += [Window(middle, part.end), Window(part.start, middle)]
        return True

    def _pack(self) -> None:
        batch = event_batch(self._events)
        if self.drops_strays:
            batch = batch.filter(inside(batch.column(EVENT_TIME), self._part))
        stray = first_outside(batch.column(EVENT_TIME), self._part)
        if stray >= 0:
            raise EventShapeError(
                f"Asked for {self._part.label}, the service sent an event that started at "
                f"{batch.column(EVENT_TIME)[stray].as_py().isoformat()}. Most likely it rounds the times "
                "of a condition, so events may be missing too. Nothing was taken."
            )
        self._batches.append(batch)
        self._events = []
