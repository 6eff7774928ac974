"""Health assets and exports as components: YAML instead of Python."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster_vectorshift.components._components import (
        VectorShiftExportComponent as VectorShiftExportComponent,
        VectorShiftHealthComponent as VectorShiftHealthComponent,
    )
else:
    from vectorshift_orchestration.lazily import lazily

    __getattr__, __dir__, __all__ = lazily(
        __name__,
        {
            "_components": "VectorShiftExportComponent VectorShiftHealthComponent",
        },
    )
