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
    from vectorshift_orchestration.exports import (
        ExportRequest,
        Landed,
        Staged,
        land,
        stage,
        submit,
        wait,
    )
    from vectorshift_orchestration.extract import aggregate
    from vectorshift_orchestration.readers import read_export
    from vectorshift_orchestration.specs import AggregationSpec
    from vectorshift_orchestration.storage.files import Published, publish
    from vectorshift_orchestration.storage.ledger import Commit, committed
    from vectorshift_orchestration.storage.sql import Written, overwrite_window
    from vectorshift_orchestration.windows import Window

_HOMES = {
    "AggregationShapeError": "errors",
    "AggregationSpec": "specs",
    "Commit": "storage.ledger",
    "ExportFileError": "errors",
    "ExportIncomplete": "errors",
    "ExportRequest": "exports",
    "Landed": "exports",
    "OrchestrationError": "errors",
    "PublishError": "errors",
    "Published": "storage.files",
    "RowOutsideWindow": "errors",
    "SchemaMismatch": "errors",
    "SpecError": "errors",
    "Staged": "exports",
    "StorageError": "errors",
    "Window": "windows",
    "WindowError": "errors",
    "Written": "storage.sql",
    "aggregate": "extract",
    "committed": "storage.ledger",
    "land": "exports",
    "overwrite_window": "storage.sql",
    "publish": "storage.files",
    "read_export": "readers",
    "stage": "exports",
    "submit": "exports",
    "wait": "exports",
}

__all__ = [
    "AggregationShapeError",
    "AggregationSpec",
    "Commit",
    "ExportFileError",
    "ExportIncomplete",
    "ExportRequest",
    "Landed",
    "OrchestrationError",
    "PublishError",
    "Published",
    "RowOutsideWindow",
    "SchemaMismatch",
    "SpecError",
    "Staged",
    "StorageError",
    "Window",
    "WindowError",
    "Written",
    "aggregate",
    "committed",
    "land",
    "overwrite_window",
    "publish",
    "read_export",
    "stage",
    "submit",
    "wait",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
