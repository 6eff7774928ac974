"""Where rows came from and went, as OpenLineage; imported when its provider asks."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    external_query_run,
    input_statistics_input_dataset,
    output_statistics_output_dataset,
)

from airflow_provider_vectorshift._landing import Place
from vectorshift_orchestration.addresses import account_host

EVENTS = "analytics/events"


def lineage_of(result: Mapping[str, Any], base_url: str, place: Place) -> OperatorLineage[Any, Any]:
    """The account's events as input; the file and the table that rows landed in as outputs.

    `result` is the task's: with `rows` and `bytes`, and with `task_id` for an export, whose rows are
    the events themselves. A table is named as its database's own operators name it, if the
    connection's hook says how.
    """
    account, export_id = account_host(base_url), result.get("task_id")
    read: dict[str, Any] = {}
    run: dict[str, Any] = {}
    if export_id is not None:
        read["inputStatistics"] = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
            rowCount=result["rows"]
        )
        run["externalQuery"] = external_query_run.ExternalQueryRunFacet(
            externalQueryId=export_id, source=account
        )
    written = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=result["rows"], size=result["bytes"]
    )
    return OperatorLineage(
        inputs=[InputDataset(account, EVENTS, inputFacets=read)],
        outputs=[
            OutputDataset(namespace, name, outputFacets={"outputStatistics": written})
            for namespace, name in _places(result["uri"], place)
        ],
        run_facets=run,
    )


def _places(uri: str | None, place: Place) -> Iterator[tuple[str, str]]:
    """Namespace and name of what was written."""
    if uri is not None:
        yield _file(uri)
    if place.table is not None and place.duckdb_path is not None:
        yield _duckdb_table(place.duckdb_path, place.table)
    if place.table is not None and place.lake is not None:
        from vectorshift_orchestration.storage.identifiers import TableName
        from vectorshift_orchestration.storage.lake_address import lake_of

        with closing(lake_of(place.lake)) as lake:
            yield _file(lake.address(TableName.parse(place.table)))
    if place.table is not None and place.sql_conn_id is not None:
        yield _sql_table(place.sql_conn_id, place.table)


def _file(uri: str) -> tuple[str, str]:
    """Nothing in our URIs is encoded, so nothing is decoded."""
    scheme, _, rest = uri.partition("://")
    if scheme == "file":
        return "file", rest
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


def _duckdb_table(path: str, table: str) -> tuple[str, str]:
    from vectorshift_orchestration.storage.duckdb_file import database_file

    return f"duckdb://{database_file(path).as_posix()}", table if "." in table else f"main.{table}"


def _sql_table(conn_id: str, table: str) -> tuple[str, str]:
    from airflow.sdk import BaseHook

    connection = BaseHook.get_connection(conn_id)
    hook = connection.get_hook()  # type: ignore[no-untyped-call]
    database = hook.get_openlineage_database_info(connection)
    if database is None:
        return f"{connection.conn_type}://{conn_id}", table
    if "." not in table and (schema := hook.get_openlineage_default_schema()):
        table = f"{schema}.{table}"
    name = f"{database.database}.{table}" if database.database else table
    return f"{database.scheme}://{database.authority}", name
