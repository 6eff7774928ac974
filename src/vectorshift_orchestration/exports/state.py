"""How far an export has got, as a small record that another process can go on from.

    intent -> created -> ready -> staged -> published -> committed

A state says what is known to have happened: requested, accepted under an id, file written, file
here and checked, file at its destination, everything that was wanted is visible. Where there is no
destination or no table, its state is passed over. The record holds ids, counts and checksums, and
never a URL.

Of an export in several chunks each has its state; what the whole has is put together from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, TypeAlias, get_args

from vectorshift_orchestration.errors import ExportStateError
from vectorshift_orchestration.landed import sha256_in_one

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
    POSIX seconds: a later try does not get a longer time. `chunks` are the states of the parts of the
    window, in order, where it is exported in several (see `together`).
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
    chunks: tuple[ExportState, ...] = ()

    def is_overdue(self, now: float) -> bool:
        """Whether its time was up at `now` (POSIX seconds), so that its file may be an old one."""
        return self.deadline is not None and now >= self.deadline

    @property
    def recreated(self) -> int:
        """How often the export was requested again."""
        return max(0, self.asked - 1)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        values = {"version": _VERSION, **asdict(replace(self, chunks=()))}
        del values["chunks"]  # which earlier versions do not read
        if self.chunks:
            values["chunks"] = [chunk._changes() for chunk in self.chunks]
        return values

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The record that `to_json` gave. Raises `ExportStateError` for anything else."""
        if not isinstance(value, Mapping) or value.get("version") != _VERSION:
            raise ExportStateError(
                f"This is not a record of an export in version {_VERSION}. Delete it and start over; "
                "a second export of the same window does no harm."
            )
        values = {name: item for name, item in value.items() if name not in ("version", "chunks")}
        chunks = value.get("chunks", [])
        unknown = values.keys() - {field.name for field in fields(cls)}
        is_whole = isinstance(chunks, list) and all(isinstance(each, Mapping) for each in chunks)
        is_state = values.get("state", "intent") in get_args(State)
        if unknown or not is_state or not is_whole or not _typed(values):
            raise ExportStateError(
                "The record of the export has keys or values that it cannot have"
                f"{': ' + ', '.join(sorted(map(str, unknown))) if unknown else ''}. "
                "Delete it and start over."
            )
        states = (cls.from_json({"version": _VERSION, **chunk}) for chunk in chunks)
        return cls(**values, chunks=tuple(states))

    def requested(self) -> ExportState:
        """What is left of it when it is to land elsewhere: the requests, and the service's answers."""
        state: State = "created" if self.task_id else "intent"
        chunks = tuple(chunk.requested() for chunk in self.chunks)
        kept = ("task_id", "asked", "counted_before", "deadline")
        return ExportState(
            self.key, state, chunks=chunks, **{name: getattr(self, name) for name in kept}
        )

    def _changes(self) -> dict[str, Any]:
        """The values that are not the defaults, since a record may hold many chunks."""
        plain = asdict(ExportState(""))
        return {name: value for name, value in asdict(self).items() if value != plain[name]}


def together(whole: ExportState, chunks: Sequence[ExportState]) -> ExportState:
    """The state of an export in several chunks, none of which has landed.

    It has got as far as the first of those that have got least far, and has that one's `task_id`; once all
    files are here, the first chunk's. Counts are sums, `sha256` is a digest of the digests.
    """
    stages = get_args(State)
    least = min(chunks, key=lambda chunk: stages.index(chunk.state))
    is_here = least.state == "staged"
    weakest = min(chunks, key=lambda chunk: ("none", "length", "checksum").index(chunk.verified))
    return replace(
        whole,
        state=least.state,
        task_id=least.task_id,
        asked=1 + sum(chunk.recreated for chunk in chunks),
        counted_before=_sum(chunk.counted_before for chunk in chunks),
        counted=_sum(chunk.counted for chunk in chunks),
        rows=_sum(chunk.rows for chunk in chunks),
        bytes=_sum(chunk.bytes for chunk in chunks),
        sha256=sha256_in_one([chunk.sha256 or "" for chunk in chunks]) if is_here else None,
        verified=weakest.verified,
        chunks=tuple(chunks),
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    values = list(counts)
    return None if None in values else sum(count or 0 for count in values)


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
