"""The Analytics API: exactly the names of the reference page."""

from vectorshift.analytics._enums import (
    AggregationField,
    AggregationOp,
    EventKind,
    EventStatus,
    ExportFormat,
    FieldFilterOp,
    FieldOp,
    GroupBy,
    Interval,
    LogicalOp,
)
from vectorshift.analytics._facade import Analytics
from vectorshift.analytics._fields import EventField
from vectorshift.analytics._filters import FieldFilter, Filter, FilterGroup
from vectorshift.analytics._operations import AggregationOperation, Percentile
from vectorshift.analytics._query import AsyncQuery, Query
from vectorshift.analytics._results import (
    AggregationBucket,
    AggregationResult,
    DataTableResult,
    DataTableRow,
    Event,
    EventCount,
    EventPage,
    ExportTask,
    PaginationMeta,
    RunData,
    Trace,
)
from vectorshift.errors import (
    AnalyticsError,
    AnalyticsExportFailed,
    AnalyticsExportTimeout,
    AnalyticsInvalidQuery,
    AnalyticsNotFound,
)

__all__ = [
    "AggregationBucket",
    "AggregationField",
    "AggregationOp",
    "AggregationOperation",
    "AggregationResult",
    "Analytics",
    "AnalyticsError",
    "AnalyticsExportFailed",
    "AnalyticsExportTimeout",
    "AnalyticsInvalidQuery",
    "AnalyticsNotFound",
    "AsyncQuery",
    "DataTableResult",
    "DataTableRow",
    "Event",
    "EventCount",
    "EventField",
    "EventKind",
    "EventPage",
    "EventStatus",
    "ExportFormat",
    "ExportTask",
    "FieldFilter",
    "FieldFilterOp",
    "FieldOp",
    "Filter",
    "FilterGroup",
    "GroupBy",
    "Interval",
    "LogicalOp",
    "PaginationMeta",
    "Percentile",
    "Query",
    "RunData",
    "Trace",
]
