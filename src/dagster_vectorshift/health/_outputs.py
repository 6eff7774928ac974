"""Where the rows of a table go: to a storage, or to Dagster as the asset's value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from dagster_vectorshift.health._options import HealthOptions
from dagster_vectorshift.tables import Table
from dagster_vectorshift.translator import place_of
from vectorshift.errors import VectorshiftError
from vectorshift_orchestration.aggregates.answers import BUCKET_TIME
from vectorshift_orchestration.frames import RowType, converted
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from dagster_vectorshift.storage._protocol import TableStorage
    from vectorshift_orchestration.landing import Landed, Landing
    from vectorshift_orchestration.storage.ledger import Attempt


@dataclass(frozen=True)
class Stored:
    """Metadata of the table and of each window that was kept, and the asset's value where it has one.

    `failed` says of each window that could not be kept why.
    """

    table: Mapping[str, Any]
    windows: Mapping[Window, Mapping[str, Any]] = field(default_factory=dict)
    failed: Mapping[Window, VectorshiftError] = field(default_factory=dict)
    value: Mapping[str, Any] = field(default_factory=dict)


class Output(Protocol):
    """Keeps tables, window by window."""

    def begin(self, table: Table, windows: Sequence[Window]) -> None:
        """Note where the windows stand before they are measured."""

    def keep(self, table: Table, rows: "pa.Table", parts: "Mapping[Window, pa.Table]") -> Stored:
        """Keep the rows of a table, which are given as a whole and by window."""


class ToStorage:
    """An output that writes to a storage, each partition at once."""

    def __init__(self, storage: "TableStorage", options: HealthOptions) -> None:
        self._storage = storage
        self._options = options
        self._attempts: dict[str, dict[Window, Attempt]] = {}

    def begin(self, table: Table, windows: Sequence[Window]) -> None:
        """Take the tokens by which a write notices that another run wrote a window meanwhile."""
        attempts = self._attempts[table.name] = {}
        for landing, several in self._landings(table, windows):
            attempts |= landing.begin_attempts(several, self._query_key)

    def keep(self, table: Table, rows: "pa.Table", parts: "Mapping[Window, pa.Table]") -> Stored:
        """Write each window; one that cannot be written keeps its old rows, and the others go on."""
        storage, name = self._storage, table.table_name
        landed: dict[Window, Landed] = {}
        failed: dict[Window, VectorshiftError] = {}
        for landing, several in self._landings(table, list(parts)):
            done, refused = landing.write_apart(
                {window: parts[window] for window in several},
                time_column=BUCKET_TIME,
                query_key=self._query_key,
                attempts=self._attempts.get(table.name),
            )
            landed |= done
            failed |= refused
        windows = dict[Window, dict[str, Any]]()
        for window, outcome in landed.items():
            windows[window] = {"dagster/uri": storage.locate(name, window)}
            if outcome.deleted is not None:
                windows[window]["vectorshift/rows_replaced"] = outcome.deleted
        place = {"dagster/uri": storage.locate(name), **place_of(storage, name)}
        return Stored(place, windows, failed)

    @cached_property
    def _query_key(self) -> str:
        """What distinguishes these rows from another query's; metrics and dimensions may change."""
        from vectorshift.analytics import Query
        from vectorshift_orchestration.landed import query_key_of

        document = {} if self._options.query is None else self._options.query.to_dict()
        query = Query.from_dict(document).to_dict()
        return query_key_of(query, self._options.account_name)

    def _landings(
        self, table: Table, windows: Sequence[Window]
    ) -> "list[tuple[Landing, list[Window]]]":
        """The windows of each place in a row: of a database it is one, of files one for each."""
        places = groupby(
            windows, lambda window: self._storage.landing(table.table_name, window, "PARQUET")
        )
        return [(self._options.placed(landing), list(several)) for landing, several in places]


class ToIOManager:
    """An output that hands the rows of all partitions to Dagster, with naive UTC times."""

    def __init__(self, as_type: RowType) -> None:
        self._as_type = as_type

    def begin(self, table: Table, windows: Sequence[Window]) -> None:
        """The IO manager knows no other writers."""

    def keep(self, table: Table, rows: "pa.Table", parts: "Mapping[Window, pa.Table]") -> Stored:
        """The rows as the asset's value."""
        return Stored({}, value={"value": converted(rows, self._as_type)})
