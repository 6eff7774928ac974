"""The provider's operators."""

from airflow_provider_vectorshift.operators.export import VectorShiftExportOperator

__all__ = ["VectorShiftExportOperator"]
