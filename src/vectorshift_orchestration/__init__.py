"""From a query and a window to rows in your storage: what any orchestrator needs of VectorShift.

Nothing in here knows an orchestrator. The names below load when they are first used, because a
DAG file is parsed again and again: Arrow and DuckDB come with the functions that need them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectorshift_orchestration.errors import (
        AggregationShapeError as AggregationShapeError,
        CommitUnknownError as CommitUnknownError,
        EventShapeError as EventShapeError,
        ExportFileError as ExportFileError,
        ExportFormatError as ExportFormatError,
        ExportIncomplete as ExportIncomplete,
        ExportStateError as ExportStateError,
        ExtractIncomplete as ExtractIncomplete,
        MergeError as MergeError,
        OrchestrationError as OrchestrationError,
        PublishError as PublishError,
        RowOutsideWindow as RowOutsideWindow,
        SchemaMismatch as SchemaMismatch,
        SpecError as SpecError,
        StaleWriterError as StaleWriterError,
        StorageError as StorageError,
        UnstorableValue as UnstorableValue,
        WindowError as WindowError,
        WindowTakenError as WindowTakenError,
    )
    from vectorshift_orchestration.exports import (
        ExportJob as ExportJob,
        ExportLanded as ExportLanded,
        ExportOptions as ExportOptions,
        ExportRequest as ExportRequest,
        ExportState as ExportState,
        Record as Record,
        resume as resume,
    )
    from vectorshift_orchestration.extract import aggregate as aggregate, events as events
    from vectorshift_orchestration.landing import Landed as Landed, Landing as Landing
    from vectorshift_orchestration.readers import read_export as read_export
    from vectorshift_orchestration.specs import (
        AggregationSpec as AggregationSpec,
        QuerySpec as QuerySpec,
    )
    from vectorshift_orchestration.storage.destinations import partition_path as partition_path
    from vectorshift_orchestration.storage.files import Published as Published, publish as publish
    from vectorshift_orchestration.storage.ledger import (
        Attempt as Attempt,
        Commit as Commit,
        committed as committed,
    )
    from vectorshift_orchestration.storage.parquet import write_parquet as write_parquet
    from vectorshift_orchestration.storage.sql import (
        Written as Written,
        begin_attempt as begin_attempt,
        overwrite_window as overwrite_window,
    )
    from vectorshift_orchestration.storage.sweeper import sweep as sweep
    from vectorshift_orchestration.thresholds import aevaluate as aevaluate, evaluate as evaluate
    from vectorshift_orchestration.thresholds.error_messages import (
        TopErrors as TopErrors,
        atop_errors as atop_errors,
        top_errors as top_errors,
    )
    from vectorshift_orchestration.thresholds.judging import Judging as Judging
    from vectorshift_orchestration.thresholds.rules import (
        Absolute as Absolute,
        Baseline as Baseline,
        Change as Change,
        Rate as Rate,
        Rule as Rule,
        rule_from_dict as rule_from_dict,
    )
    from vectorshift_orchestration.thresholds.verdicts import Verdict as Verdict
    from vectorshift_orchestration.windows import Window as Window, merge as merge
else:
    from vectorshift_orchestration.lazily import lazily

    __getattr__, __dir__, __all__ = lazily(
        __name__,
        {
            "errors": "AggregationShapeError CommitUnknownError EventShapeError ExportFileError "
            "ExportFormatError ExportIncomplete ExportStateError ExtractIncomplete "
            "MergeError OrchestrationError PublishError RowOutsideWindow SchemaMismatch "
            "SpecError StaleWriterError StorageError UnstorableValue WindowError "
            "WindowTakenError",
            "exports": "ExportJob ExportLanded ExportOptions ExportRequest ExportState Record resume",
            "extract": "aggregate events",
            "landing": "Landed Landing",
            "readers": "read_export",
            "specs": "AggregationSpec QuerySpec",
            "storage.destinations": "partition_path",
            "storage.files": "Published publish",
            "storage.ledger": "Attempt Commit committed",
            "storage.parquet": "write_parquet",
            "storage.sql": "Written begin_attempt overwrite_window",
            "storage.sweeper": "sweep",
            "thresholds": "aevaluate evaluate",
            "thresholds.error_messages": "TopErrors atop_errors top_errors",
            "thresholds.judging": "Judging",
            "thresholds.rules": "Absolute Baseline Change Rate Rule rule_from_dict",
            "thresholds.verdicts": "Verdict",
            "windows": "Window merge",
        },
    )
