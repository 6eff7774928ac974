"""The provider's operators."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
else:
    from vectorshift_orchestration.lazily import lazily

    __getattr__, __dir__, __all__ = lazily(
        __name__,
        {
            "aggregate": "VectorShiftAggregateOperator",
            "export": "VectorShiftExportOperator",
            "report": "VectorShiftReportOperator",
            "threshold": "VectorShiftThresholdBreached VectorShiftThresholdCheckOperator",
        },
    )
