"""Delta Lake tables, by delta-rs: a folder for each table, on a disk or in an object store.

One commit removes the rows of the predicate and adds the new ones; its notes are in its commit info. A
commit that is not made on the newest version is refused (no retries of the library's own), because what it
was fenced against would be another table.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from vectorshift_orchestration.addresses import without_secrets
from vectorshift_orchestration.storage.identifiers import TableName, quoted
from vectorshift_orchestration.storage.lakes import NOTES, Lake, Rows, State, require_path
from vectorshift_orchestration.storage.parts import SOURCE

_LOOKS_BACK = 1000
"""Commits whose notes are read; what is written once in that many commits is fenced and owned."""

_CONFIGURATION = {"delta.logRetentionDuration": "interval 3650 days"}
"""Of a table that we make: a log that is cleaned up after 30 days would forget whose the rows are."""


class DeltaLake(Lake):
    """The Delta tables below a folder: `<path>/<table>`, or `<path>/<schema>/<table>`.

    Args:
        path: a folder, or the URI of one in an object store.
        options: delta-rs's storage options, such as `{"AWS_ENDPOINT_URL": ...}`; without them it takes the
            environment's.
    """

    errors = (DeltaError, OSError, ValueError)
    conflicts = (CommitFailedError,)

    def __init__(
        self, path: str | os.PathLike[str], options: Mapping[str, str] | None = None
    ) -> None:
        text = os.fspath(path).removesuffix("/")
        self._root = text if "://" in text else str(Path(text).expanduser().absolute())
        self._options = dict(options or {}) or None

    def address(self, table: TableName) -> str:
        uri = self._uri(table)
        return without_secrets(uri if "://" in uri else f"file://{uri}")

    def state(self, table: TableName) -> State | None:
        try:
            loaded = DeltaTable(self._uri(table), storage_options=self._options)
        except TableNotFoundError:
            return None
        notes = [commit[NOTES] for commit in loaded.history(_LOOKS_BACK) if NOTES in commit]
        return State(pa.schema(loaded.schema().to_arrow()), tuple(reversed(notes)), loaded)

    def count(self, state: State, rows: Rows) -> int:
        ((count,),) = self._query(state, "count(*) AS n", rows).values()
        return int(count)

    def times(self, state: State, rows: Rows) -> Iterable[datetime]:
        return self._query(state, f"{quoted(rows.time_column)} AS n", rows)["n"]

    def create(self, table: TableName, schema: pa.Schema) -> None:
        DeltaTable.create(
            self._uri(table),
            schema,
            mode="ignore",
            configuration=_CONFIGURATION,
            storage_options=self._options,
        )

    def replace(
        self,
        state: State,
        rows: Rows,
        incoming: pa.RecordBatchReader,
        *,
        note: str,
        new: pa.Schema,
        any_there: bool,
    ) -> None:
        write_deltalake(
            state.handle,
            incoming,
            mode="overwrite",
            predicate=_condition(rows),
            schema_mode="merge",
            commit_properties=CommitProperties({NOTES: note}, max_commit_retries=0),
        )

    def _query(self, state: State, what: str, rows: Rows) -> dict[str, list[Any]]:
        statement = f"SELECT {what} FROM t WHERE {_condition(rows)}"
        result = QueryBuilder().register("t", state.handle).execute(statement)
        read: dict[str, list[Any]] = pa.table(result.read_all()).to_pydict()
        return read

    def _uri(self, table: TableName) -> str:
        return "/".join([self._root, *map(require_path, table.parts)])


def _condition(rows: Rows) -> str:
    time = quoted(rows.time_column)
    start, end = (
        instant.astimezone(UTC).strftime("'%Y-%m-%dT%H:%M:%S.%fZ'")
        for instant in (rows.window.start, rows.window.end)
    )
    within = f"{time} >= {start} AND {time} < {end}"
    owned = []
    if rows.source is not None:
        source = rows.source.replace("'", "''")
        owned.append(f"{quoted(SOURCE)} = '{source}'")
    if rows.ownerless:
        owned.append(f"{quoted(SOURCE)} IS NULL")
    return f"{within} AND ({' OR '.join(owned)})" if owned else within
