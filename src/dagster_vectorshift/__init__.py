"""VectorShift in Dagster: a resource for the account, and assets that measure its health.

    import dagster as dg
    from dagster_vectorshift import (
        DuckDBStorage, HealthTable, VectorShiftResource, build_health_assets
    )

    health = build_health_assets(
        tables=[HealthTable("pipeline_health")],
        partitions_def=dg.DailyPartitionsDefinition("2026-01-01"),
    )
    defs = dg.Definitions(
        assets=[health],
        resources={
            "vectorshift": VectorShiftResource(api_key=dg.EnvVar("VECTORSHIFT_API_KEY")),
            "storage": DuckDBStorage(path="health.duckdb"),
        },
    )

Importing this package imports Dagster and nothing else that is heavy: DuckDB, Arrow and HTTP load
when an asset materializes. docs/dagster.md tells the rest.
"""

from dagster_vectorshift.assets import build_health_assets, vectorshift_health_assets
from dagster_vectorshift.failures import as_dagster_failures
from dagster_vectorshift.health import Health
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.storage import (
    DuckDBStorage,
    ExportStorage,
    FileStorage,
    ParquetStorage,
    PostgresStorage,
    TableStorage,
)
from dagster_vectorshift.tables import DEFAULT_METRICS, HealthCheck, HealthTable
from dagster_vectorshift.translator import (
    DagsterVectorShiftTranslator,
    ExportProps,
    HealthTableProps,
)

__all__ = [
    "DEFAULT_METRICS",
    "DagsterVectorShiftTranslator",
    "DuckDBStorage",
    "ExportProps",
    "ExportStorage",
    "FileStorage",
    "Health",
    "HealthCheck",
    "HealthTable",
    "HealthTableProps",
    "ParquetStorage",
    "PostgresStorage",
    "TableStorage",
    "VectorShiftResource",
    "as_dagster_failures",
    "build_health_assets",
    "vectorshift_health_assets",
]
