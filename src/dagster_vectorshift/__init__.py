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
when an asset materializes. docs/dagster.md has the rest.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster_vectorshift.checks._checks import (
        CheckOptions as CheckOptions,
        build_baseline_check as build_baseline_check,
        build_error_count_check as build_error_count_check,
        build_error_rate_check as build_error_rate_check,
        build_latency_check as build_latency_check,
        build_rule_check as build_rule_check,
    )
    from dagster_vectorshift.checks._freshness import (
        build_health_freshness_checks as build_health_freshness_checks,
        build_health_freshness_policy as build_health_freshness_policy,
    )
    from dagster_vectorshift.components._components import (
        VectorShiftExportComponent as VectorShiftExportComponent,
        VectorShiftHealthComponent as VectorShiftHealthComponent,
    )
    from dagster_vectorshift.exports._assets import (
        build_export_asset as build_export_asset,
        build_export_definitions as build_export_definitions,
        build_two_phase_export as build_two_phase_export,
    )
    from dagster_vectorshift.exports._options import ExportOptions as ExportOptions
    from dagster_vectorshift.failures import as_dagster_failures as as_dagster_failures
    from dagster_vectorshift.health._assets import (
        build_health_assets as build_health_assets,
        build_health_definitions as build_health_definitions,
        vectorshift_health_assets as vectorshift_health_assets,
    )
    from dagster_vectorshift.health._checks import HealthCheck as HealthCheck
    from dagster_vectorshift.health._measured import Health as Health
    from dagster_vectorshift.health._options import HealthOptions as HealthOptions
    from dagster_vectorshift.report import (
        ReportOptions as ReportOptions,
        build_report_asset as build_report_asset,
    )
    from dagster_vectorshift.resource import VectorShiftResource as VectorShiftResource
    from dagster_vectorshift.schedules import build_health_schedule as build_health_schedule
    from dagster_vectorshift.sensors._check_alerts import (
        build_check_alert_sensor as build_check_alert_sensor,
    )
    from dagster_vectorshift.sensors._error_counts import (
        build_error_count_sensor as build_error_count_sensor,
    )
    from dagster_vectorshift.storage._databases import (
        DuckDBStorage as DuckDBStorage,
        PostgresStorage as PostgresStorage,
    )
    from dagster_vectorshift.storage._files import (
        FileStorage as FileStorage,
        ParquetStorage as ParquetStorage,
    )
    from dagster_vectorshift.storage._lakes import (
        DeltaStorage as DeltaStorage,
        IcebergStorage as IcebergStorage,
    )
    from dagster_vectorshift.storage._protocol import (
        ExportStorage as ExportStorage,
        TableStorage as TableStorage,
    )
    from dagster_vectorshift.tables import (
        DEFAULT_METRICS as DEFAULT_METRICS,
        ErrorTable as ErrorTable,
        HealthTable as HealthTable,
    )
    from dagster_vectorshift.translator import (
        DagsterVectorShiftTranslator as DagsterVectorShiftTranslator,
        ExportProps as ExportProps,
        HealthTableProps as HealthTableProps,
    )
    from vectorshift_orchestration.thresholds.alerts import Alert as Alert
else:
    from vectorshift_orchestration.lazily import lazily

    __getattr__, __dir__, __all__ = lazily(
        __name__,
        {
            "checks._checks": "CheckOptions build_baseline_check build_error_count_check "
            "build_error_rate_check build_latency_check build_rule_check",
            "checks._freshness": "build_health_freshness_checks build_health_freshness_policy",
            "components._components": "VectorShiftExportComponent VectorShiftHealthComponent",
            "exports._assets": "build_export_asset build_export_definitions build_two_phase_export",
            "exports._options": "ExportOptions",
            "failures": "as_dagster_failures",
            "health._assets": "build_health_assets build_health_definitions vectorshift_health_assets",
            "health._checks": "HealthCheck",
            "health._measured": "Health",
            "health._options": "HealthOptions",
            "report": "ReportOptions build_report_asset",
            "resource": "VectorShiftResource",
            "schedules": "build_health_schedule",
            "sensors._check_alerts": "build_check_alert_sensor",
            "sensors._error_counts": "build_error_count_sensor",
            "storage._databases": "DuckDBStorage PostgresStorage",
            "storage._files": "FileStorage ParquetStorage",
            "storage._lakes": "DeltaStorage IcebergStorage",
            "storage._protocol": "ExportStorage TableStorage",
            "tables": "DEFAULT_METRICS ErrorTable HealthTable",
            "translator": "DagsterVectorShiftTranslator ExportProps HealthTableProps",
            "sensors._alerts": "Alert",
        },
    )
