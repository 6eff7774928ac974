"""The provider's triggers. They only poll: Airflow may run the same trigger twice at once."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_vectorshift.triggers.breach import (
        VectorShiftBreachTrigger as VectorShiftBreachTrigger,
    )
    from airflow_provider_vectorshift.triggers.error_count import (
        VectorShiftErrorCountTrigger as VectorShiftErrorCountTrigger,
    )
    from airflow_provider_vectorshift.triggers.export import (
        VectorShiftExportTrigger as VectorShiftExportTrigger,
    )
else:
    from vectorshift_orchestration.lazily import lazily

    __getattr__, __dir__, __all__ = lazily(
        __name__,
        {
            "breach": "VectorShiftBreachTrigger",
            "error_count": "VectorShiftErrorCountTrigger",
            "export": "VectorShiftExportTrigger",
        },
    )
