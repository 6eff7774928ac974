"""The base of operators that land rows: in a file, a table, or both."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetAlias

from airflow_provider_vectorshift._arguments import check_flags, is_literal
from airflow_provider_vectorshift._assets import ALIAS, publish_to_assets, uri_of_table
from airflow_provider_vectorshift._landing import Place, as_text
from airflow_provider_vectorshift._mapped import require_own_target
from airflow_provider_vectorshift._schedules import warn_of_lost_hours
from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.operators._windowed import WindowedOperator

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath


_KEEP_APART = ("start", "end", "lookback", "source")
_SHARED_TABLE = (
    " One table holds several queries with source=, mapped as well. Tasks that are mapped over start= "
    "and end= may share it as they are."
)


class WritingOperator(WindowedOperator):
    """A `WindowedOperator` that lands rows, with the arguments of `VectorShiftExportOperator`."""

    template_fields: Sequence[str] = (
        *WindowedOperator.template_fields,
        "destination",
        "table",
        "sql_conn_id",
        "duckdb_path",
        "lake",
        "source",
    )

    _lineage: tuple[Mapping[str, Any], str] | None = None
    """The result and the service's address, for OpenLineage after the task."""

    def __init__(
        self,
        *,
        destination: "str | os.PathLike[str] | ObjectStoragePath | None" = None,
        table: str | None = None,
        sql_conn_id: str | None = None,
        duckdb_path: str | os.PathLike[str] | None = None,
        lake: str | None = None,
        source: str | None = None,
        replace_other: bool = False,
        replace_characters: bool = False,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("outlets") is None and not (destination is None and table is None):
            kwargs["outlets"] = [AssetAlias(ALIAS)]
        super().__init__(**kwargs)
        with self._checking("destination="):
            self.destination = as_text(destination)
        self._is_one_file = is_literal(self.destination)
        self.table = table
        self.sql_conn_id = sql_conn_id
        self.duckdb_path = as_text(duckdb_path)
        self.lake = lake
        self.source = source
        self.replace_other = replace_other
        self.replace_characters = replace_characters
        check_flags(self, "replace_other", "replace_characters")
        if self._takes_data_interval:
            warn_of_lost_hours(self)

    @property
    def place(self) -> Place:
        """Where the rows land."""
        return Place(**{each.name: getattr(self, each.name) for each in fields(Place)})

    @property
    def account(self) -> str:
        """The account's name in a table's ledger; empty for the default connection."""
        is_default = self.vectorshift_conn_id == VectorShiftHook.default_conn_name
        return "" if is_default else self.vectorshift_conn_id

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The account's events, and the file and table that they landed in."""
        if self._lineage is None:
            return None
        from airflow_provider_vectorshift._lineage import lineage_of

        return lineage_of(*self._lineage, self.place)

    def _require_own_target(self, context: Mapping[str, Any]) -> None:
        """Raise `SpecError` when another mapped task would write to the same place.

        The tasks of an `expand` share their data interval. Writing a file or an interval of a table
        replaces its content, so of two tasks with one target only the last one's rows would remain.
        Tasks that are mapped over windows may share a table: each replaces its own window, and the
        table's ledger refuses that of another query.
        """
        own = partial(require_own_target, self, context, example="task.query.object_id")
        own("destination")
        own("table", unless=_KEEP_APART, hint=_SHARED_TABLE)

    def _report(self, context: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Give the result to assets and lineage."""
        self._lineage = result, self._hook.base_url
        publish_to_assets(self, context, result, [*self._landed_in(context, result)])

    def _landed_in(self, context: Mapping[str, Any], result: Mapping[str, Any]) -> Iterator[str]:
        """The URIs of the file and the table; a file of each run is an asset only to an alias that was asked for."""
        is_own = any(getattr(each, "name", None) == ALIAS for each in self.outlets)
        is_mapped = getattr(context.get("ti"), "map_index", -1) >= 0
        if (uri := result["uri"]) is not None and not (
            is_own and (is_mapped or not self._is_one_file)
        ):
            yield uri
        if any(isinstance(each, AssetAlias) for each in self.outlets):
            yield from uri_of_table(self.place)
