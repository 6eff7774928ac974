"""The state of one emulator: everything that its routes and its control surface share."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vectorshift_emulator.connections import Connections
from vectorshift_emulator.contract import Parser
from vectorshift_emulator.counters import Counters
from vectorshift_emulator.faults import Faults
from vectorshift_emulator.limiter import Limiter
from vectorshift_emulator.requests import Conditions
from vectorshift_emulator.settings import Settings, Switchboard
from vectorshift_emulator.sql import Sql, where
from vectorshift_emulator.store import Store

if TYPE_CHECKING:
    from vectorshift_emulator.exports import Exports


@dataclass
class Service:
    """One emulator.

    Args:
        files: the directory of the export files.
        api_key: the key that the service's routes take.
        control_token: the token that the control surface takes.
    """

    store: Store
    exports: "Exports"
    files: Path
    api_key: str
    control_token: str
    settings: Settings
    counters: Counters = field(default_factory=Counters)
    connections: Connections = field(default_factory=Connections)
    faults: Faults = field(default_factory=Faults)
    limiter: Limiter = field(default_factory=Limiter)
    switches: Switchboard = field(init=False)
    _first_rows: int = field(init=False)
    _seeds: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.switches = Switchboard(self.settings, self.exports)
        self._first_rows = self.store.last_row()

    @property
    def parser(self) -> Parser:
        """A parser as strict as the settings say."""
        return Parser(strict=self.settings.strict)

    def where(self, conditions: Conditions) -> Sql:
        """The SQL of the conditions, with the bounds of the settings."""
        return where(conditions, self.settings.bounds)

    def next_seed(self) -> int:
        """A seed that no burst of this emulator has had."""
        return next(self._seeds)

    def reset(self) -> None:
        """Make everything as it was after the start; what exports wrote stays."""
        self.switches.reset()
        self.faults.clear()
        self.store.delete_after(self._first_rows)
        self.counters.reset()
