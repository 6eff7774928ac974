"""How far an export has got, kept for the next time that the same command is run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from vectorshift_cli.documents import LANDING
from vectorshift_orchestration.errors import ExportStateError
from vectorshift_orchestration.exports.state import ExportState


class FileRecord:
    """The record of an export in a small file of the user's, so that the same command goes on after an end.

    It lies in $XDG_STATE_HOME/vectorshift-orchestration, or ~/.local/state, holds ids and counts and
    no address, and is removed once the rows have landed.
    """

    def __init__(self, key: str, document: Mapping[str, Any]) -> None:
        home = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
        target = {
            name: document.get(name)
            for name in (*LANDING, "destination", "parquet", "table", "base_url")
        }
        named = sha256(json.dumps([key, target], sort_keys=True, default=str).encode()).hexdigest()
        self._file = home / "vectorshift-orchestration" / f"export-{named[:24]}.json"
        self.last: ExportState | None = None

    def read(self) -> ExportState | None:
        """The state that an interrupted command left; None for none, and for one that cannot be read."""
        with suppress(OSError, ValueError, ExportStateError):
            self.last = ExportState.from_json(json.loads(self._file.read_text()))
        return self.last

    def write(self, state: ExportState) -> None:
        """Replace the file in one step."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        aside = self._file.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(state.to_json()))
        aside.replace(self._file)
        self.last = state

    def discard(self) -> None:
        """Forget it."""
        self._file.unlink(missing_ok=True)
