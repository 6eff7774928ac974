"""What the emulator has counted since it started or was last reset."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Counters:
    """Counts of what clients did, read by tests through the control surface."""

    requests: Counter[str] = field(default_factory=Counter)
    exports_created: int = 0
    download_bytes: int = 0
    faults_injected: int = 0

    def shown(self) -> dict[str, Any]:
        """The counters as JSON; polls and downloads are requests of those routes."""
        return {
            "requests": dict(sorted(self.requests.items())),
            "exports_created": self.exports_created,
            "polls": self.requests["export_poll"],
            "downloads": self.requests["download"],
            "download_bytes": self.download_bytes,
            "faults_injected": self.faults_injected,
        }

    def reset(self) -> None:
        """Set everything to zero."""
        self.__init__()  # type: ignore[misc]  # a dataclass knows its own zero values
