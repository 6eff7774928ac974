"""The provider's triggers. They only poll: Airflow may run the same trigger twice at once."""

from airflow_provider_vectorshift.triggers.breach import (
    VectorShiftBreachTrigger as VectorShiftBreachTrigger,
)
from airflow_provider_vectorshift.triggers.error_count import (
    VectorShiftErrorCountTrigger as VectorShiftErrorCountTrigger,
)
from airflow_provider_vectorshift.triggers.export import (
    VectorShiftExportTrigger as VectorShiftExportTrigger,
)
