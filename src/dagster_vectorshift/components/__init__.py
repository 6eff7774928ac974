"""Health assets and exports as components: YAML instead of Python."""

from dagster_vectorshift.components.export import VectorShiftExportComponent
from dagster_vectorshift.components.health import VectorShiftHealthComponent

__all__ = ["VectorShiftExportComponent", "VectorShiftHealthComponent"]
