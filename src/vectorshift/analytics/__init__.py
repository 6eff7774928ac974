"""The Analytics API: exactly the names of the reference page. They load when they are first used."""

from importlib import import_module

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from vectorshift.analytics._enums import (
        AggregationField as AggregationField,
        AggregationOp as AggregationOp,
        EventKind as EventKind,
        EventStatus as EventStatus,
        ExportFormat as ExportFormat,
        FieldFilterOp as FieldFilterOp,
        FieldOp as FieldOp,
        GroupBy as GroupBy,
        Interval as Interval,
        LogicalOp as LogicalOp,
    )
    from vectorshift.analytics._facade import Analytics as Analytics
    from vectorshift.analytics._filters import (
        EventField as EventField,
        FieldFilter as FieldFilter,
        Filter as Filter,
        FilterGroup as FilterGroup,
    )
    from vectorshift.analytics._operations import (
        AggregationOperation as AggregationOperation,
        Percentile as Percentile,
    )
    from vectorshift.analytics._query import (
        AsyncQuery as AsyncQuery,
        Query as Query,
    )
    from vectorshift.analytics._results import (
        AggregationBucket as AggregationBucket,
        AggregationResult as AggregationResult,
        DataTableResult as DataTableResult,
        DataTableRow as DataTableRow,
        Event as Event,
        EventCount as EventCount,
        EventPage as EventPage,
        ExportTask as ExportTask,
        PaginationMeta as PaginationMeta,
        RunData as RunData,
        Trace as Trace,
    )
    from vectorshift.errors import (
        AnalyticsError as AnalyticsError,
        AnalyticsExportFailed as AnalyticsExportFailed,
        AnalyticsExportTimeout as AnalyticsExportTimeout,
        AnalyticsInvalidQuery as AnalyticsInvalidQuery,
        AnalyticsNotFound as AnalyticsNotFound,
    )

_HOMES = {
    "vectorshift.analytics._enums": (
        "AggregationField",
        "AggregationOp",
        "EventKind",
        "EventStatus",
        "ExportFormat",
        "FieldFilterOp",
        "FieldOp",
        "GroupBy",
        "Interval",
        "LogicalOp",
    ),
    "vectorshift.analytics._facade": ("Analytics",),
    "vectorshift.analytics._filters": (
        "EventField",
        "FieldFilter",
        "Filter",
        "FilterGroup",
    ),
    "vectorshift.analytics._operations": (
        "AggregationOperation",
        "Percentile",
    ),
    "vectorshift.analytics._query": (
        "AsyncQuery",
        "Query",
    ),
    "vectorshift.analytics._results": (
        "AggregationBucket",
        "AggregationResult",
        "DataTableResult",
        "DataTableRow",
        "Event",
        "EventCount",
        "EventPage",
        "ExportTask",
        "PaginationMeta",
        "RunData",
        "Trace",
    ),
    "vectorshift.errors": (
        "AnalyticsError",
        "AnalyticsExportFailed",
        "AnalyticsExportTimeout",
        "AnalyticsInvalidQuery",
        "AnalyticsNotFound",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # names are text


def __getattr__(name: str) -> "Any":
    if name not in _HOME:
        raise AttributeError(f"module 'vectorshift.analytics' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
