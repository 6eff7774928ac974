"""What a task publishes about its assets."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from airflow_provider_vectorshift._landing import Place

ALIAS = "vectorshift"
"""The alias among the outlets of tasks that have no outlets of their own. What a task lands in is known when
it runs: a connection is not looked up while a DAG file is parsed."""

_log = logging.getLogger(__name__)


def publish_to_assets(
    task: "BaseOperator",
    context: Mapping[str, Any],
    result: Mapping[str, Any],
    uris: Sequence[str] | None = None,
) -> None:
    """Give the assets among the outlets, also those by reference, the result as their events' extra.

    An alias gets an event for each of the `uris` that the rows landed in, by default for the file that the
    result names in `uri`. Without any its asset is unknown, so it gets no event, and a warning says so.
    """
    from airflow.sdk.definitions.asset import AssetRef

    for outlet in task.outlets:
        if isinstance(outlet, Asset | AssetRef):
            context["outlet_events"][outlet].extra.update(result)
        elif isinstance(outlet, AssetAlias) and "outlet_events" in context:
            file = result.get("uri")
            written = [each for each in ([file] if uris is None else uris) if each is not None]
            _publish_to_alias(outlet, context, result, written)


def _publish_to_alias(
    alias: AssetAlias, context: Mapping[str, Any], result: Mapping[str, Any], uris: Sequence[str]
) -> None:
    assets = []
    for uri in uris:
        with suppress(ValueError):  # an address that no asset can have
            assets.append(Asset(uri=uri))
    for asset in assets:
        context["outlet_events"][alias].add(asset, extra=_extra_of_alias(result))
    if not assets and alias.name != ALIAS:
        _log.warning(
            "The alias %r among the outlets gets no event: nothing that the task wrote names an asset. "
            "Give the asset itself as the outlet.",
            alias.name,
        )


def _extra_of_alias(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result; for Airflow 3.1.2, which fails a task whose alias has an extra with objects in it, with those as JSON."""
    from airflow import __version__

    if __version__ != "3.1.2":
        return dict(result)
    nested = {
        name: json.dumps(each) for name, each in result.items() if isinstance(each, dict | list)
    }
    return {**result, **nested}


def uri_of_table(place: "Place") -> Iterator[str]:
    """The URI of the place's table, as the provider of its database spells it; none where there is no rule for it."""
    from vectorshift_orchestration.storage.duckdb_file import database_file
    from vectorshift_orchestration.storage.identifiers import TableName

    if place.table is None:
        return
    table = TableName.parse(place.table)
    if place.duckdb_path is not None:
        parts = table.within("main").parts[-2:]
        yield f"duckdb://{database_file(place.duckdb_path).as_posix()}/{'/'.join(parts)}"
    elif place.lake is not None:
        from vectorshift_orchestration.storage.lake_address import lake_of

        with closing(lake_of(place.lake)) as lake:
            yield lake.address(table)
    elif place.sql_conn_id is not None:
        from airflow.sdk import BaseHook

        connection = BaseHook.get_connection(place.sql_conn_id)
        if connection.conn_type == "postgres" and connection.host and connection.schema:
            database, schema, name = table.within("public", connection.schema).parts
            yield f"postgres://{connection.host}:{connection.port or 5432}/{database}/{schema}/{name}"
        elif (
            connection.conn_type == "mysql"
            and connection.host
            and (table.schema or connection.schema)
        ):
            database, name = table.within(connection.schema or "").parts
            yield f"mysql://{connection.host}:{connection.port or 3306}/{database}/{name}"
