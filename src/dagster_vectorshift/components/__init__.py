"""Health assets and exports as components: YAML instead of Python."""

from dagster_vectorshift.components._export import (
    VectorShiftExportComponent as VectorShiftExportComponent,
)
from dagster_vectorshift.components._health import (
    VectorShiftHealthComponent as VectorShiftHealthComponent,
)
