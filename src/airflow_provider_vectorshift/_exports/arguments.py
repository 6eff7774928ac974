"""What an export's arguments may be, told where the DAG is read, and again once templates are filled in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift._arguments import is_literal
from airflow_provider_vectorshift._landing import Place
from vectorshift_orchestration.exports.request import ExportOptions
from vectorshift_orchestration.values import seconds

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.analytics import Query

_PARQUET = "parquet"


@dataclass(frozen=True)
class ExportArguments:
    """The arguments of an export task that are not about its query and window.

    `name` is how the task is named in a refusal, `conn_id` the connection of the account. The rest
    is as in `VectorShiftExportOperator` and `BaseOperator`.
    """

    name: str
    conn_id: str
    place: Place
    file_format: str = ExportOptions.format
    parquet: bool = False
    deferrable: bool = False
    poll_interval: timedelta | float = ExportOptions.poll_interval
    timeout: timedelta | float = ExportOptions.timeout
    durable: bool = True
    late_arrival: timedelta | float = ExportOptions.late_arrival
    lookback: int = 0
    execution_timeout: timedelta | None = None

    def check(self) -> None:
        """Raise ValueError with one sentence that begins with the task's name and has the argument.

        What holds a template, or comes from another task, is let pass: it is checked when it is known.
        """
        self.place.check(self.name)
        with _named(self.name):
            _ = self.options
            self._check_file()
            self._check_lookback()

    @property
    def options(self) -> ExportOptions:
        """The same in the core's words. Raises ValueError for a value that cannot be."""
        known = self.file_format if is_literal(self.file_format) else ExportOptions.format
        late_arrival = seconds("late_arrival", self.late_arrival, above_0=False)
        return ExportOptions(
            format=known,
            timeout=seconds("timeout", self.timeout),
            poll_interval=seconds("poll_interval", self.poll_interval),
            late_arrival=timedelta(seconds=late_arrival),
        )

    @property
    def target(self) -> list[Any]:
        """What a retry needs to be the same, to go on where the last try stopped."""
        place = self.place
        return [
            *(place.destination, place.table, place.sql_conn_id, place.duckdb_path, place.source),
            self.parquet,
        ]

    def _check_file(self) -> None:
        destination = self.place.destination
        if self.parquet and destination is None:
            raise ValueError("parquet= is about the file; give destination= for one.")
        if not all(isinstance(v, str) and is_literal(v) for v in (destination, self.file_format)):
            return
        suffix = PurePosixPath(str(destination)).suffix.lower().removeprefix(".")
        content = _PARQUET if self.parquet else self.file_format.lower()
        if suffix != content and suffix in ("csv", "json", "xlsx", _PARQUET):
            raise ValueError(
                f"destination= is named .{suffix} and would hold {content.upper()}; rename it, or "
                "change file_format= or parquet=."
            )

    def _check_lookback(self) -> None:
        if self.place.destination is not None and self.lookback:
            raise ValueError(
                "lookback= overwrites earlier intervals, and destination= names the file of one. "
                "Land in table= alone, give start= for one wider file, or map the task over the "
                "intervals."
            )


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Put the operator's name before whatever is wrong with an argument, and call it as Airflow's users do."""
    try:
        yield
    except ValueError as problem:
        text = str(problem)
        if text.startswith("format="):
            text = f"file_{text}"
        raise ValueError(f"{name}: {text}") from None


def exportable(stated: Mapping[str, Any], client: "Client | None") -> "Query":
    """The query that an operator's `query=` states. Raises `SpecError` and `AnalyticsInvalidQuery`."""
    from vectorshift.analytics import Query
    from vectorshift_orchestration.errors import SpecError

    if "group_by" in stated:
        raise SpecError("A grouped query has figures, not events; leave group_by out.")
    return Query.from_dict(stated, client)
