"""Where a watcher stands, as the text of its cursor.

A position is an instant, because instants mean the same after a storage was restored, moved or
wiped; ids do not. Every version of the text has it, so a cursor of a newer release, or of an older
one, loses no time. Whatever else is in the way is read as "somewhere before": looking again is
harmless, since what was told is known elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_VERSION = 1


@dataclass(frozen=True)
class Position:
    """Everything until `until` (UTC) has been looked at; `told` is what was said of the last windows."""

    until: datetime
    told: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, cursor: str | None, now: datetime, otherwise: datetime) -> Position:
        """The position that a cursor names; `otherwise` when it names none, or one after `now`."""
        found = _object(cursor)
        until = _instant(found.get("until"))
        if until is None or until > now:
            return cls(otherwise)
        told = found.get("told") if found.get("version") == _VERSION else None
        return cls(until, told if isinstance(told, dict) else {})

    def news(self, known: Mapping[str, str]) -> list[str]:
        """The names of the windows of which something else is known than was said."""
        return [name for name, version in known.items() if self.told.get(name) != version]

    def moved(self, until: datetime, known: Mapping[str, str], keep: int) -> Position:
        """The position after all that is known was said; of the last `keep` windows it is remembered."""
        return Position(max(until, self.until), dict(list(known.items())[-keep:]))

    @property
    def cursor(self) -> str:
        """The position as text."""
        stated = {"version": _VERSION, "until": self.until.isoformat(), "told": dict(self.told)}
        return json.dumps(stated)


def _object(cursor: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(cursor or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _instant(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return None if found.tzinfo is None else found.astimezone(UTC)
