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
        CommitUnknownError,
        EventShapeError,
        ExportFileError,
        ExportIncomplete,
        ExportStateError,
        ExtractIncomplete,
        MergeError,
        OrchestrationError,
        PublishError,
        RowOutsideWindow,
        SchemaMismatch,
        SpecError,
        StaleWriterError,
        StorageError,
        UnstorableValue,
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
    from vectorshift_orchestration.exports.job import resume
    from vectorshift_orchestration.exports.state import ExportState
    from vectorshift_orchestration.extract import aaggregate, aevents, aggregate, events
    from vectorshift_orchestration.readers import read_export
    from vectorshift_orchestration.specs import AggregationSpec, QuerySpec
    from vectorshift_orchestration.storage.destinations import partition_path
    from vectorshift_orchestration.storage.files import Published, publish
    from vectorshift_orchestration.storage.ledger import Attempt, Commit, committed
    from vectorshift_orchestration.storage.parquet import write_parquet
    from vectorshift_orchestration.storage.sql import Written, begin_attempt, overwrite_window
    from vectorshift_orchestration.storage.sweeper import sweep
    from vectorshift_orchestration.thresholds import aevaluate, evaluate
    from vectorshift_orchestration.thresholds.error_messages import (
        TopErrors,
        atop_errors,
        top_errors,
    )
    from vectorshift_orchestration.thresholds.rules import (
        Absolute,
        Baseline,
        Change,
        Rate,
        Rule,
        rule_from_dict,
    )
    from vectorshift_orchestration.thresholds.verdicts import Verdict
    from vectorshift_orchestration.windows import Window, merge, windows_between

_HOMES = {
    "Absolute": "thresholds.rules",
    "AggregationShapeError": "errors",
    "AggregationSpec": "specs",
    "Attempt": "storage.ledger",
    "Baseline": "thresholds.rules",
    "Change": "thresholds.rules",
    "Commit": "storage.ledger",
    "CommitUnknownError": "errors",
    "EventShapeError": "errors",
    "ExportFileError": "errors",
    "ExportIncomplete": "errors",
    "ExportRequest": "exports",
    "ExportState": "exports.state",
    "ExportStateError": "errors",
    "ExtractIncomplete": "errors",
    "Landed": "exports",
    "MergeError": "errors",
    "OrchestrationError": "errors",
    "PublishError": "errors",
    "Published": "storage.files",
    "QuerySpec": "specs",
    "Rate": "thresholds.rules",
    "RowOutsideWindow": "errors",
    "Rule": "thresholds.rules",
    "SchemaMismatch": "errors",
    "SpecError": "errors",
    "Staged": "exports",
    "StaleWriterError": "errors",
    "StorageError": "errors",
    "TopErrors": "thresholds.error_messages",
    "UnstorableValue": "errors",
    "Verdict": "thresholds.verdicts",
    "Window": "windows",
    "WindowError": "errors",
    "Written": "storage.sql",
    "aaggregate": "extract",
    "aevaluate": "thresholds",
    "aevents": "extract",
    "aggregate": "extract",
    "atop_errors": "thresholds.error_messages",
    "begin_attempt": "storage.sql",
    "committed": "storage.ledger",
    "evaluate": "thresholds",
    "events": "extract",
    "land": "exports",
    "merge": "windows",
    "overwrite_window": "storage.sql",
    "partition_path": "storage.destinations",
    "publish": "storage.files",
    "read_export": "readers",
    "resume": "exports.job",
    "rule_from_dict": "thresholds.rules",
    "stage": "exports",
    "submit": "exports",
    "sweep": "storage.sweeper",
    "top_errors": "thresholds.error_messages",
    "wait": "exports",
    "windows_between": "windows",
    "write_parquet": "storage.parquet",
}

__all__ = [
    "Absolute",
    "AggregationShapeError",
    "AggregationSpec",
    "Attempt",
    "Baseline",
    "Change",
    "Commit",
    "CommitUnknownError",
    "EventShapeError",
    "ExportFileError",
    "ExportIncomplete",
    "ExportRequest",
    "ExportState",
    "ExportStateError",
    "ExtractIncomplete",
    "Landed",
    "MergeError",
    "OrchestrationError",
    "PublishError",
    "Published",
    "QuerySpec",
    "Rate",
    "RowOutsideWindow",
    "Rule",
    "SchemaMismatch",
    "SpecError",
    "Staged",
    "StaleWriterError",
    "StorageError",
    "TopErrors",
    "UnstorableValue",
    "Verdict",
    "Window",
    "WindowError",
    "Written",
    "aaggregate",
    "aevaluate",
    "aevents",
    "aggregate",
    "atop_errors",
    "begin_attempt",
    "committed",
    "evaluate",
    "events",
    "land",
    "merge",
    "overwrite_window",
    "partition_path",
    "publish",
    "read_export",
    "resume",
    "rule_from_dict",
    "stage",
    "submit",
    "sweep",
    "top_errors",
    "wait",
    "windows_between",
    "write_parquet",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
