"""The position of a watcher, as the text of its cursor.

A position is an instant, because instants mean the same after a storage was restored, moved or
wiped; ids do not. Every version of the text has it, so a cursor of a newer release, or of an older
one, loses no time. Whatever else is in the way is read as "somewhere before": looking again is
harmless, since what was reported is recorded elsewhere.
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
    """Everything until `until` (UTC) has been judged; `reported` has the versions of the last windows."""

    until: datetime
    reported: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, cursor: str | None, now: datetime, otherwise: datetime) -> Position:
        """The position that a cursor names; `otherwise` when it names none, or one after `now`."""
        document = _object(cursor)
        until = _instant(document.get("until"))
        if until is None or until > now:
            return cls(otherwise)
        reported = document.get("told") if document.get("version") == _VERSION else None
        return cls(until, reported if isinstance(reported, dict) else {})

    def news(self, versions: Mapping[str, str]) -> list[str]:
        """The names of the windows of which something else is known than was said."""
        return [name for name, version in versions.items() if self.reported.get(name) != version]

    def moved(self, until: datetime, versions: Mapping[str, str], keep: int) -> Position:
        """The position after all that is known was said; of the last `keep` windows it is remembered."""
        return Position(max(until, self.until), dict(list(versions.items())[-keep:]))

    @property
    def cursor(self) -> str:
        """The position as text."""
        document = {
            "version": _VERSION,
            "until": self.until.isoformat(),
            "told": dict(self.reported),
        }
        return json.dumps(document)


def _object(cursor: str | None) -> Mapping[str, Any]:
    try:
        document = json.loads(cursor or "")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _instant(text: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return None if instant.tzinfo is None else instant.astimezone(UTC)
