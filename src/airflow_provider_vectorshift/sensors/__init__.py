"""The provider's sensors."""

from airflow_provider_vectorshift.sensors.error_count import (
    VectorShiftErrorCountSensor as VectorShiftErrorCountSensor,
)
from airflow_provider_vectorshift.sensors.export import (
    VectorShiftExportSensor as VectorShiftExportSensor,
)
