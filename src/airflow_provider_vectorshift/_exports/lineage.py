"""Where rows came from and went, in OpenLineage's words; imported when its provider asks."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    external_query_run,
    input_statistics_input_dataset,
    output_statistics_output_dataset,
)

if TYPE_CHECKING:
    from vectorshift_orchestration.exports import Landed

EVENTS = "analytics/events"


def export_lineage(
    landed: "Landed", account: str, *, sql_conn_id: str | None, duckdb_path: str | None
) -> OperatorLineage[Any, Any]:
    """The account's events as input; the file and the table that hold them as outputs.

    `account` is the service's scheme and host. A table is named as its database's own operators
    name it, where the connection's hook tells how.
    """
    read = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rowCount=landed.rows)
    places = []
    if landed.uri is not None:
        places.append(_file(landed.uri))
    if landed.table is not None and duckdb_path is not None:
        places.append(_duckdb_table(duckdb_path, landed.table))
    if landed.table is not None and sql_conn_id is not None:
        places.append(_sql_table(sql_conn_id, landed.table))
    return OperatorLineage(
        inputs=[InputDataset(account, EVENTS, inputFacets={"inputStatistics": read})],
        outputs=[
            OutputDataset(namespace, name, outputFacets={"outputStatistics": _written(landed)})
            for namespace, name in places
        ],
        run_facets={
            "externalQuery": external_query_run.ExternalQueryRunFacet(
                externalQueryId=landed.task_id, source=account
            )
        },
    )


def _written(landed: "Landed") -> Any:
    return output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=landed.rows, size=landed.bytes
    )


def _file(uri: str) -> tuple[str, str]:
    """Namespace and name; nothing in our URIs is encoded, so nothing is decoded."""
    scheme, _, rest = uri.partition("://")
    if scheme == "file":
        return "file", rest
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


def _duckdb_table(path: str, table: str) -> tuple[str, str]:
    file = Path(path).expanduser().absolute()
    return f"duckdb://{file.as_posix()}", table if "." in table else f"main.{table}"


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
