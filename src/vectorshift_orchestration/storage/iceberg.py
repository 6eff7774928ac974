"""Iceberg tables, by pyiceberg and whichever catalog it knows: REST, SQL, Glue, Hive.

One transaction evolves the schema, removes the rows of the predicate and adds the new ones; its notes are
in the summaries of its snapshots, which are read as long as nobody expires them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.expressions import (
    And,
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    IsNull,
    LessThan,
    Or,
)

from vectorshift_orchestration.addresses import without_secrets
from vectorshift_orchestration.storage.identifiers import ICEBERG_NAMESPACE, TableName
from vectorshift_orchestration.storage.lakes import NOTES, Lake, Rows, State
from vectorshift_orchestration.storage.parts import SOURCE

_RETRIES = "commit.retry.num-retries"


class IcebergLake(Lake):
    """The Iceberg tables of a catalog, as `pyiceberg.catalog.load_catalog` gives it.

    Args:
        catalog: the catalog.
        namespace: of tables that are named without one; made when it does not exist.
    """

    errors = (
        Exception,
    )  # of the catalog's and the file system's libraries, which have no common one
    conflicts = (CommitFailedException, ValidationException)

    def __init__(self, catalog: Catalog, namespace: str = ICEBERG_NAMESPACE) -> None:
        self._catalog = catalog
        self._namespace = namespace

    def close(self) -> None:
        """Close the catalog's connections."""
        self._catalog.close()

    def address(self, table: TableName) -> str:
        location = self._catalog.properties.get("warehouse") or self._catalog.name
        return f"{without_secrets(str(location)).removesuffix('/')}/{'.'.join(self._name(table))}"

    def state(self, table: TableName) -> State | None:
        try:
            loaded = self._catalog.load_table(self._name(table))
        except (NoSuchTableError, NoSuchNamespaceError):
            return None
        notes: dict[str, None] = {}  # a transaction's two snapshots carry the same
        for snapshot in loaded.metadata.snapshots:
            summary = snapshot.summary
            if summary is not None and NOTES in summary.additional_properties:
                notes[summary.additional_properties[NOTES]] = None
        return State(loaded.schema().as_arrow(), tuple(notes), loaded)

    def count(self, state: State, rows: Rows) -> int:
        return int(state.handle.scan(row_filter=_condition(rows)).count())

    def times(self, state: State, rows: Rows) -> Iterable[Any]:
        scan = state.handle.scan(_condition(rows), selected_fields=(rows.time_column,))
        times: list[Any] = scan.to_arrow().column(0).to_pylist()
        return times

    def create(self, table: TableName, schema: pa.Schema) -> None:
        *namespace, _ = name = self._name(table)
        with suppress(NamespaceAlreadyExistsError):
            self._catalog.create_namespace(tuple(namespace))
        with suppress(TableAlreadyExistsError):
            self._catalog.create_table(name, schema)

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
        table = state.handle
        # Of this object alone: a commit that the library makes again on another state was not fenced there.
        table.metadata.properties[_RETRIES] = "0"
        with table.transaction() as transaction:
            if new.names:
                with transaction.update_schema() as update:
                    update.union_by_name(new)
            if any_there:
                transaction.delete(_condition(rows), snapshot_properties={NOTES: note})
            transaction.append(incoming, snapshot_properties={NOTES: note})

    def _name(self, table: TableName) -> tuple[str, ...]:
        return table.parts if table.schema else (self._namespace, table.name)


def _condition(rows: Rows) -> BooleanExpression:
    within = And(
        GreaterThanOrEqual(rows.time_column, rows.window.start.isoformat()),
        LessThan(rows.time_column, rows.window.end.isoformat()),
    )
    owned: list[BooleanExpression] = []
    if rows.source is not None:
        owned.append(EqualTo(SOURCE, rows.source))
    if rows.ownerless:
        owned.append(IsNull(SOURCE))
    if not owned:
        return within
    return And(within, owned[0] if len(owned) == 1 else Or(*owned))
