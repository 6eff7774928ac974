"""The provider's operators."""

from airflow_provider_vectorshift.operators.aggregate import VectorShiftAggregateOperator
from airflow_provider_vectorshift.operators.export import VectorShiftExportOperator
from airflow_provider_vectorshift.operators.threshold import (
    VectorShiftThresholdBreached,
    VectorShiftThresholdCheckOperator,
)

__all__ = [
    "VectorShiftAggregateOperator",
    "VectorShiftExportOperator",
    "VectorShiftThresholdBreached",
    "VectorShiftThresholdCheckOperator",
]
