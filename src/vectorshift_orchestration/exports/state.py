"""How far an export has got, as a small record that another process can go on from.

    intent -> created -> ready -> staged -> published -> committed

A state says what is known to have happened: requested, accepted under an id, file written, file
here and checked, file at its destination, everything that was wanted is visible. Where there is no
destination or no table, its state is passed over. The record holds ids, counts and checksums, and
never a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, TypeAlias, get_args

from vectorshift_orchestration.errors import ExportStateError

State: TypeAlias = Literal["intent", "created", "ready", "staged", "published", "committed"]
_VERSION = 1


@dataclass(frozen=True, slots=True)
class ExportState:
    """The record of one export.

    `key` is the request's (`ExportRequest.key`). `task_id` is the service's id, once it is known.
    `asked` counts the requests for the export, answered or not. `attempt`
    is the fencing token of the table's window. `counted_before` is what the service counted before
    the export was requested, `counted` afterwards; `rows`, `bytes`, `sha256` and `verified` are
    the staged file's (see `Staged`). `uri` is where it was published, `deleted` how many rows the
    table had in the window before, `replaced` how many characters were replaced. `deadline` is when the service has to have the file ready, in
    POSIX seconds: a later try does not get a longer time.
    """

    key: str
    state: State = "intent"
    task_id: str = ""
    asked: int = 0
    attempt: str | None = None
    counted_before: int | None = None
    counted: int | None = None
    rows: int | None = None
    bytes: int | None = None
    sha256: str | None = None
    verified: str = "none"
    uri: str | None = None
    deleted: int | None = None
    replaced: int | None = None
    deadline: float | None = None

    def is_overdue(self, now: float) -> bool:
        """Whether its time was up at `now` (POSIX seconds), so that its file may be an old one."""
        return self.deadline is not None and now >= self.deadline

    @property
    def recreated(self) -> int:
        """How often the export was requested again."""
        return max(0, self.asked - 1)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        return {"version": _VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The record that `to_json` gave. Raises `ExportStateError` for anything else."""
        if not isinstance(value, Mapping) or value.get("version") != _VERSION:
            raise ExportStateError(
                f"This is not a record of an export in version {_VERSION}. Delete it and start over; "
                "a second export of the same window does no harm."
            )
        values = {name: item for name, item in value.items() if name != "version"}
        unknown = values.keys() - {field.name for field in fields(cls)}
        if unknown or values.get("state", "intent") not in get_args(State) or not _typed(values):
            raise ExportStateError(
                "The record of the export has keys or values that it cannot have"
                f"{': ' + ', '.join(sorted(map(str, unknown))) if unknown else ''}. "
                "Delete it and start over."
            )
        return cls(**values)


def _typed(values: Mapping[str, Any]) -> bool:
    """Whether each value is of its kind, and the key is there."""
    optional = {
        *("attempt", "sha256", "uri", "counted_before", "counted", "rows", "bytes", "deleted"),
        *("replaced", "deadline"),
    }
    counts = {"asked", "counted_before", "counted", "rows", "bytes", "deleted", "replaced"}
    for name, value in values.items():
        if value is None and name in optional:
            continue
        if name in counts and (type(value) is not int or value < 0):
            return False
        if name == "deadline":
            if isinstance(value, bool) or not isinstance(value, int | float):
                return False
        elif name not in counts and not isinstance(value, str):
            return False
    return bool(values.get("key"))
