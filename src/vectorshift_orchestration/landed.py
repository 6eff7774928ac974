"""What lands, whose it is, and what became of it: small values that pass between tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift_orchestration.spills import Spill


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A complete, checked file of exported events, and the format that the service wrote it in.

    `spill` has its rows, to be loaded in the same process; without it the file is read again. `parts` are
    the files of the parts of one window, in order, where it is several (see `in_one`).
    """

    path: Path
    format: str
    bytes: int
    sha256: str
    rows: int
    spill: Spill | None = field(default=None, kw_only=True, repr=False, compare=False)
    parts: tuple[ExportFile, ...] = field(default=(), kw_only=True)


def in_one(files: Sequence[ExportFile]) -> ExportFile:
    """The files of the parts of a window, as its one file: rows and bytes are sums."""
    if len(files) == 1:
        return files[0]
    return ExportFile(
        files[0].path,
        files[0].format,
        sum(file.bytes for file in files),
        sha256_in_one([file.sha256 for file in files]),
        sum(file.rows for file in files),
        parts=tuple(files),
    )


def sha256_in_one(digests: Sequence[str]) -> str:
    """One digest for the files of a window: SHA-256 of theirs in hex, one after the other."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Landed:
    """What one window's rows became, small enough to pass between tasks.

    `uri` is the file, `table` the table, `deleted` how many rows the table had in the window before,
    `replaced` how many characters were replaced (see `Landing`).
    `bytes` and `sha256` are the file's; of an export they are those of the service's own file, also
    where it was published as Parquet. What does not apply is None.
    """

    window: Window
    rows: int
    uri: str | None = None
    table: str | None = None
    deleted: int | None = None
    replaced: int | None = None
    bytes: int | None = None
    sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        document = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.replaced is None:
            del document["replaced"]
        return document | {"window": self.window.to_dict()}


def together(landed: Sequence[Landed]) -> Landed:
    """The outcome of consecutive windows as one; its file is the last one's."""
    first, last = landed[0], landed[-1]
    deleted = [each.deleted for each in landed if each.deleted is not None]
    replaced = [each.replaced for each in landed if each.replaced is not None]
    return replace(
        last,
        window=Window(first.window.start, last.window.end),
        rows=sum(each.rows for each in landed),
        deleted=sum(deleted) if deleted else None,
        replaced=sum(replaced) if replaced else None,
    )


def query_key_of(document: Mapping[str, Any], account: str = "") -> str:
    """The identity of the query behind rows, whatever their window, in hex: the same in any process.

    `document` is the result of `Query.to_dict`; what is measured of it may change from night to night.
    `account` distinguishes accounts.
    """
    canonical = json.dumps({"account": account, "asked": document}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
