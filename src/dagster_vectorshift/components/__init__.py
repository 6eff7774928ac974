"""Health assets and exports as components: YAML instead of Python."""

from dagster_vectorshift.components._components import (
    VectorShiftExportComponent as VectorShiftExportComponent,
    VectorShiftHealthComponent as VectorShiftHealthComponent,
)
