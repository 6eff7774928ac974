"""The state of one emulator: everything that its routes and its control surface share."""

import itertools
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vectorshift_emulator._settings import Settings
from vectorshift_emulator.data.store import Store
from vectorshift_emulator.exports.tasks import Exports
from vectorshift_emulator.faults.connections import Connections
from vectorshift_emulator.faults.faults import Faults


@dataclass
class Counters:
    """What clients did since the start or the last reset."""

    requests: Counter[str] = field(default_factory=Counter)
    exports_created: int = 0
    download_bytes: int = 0
    faults_injected: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The counters as JSON; polls and downloads are requests of those routes."""
        return {
            "requests": dict(sorted(self.requests.items())),
            "exports_created": self.exports_created,
            "polls": self.requests["export_poll"],
            "downloads": self.requests["download"],
            "download_bytes": self.download_bytes,
            "faults_injected": self.faults_injected,
        }


@dataclass
class Exchange:
    """One request and what became of it, as the front page shows it.

    Args:
        number: counts all requests.
        path: without the query, which may hold a signature.
        fault: the kind of the fault that it met.
        status: of the reply; None before it was sent, and if a fault held it back.
        seconds: until the end of the reply; None before.
    """

    number: int
    method: str
    path: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    fault: str | None = None
    status: int | None = None
    seconds: float | None = None


@dataclass
class Service:
    """One emulator.

    Args:
        files: the directory of the export files.
        api_key: the key that the service's routes take.
        control_token: the token that the control surface takes.
    """

    store: Store
    exports: Exports
    files: Path
    api_key: str
    control_token: str
    settings: Settings
    counters: Counters = field(default_factory=Counters)
    connections: Connections = field(default_factory=Connections)
    faults: Faults = field(default_factory=Faults)
    exchanges: deque[Exchange] = field(default_factory=lambda: deque(maxlen=50))
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _first_settings: dict[str, Any] = field(init=False)
    _first_rows: int = field(init=False)
    _seeds: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self._first_settings = self.settings.as_dict()
        self._first_rows = self.store.last_row()

    def next_seed(self) -> int:
        """A seed that no burst of this emulator has had."""
        return next(self._seeds)

    def exchange(self, method: str, path: str) -> Exchange:
        """Note one request."""
        noted = Exchange(next(self._numbers), method, path)
        self.exchanges.append(noted)
        return noted

    def changed(self) -> list[str]:
        """The switches that are not as they were at the start."""
        current = self.settings.as_dict()
        return [name for name, first in self._first_settings.items() if current[name] != first]

    def reset(self) -> None:
        """Make everything as it was after the start; what exports wrote stays."""
        self.settings.change(self._first_settings)
        self.faults.clear()
        self.store.delete_after(self._first_rows)
        self.counters = Counters()
