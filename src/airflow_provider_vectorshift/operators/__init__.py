"""The provider's operators."""

from airflow_provider_vectorshift.operators.aggregate import (
    VectorShiftAggregateOperator as VectorShiftAggregateOperator,
)
from airflow_provider_vectorshift.operators.export import (
    VectorShiftExportOperator as VectorShiftExportOperator,
)
from airflow_provider_vectorshift.operators.report import (
    VectorShiftReportOperator as VectorShiftReportOperator,
)
from airflow_provider_vectorshift.operators.threshold import (
    VectorShiftThresholdBreached as VectorShiftThresholdBreached,
    VectorShiftThresholdCheckOperator as VectorShiftThresholdCheckOperator,
)
