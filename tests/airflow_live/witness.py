"""Whether the machine had time for us: without that, being late says nothing about who is late."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

_EVERY = 0.05
_LATE = 0.05
_BLOCKED = re.compile(r"^(\S+)Z .*async thread was blocked for ([\d.]+) seconds", re.MULTILINE)
_SLACK = timedelta(seconds=0.5)


class Witness:
    """A thread that only sleeps, and notes when it was woken too late: nobody but the machine held it up."""

    def __init__(self) -> None:
        self.late: list[datetime] = []
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

    def blocked(self, log: str) -> tuple[list[str], list[str]]:
        """The triggerer's warnings of a blocked loop: those that are its own, and those of a full machine."""
        own, excused = [], []
        for line in _BLOCKED.finditer(log):
            at = datetime.fromisoformat(line[1]).replace(tzinfo=UTC)
            began = at - timedelta(seconds=float(line[2])) - _SLACK
            full = any(began <= late <= at + _SLACK for late in self.late)
            (excused if full else own).append(line[0])
        return own, excused

    def _watch(self) -> None:
        while not self._stop.is_set():
            slept = time.monotonic()
            self._stop.wait(_EVERY)
            if time.monotonic() - slept - _EVERY > _LATE:
                self.late.append(datetime.now(UTC))
