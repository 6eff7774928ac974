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

from dagster_vectorshift.checks._checks import (
    CheckOptions,
    build_baseline_check,
    build_error_count_check,
    build_error_rate_check,
    build_latency_check,
    build_rule_check,
)
from dagster_vectorshift.checks._freshness import (
    build_health_freshness_checks,
    build_health_freshness_policy,
)
from dagster_vectorshift.components import VectorShiftExportComponent, VectorShiftHealthComponent
from dagster_vectorshift.exports._assets import (
    build_export_asset,
    build_export_definitions,
    build_two_phase_export,
)
from dagster_vectorshift.exports._options import ExportOptions
from dagster_vectorshift.failures import as_dagster_failures
from dagster_vectorshift.health._assets import (
    build_health_assets,
    build_health_definitions,
    vectorshift_health_assets,
)
from dagster_vectorshift.health._checks import HealthCheck
from dagster_vectorshift.health._measured import Health
from dagster_vectorshift.health._options import HealthOptions
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.schedules import build_health_schedule
from dagster_vectorshift.sensors._alerts import Alert
from dagster_vectorshift.sensors._check_alerts import build_check_alert_sensor
from dagster_vectorshift.sensors._error_counts import build_error_count_sensor
from dagster_vectorshift.storage import (
    DuckDBStorage,
    ExportStorage,
    FileStorage,
    ParquetStorage,
    PostgresStorage,
    TableStorage,
)
from dagster_vectorshift.tables import DEFAULT_METRICS, ErrorTable, HealthTable
from dagster_vectorshift.translator import (
    DagsterVectorShiftTranslator,
    ExportProps,
    HealthTableProps,
)

__all__ = [
    "DEFAULT_METRICS",
    "Alert",
    "CheckOptions",
    "DagsterVectorShiftTranslator",
    "DuckDBStorage",
    "ErrorTable",
    "ExportOptions",
    "ExportProps",
    "ExportStorage",
    "FileStorage",
    "Health",
    "HealthCheck",
    "HealthOptions",
    "HealthTable",
    "HealthTableProps",
    "ParquetStorage",
    "PostgresStorage",
    "TableStorage",
    "VectorShiftExportComponent",
    "VectorShiftHealthComponent",
    "VectorShiftResource",
    "as_dagster_failures",
    "build_baseline_check",
    "build_check_alert_sensor",
    "build_error_count_check",
    "build_error_count_sensor",
    "build_error_rate_check",
    "build_export_asset",
    "build_export_definitions",
    "build_health_assets",
    "build_health_definitions",
    "build_health_freshness_checks",
    "build_health_freshness_policy",
    "build_health_schedule",
    "build_latency_check",
    "build_rule_check",
    "build_two_phase_export",
    "vectorshift_health_assets",
]
