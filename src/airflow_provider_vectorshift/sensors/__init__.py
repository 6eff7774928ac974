"""The provider's sensors."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_vectorshift.sensors.error_count import (
        VectorShiftErrorCountSensor as VectorShiftErrorCountSensor,
    )
    from airflow_provider_vectorshift.sensors.export import (
        VectorShiftExportSensor as VectorShiftExportSensor,
    )
else:
    from vectorshift_orchestration.lazily import lazily

    __getattr__, __dir__, __all__ = lazily(
        __name__,
        {
            "error_count": "VectorShiftErrorCountSensor",
            "export": "VectorShiftExportSensor",
        },
    )
