"""From a query and a window to rows in your storage: what any orchestrator needs of VectorShift.

Nothing in here knows an orchestrator. The names below load when they are first used, because a
DAG file is parsed again and again: Arrow and DuckDB come with the functions that need them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectorshift_orchestration.errors import (
        AggregationShapeError,
        ExportFileError,
        ExportIncomplete,
        OrchestrationError,
        PublishError,
        RowOutsideWindow,
        SchemaMismatch,
        SpecError,
        StorageError,
        WindowError,
    )
    from vectorshift_orchestration.specs import AggregationSpec
    from vectorshift_orchestration.windows import Window

_HOMES = {
    "AggregationShapeError": "errors",
    "AggregationSpec": "specs",
    "ExportFileError": "errors",
    "ExportIncomplete": "errors",
    "OrchestrationError": "errors",
    "PublishError": "errors",
    "RowOutsideWindow": "errors",
    "SchemaMismatch": "errors",
    "SpecError": "errors",
    "StorageError": "errors",
    "Window": "windows",
    "WindowError": "errors",
}

__all__ = [
    "AggregationShapeError",
    "AggregationSpec",
    "ExportFileError",
    "ExportIncomplete",
    "OrchestrationError",
    "PublishError",
    "RowOutsideWindow",
    "SchemaMismatch",
    "SpecError",
    "StorageError",
    "Window",
    "WindowError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
