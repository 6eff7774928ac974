"""The public surface as types: checked by mypy, never run. A wrong type here is a broken promise."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_type

import vectorshift
from vectorshift import AnalyticsExportFailed, Client, Download, Pipeline, Retry
from vectorshift.analytics import (
    AggregationOperation,
    AggregationResult,
    Analytics,
    AsyncQuery,
    DataTableResult,
    DataTableRow,
    Event,
    EventCount,
    EventField,
    EventKind,
    EventPage,
    ExportFormat,
    ExportTask,
    FieldFilter,
    Filter,
    FilterGroup,
    GroupBy,
    Interval,
    LogicalOp,
    Percentile,
    Query,
    RunData,
    Trace,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def settings() -> None:
    """The module's settings take text or None."""
    vectorshift.api_key = "sk_..."
    vectorshift.base_url = None


def scopes() -> None:
    """Every way to scope a query gives a Query."""
    assert_type(Analytics.query(object=Pipeline("pl_1")), Query)
    assert_type(Analytics.query(object_type="chatbot", kinds=[EventKind.CHATBOT_RUN]), Query)
    assert_type(Analytics.aquery(object_ids=["cb_1"], limit=5, offset=1), AsyncQuery)


def refining(query: Query) -> None:
    """where() keeps the kind of query; operators give filters."""
    assert_type(query.where(status="failure"), Query)
    assert_type(query.where(EventField.EVENT_START_TIME >= START), Query)
    assert_type(EventField.EVENT_START_TIME < START, FieldFilter)
    assert_type(EventField.ERROR_MESSAGE.matches("quota"), FieldFilter)
    assert_type(Filter.eq(EventField.TRACE_ID, "tr_1"), Filter)
    either = [FieldFilter.eq(EventField.SOURCE, "web"), FieldFilter.eq(EventField.SOURCE, "api")]
    assert_type(query.where(FilterGroup(either, op=LogicalOp.OR)), Query)
    assert_type(query.where(*either, logical_op=LogicalOp.OR), Query)


def terminals(query: Query) -> None:
    """Results of the blocking terminals."""
    assert_type(query.count(), EventCount)
    assert_type(query.count()["count"], int)
    assert_type(query.events(limit=5), EventPage)
    assert_type(query.events()["events"], list[Event])
    assert_type(query.events()["events"][0]["latency"], float)
    assert_type(query.traces(), list[Trace])
    assert_type(query.table([EventField.STATUS, "latency"]), DataTableResult)
    assert_type(query.sum("tokens"), float)
    assert_type(query.count_distinct("users"), int)
    assert_type(query.percentile("latency", 95), float)
    operations = [AggregationOperation("latency", Percentile(95))]
    assert_type(query.raw_aggregate(operations), AggregationResult)
    assert_type(query.raw_aggregate(["runs.sum"], [GroupBy.TIME], Interval.DAY), AggregationResult)
    assert_type(query.export(ExportFormat.CSV, "a.csv"), ExportTask)
    assert_type(query.export_and_wait("CSV", "a.csv", timeout=5, poll_interval=0.5), ExportTask)
    assert_type(query.iter_events(), Iterator[Event])
    assert_type(query.iter_rows(["status"]), Iterator[DataTableRow])
    assert_type(query.aiter_events(), AsyncIterator[Event])


def grouped(query: Query) -> None:
    """By one dimension an aggregation is a flat dict, by several an AggregationResult; the other terminals stay what they are."""
    flat = query.group_by(GroupBy.TIME, Interval.DAY)
    assert_type(flat.sum("tokens"), dict[str, float])
    assert_type(flat.count_distinct("users"), dict[str, float])
    assert_type(query.group_by("MODEL_ID").percentile("latency", 95), dict[str, float])
    assert_type(query.group_by((GroupBy.MODEL_ID,)).max("latency"), dict[str, float])
    both = query.group_by((GroupBy.TIME, "MODEL_ID"), Interval.DAY)
    assert_type(both.sum("tokens"), AggregationResult)
    assert_type(both.count_distinct("users"), AggregationResult)
    listed = query.group_by([GroupBy.TIME, GroupBy.MODEL_ID], Interval.DAY)
    assert_type(listed.mean("latency"), dict[str, float] | AggregationResult)
    assert_type(query.group_by(GroupBy.TIME, Interval.DAY).count(), EventCount)


async def awaiting(query: Query) -> None:
    """The awaiting twins give the same."""
    assert_type(await query.acount(), EventCount)
    assert_type(await query.aevents(), EventPage)
    assert_type(await query.asum("tokens"), float)
    assert_type(await query.aexport_and_wait("CSV", "a.csv"), ExportTask)
    assert_type(await query.acount_distinct("users"), int)
    assert_type(await query.group_by("MODEL_ID").asum("runs"), dict[str, float])
    both = GroupBy.TIME, GroupBy.MODEL_ID
    assert_type(await query.group_by(both, "DAY").amean("latency"), AggregationResult)
    assert_type(await Analytics.aquery().count(), EventCount)
    assert_type(await Analytics.aquery().where(status="failure").events(), EventPage)
    assert_type(await Analytics.aquery().sum("tokens"), float)
    assert_type(await Analytics.aquery().count_distinct("users"), int)
    assert_type(await Analytics.aquery().group_by("MODEL_ID").sum("tokens"), dict[str, float])
    assert_type(await Analytics.aquery().group_by(both, "DAY").sum("tokens"), AggregationResult)
    assert_type(await Analytics.aexport_task("ex_1"), ExportTask)
    assert_type([event async for event in query.aiter_events()], list[Event])


def look_ups() -> None:
    """Results of the look-ups, of Analytics and of a client."""
    assert_type(Analytics.trace("tr_1", kinds=[EventKind.FORM_RUN]), Trace)
    assert_type(Analytics.event("sp_1"), Event)
    assert_type(Analytics.run(Pipeline("pl_1"), run_id="r_1"), RunData)
    assert_type(Analytics.download_export("ex_1", "out.csv"), Download)


def clients() -> None:
    """A client takes its settings by name, is a context manager, and has the verbs of Analytics."""
    with Client("sk_x", "https://host/v1", timeout=5, retry=Retry(attempts=3)) as client:
        assert_type(client, Client)
        assert_type(client.query(), Query)
        assert_type(client.aquery(), AsyncQuery)
        assert_type(client.query().using(client), Query)
        assert_type(client.export_task("ex_1", timeout=5), ExportTask)
        assert_type(client.download_export("ex_1", Path("out.csv")).sha256, str)


def errors(error: AnalyticsExportFailed) -> None:
    """Errors carry typed attributes."""
    assert_type(error.task_id, str)
    assert_type(error.export_error, str)
    assert_type(error.request_id, str | None)


def data(query: Query) -> None:
    """A query is data."""
    assert_type(Query.from_dict(query.to_dict()), Query)
