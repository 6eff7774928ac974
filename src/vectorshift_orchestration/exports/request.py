"""The request for the events of one query in one window, as one file; and the options of an export."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from vectorshift_orchestration.errors import SpecError

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.analytics import Query
    from vectorshift_orchestration.windows import Window

MOST_CHUNKS = 100

_IDENTITY_VERSION = "v1"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How an export is requested and awaited: the options of both orchestrators, and their defaults.

    Args:
        format: CSV, JSON or XLSX, in any case: what the service writes.
        timeout: seconds from asking for the export to its being ready, over all tries.
        poll_interval: seconds before the second poll of the export; it grows with each poll.
        late_arrival: how long after its end a window may still hold more rows than the service
            counted.
        chunks: in how many parts the window is exported, of equal length and all at once; 1 to 100.

    Raises `SpecError`, which names the option, for a value that it cannot have.
    """

    format: str = "CSV"
    timeout: float = 3600.0
    poll_interval: float = 2.0
    late_arrival: timedelta = timedelta(hours=1)
    chunks: int = 1

    def __post_init__(self) -> None:
        from vectorshift.analytics import ExportFormat
        from vectorshift_orchestration.specs.documents import nearest

        formats = [each.value.lower() for each in ExportFormat]
        if str(self.format).lower() not in formats:
            hint = nearest(self.format, sorted(formats))
            raise SpecError(f"format= cannot be {self.format!r}. {hint}")
        for name in ("timeout", "poll_interval"):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (is_number and 0 < value < math.inf):
                raise SpecError(f"{name}= is a number of seconds above 0, not {value!r}.")
        late: Any = self.late_arrival
        if not (isinstance(late, timedelta) and late >= timedelta(0)):
            raise SpecError(f"late_arrival= is a timedelta of 0 or more, not {late!r}.")
        if type(self.chunks) is not int or not 1 <= self.chunks <= MOST_CHUNKS:
            raise SpecError(
                f"chunks= is a whole number from 1 to {MOST_CHUNKS}, not {self.chunks!r}."
            )

    def check_destination(self, destination: object | None, *, parquet: bool) -> None:
        """Raise `SpecError` for chunks that would have to be one file in the service's own format."""
        if self.chunks > 1 and destination is not None and not parquet:
            raise SpecError(
                f"chunks={self.chunks} makes as many files of the service's, which cannot be one. Land in a "
                "table alone, publish the file as Parquet, or leave chunks= out."
            )


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The events of one query in one window, as one file.

    `query` is what `Query.to_dict` gives, `format` is CSV, JSON or XLSX. `account` names the account
    where a table could hold several's; it is not part of the request to the service.
    """

    query: Mapping[str, Any]
    window: Window
    format: str = ExportOptions.format
    account: str = ""

    @property
    def query_key(self) -> str:
        """The identity of the query, whatever the window and the format."""
        from vectorshift_orchestration.landed import query_key_of

        return query_key_of(self.query, self.account)

    @property
    def key(self) -> str:
        """The identity of the request, in hex: equal for equal requests in any process."""
        document = {
            "query": self.query,
            "window": self.window.to_dict(),
            "format": self.format.upper(),
        }
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(f"{_IDENTITY_VERSION}|{canonical}".encode()).hexdigest()

    @property
    def file_name(self) -> str:
        """`vs-<key>.<format>`: by it a second export of the same request can be recognised."""
        return f"vs-{self.key[:16]}.{self.format.lower()}"

    def parts(self, number: int) -> list[Self]:
        """The same for each of so many parts of the window. Raises `WindowError` as `Window.divide`."""
        return [replace(self, window=window) for window in self.window.divide(number)]

    def to_dict(self) -> dict[str, Any]:
        """The request as JSON values."""
        return {
            "query": dict(self.query),
            "window": self.window.to_dict(),
            "format": self.format,
            **({"account": self.account} if self.account else {}),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave. Raises `WindowError` for an invalid window."""
        from vectorshift_orchestration.windows import Window

        window = Window.from_dict(document["window"])
        return cls(document["query"], window, document["format"], document.get("account", ""))

    def bound(self, client: Client) -> Query:
        """The query of this client, limited to the window.

        Raises `WindowError` when the service cannot compare its edges, and the SDK's errors where
        that has to be found out (see `extract.bounds`).
        """
        from vectorshift.analytics import Query
        from vectorshift_orchestration.extract.bounds import for_rows

        return for_rows(Query.from_dict(self.query, client), self.window)
