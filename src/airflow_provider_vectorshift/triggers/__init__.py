"""The provider's triggers. They only look: Airflow may run the same trigger twice at once (RELIABILITY.md 0.4)."""

from airflow_provider_vectorshift.triggers.breach import VectorShiftBreachTrigger
from airflow_provider_vectorshift.triggers.error_count import VectorShiftErrorCountTrigger
from airflow_provider_vectorshift.triggers.export import VectorShiftExportTrigger

__all__ = ["VectorShiftBreachTrigger", "VectorShiftErrorCountTrigger", "VectorShiftExportTrigger"]
