"""Whether the machine had time for us: without that, being late says nothing about who is late."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

_EVERY = 0.05
_LATE = 0.05


class Witness:
    """A thread that only sleeps, and counts how often it was woken too late: only a full machine does that."""

    def __init__(self) -> None:
        self.late = 0
        self._stop = Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch as long as the block runs."""
        thread = Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            slept = time.monotonic()
            self._stop.wait(_EVERY)
            self.late += time.monotonic() - slept - _EVERY > _LATE
