"""One flow per terminal: its requests, their order, and what the responses mean. See `_calls.py` for how they run."""

from typing import Any, TypeVar

from msgspec.structs import replace

from vectorshift._bodies import error_message
from vectorshift._calls import Call, Flow, Pause, Read, Reply, answer, ask, error_from
from vectorshift.analytics import (
    _aggregates as aggregates,
    _answers as answers,
    _requests as requests,
    _results as results,
    _validation as check,
)
from vectorshift.analytics._enums import AggregationOp, EventKind, ExportFormat, choice
from vectorshift.analytics._operations import AggregationOperation, Percentile, operation
from vectorshift.analytics._plan import calendar_years, count_plans, plan
from vectorshift.analytics._results import (
    AggregationResult,
    DataTableResult,
    Event,
    EventCount,
    EventPage,
    ExportTask,
    RunData,
    Trace,
)
from vectorshift.analytics._spec import Spec, event_kinds, handle_of
from vectorshift.errors import (
    AnalyticsExportFailed,
    AnalyticsExportTimeout,
    AnalyticsInvalidQuery,
    AnalyticsRouteNotFound,
    AnalyticsTypeError,
    ApiTimeoutError,
)
from vectorshift.export_tasks import export_state, poll_intervals

T = TypeVar("T")

# --- counts, events, traces --------------------------------------------------


def count(spec: Spec) -> Flow[EventCount]:
    """One request; an OR of k alternatives takes 2**k - 1."""
    total = 0
    for sign, each in count_plans(spec):
        total += sign * (yield from ask(requests.count(each), answers.read_count))
    return {"count": total}


def events(spec: Spec, limit: int | None = None, offset: int | None = None) -> Flow[EventPage]:
    """One page of events."""
    return (yield from ask(_page(spec, limit, offset), answers.read_events))


def _page(spec: Spec, limit: int | None, offset: int | None) -> Call:
    """The request for one page; that for the query's own page is made once, as its plan is."""
    is_own = limit is None and offset is None
    made: Call | None = spec.plans.get("page") if is_own else None
    if made is None:
        size = spec.limit if limit is None else check.limit(limit)
        start = spec.offset if offset is None else check.offset(offset)
        made = requests.search(plan(spec, "search"), size, start)
        if is_own:
            spec.plans["page"] = made
    return made


def traces(spec: Spec, limit: int | None = None, offset: int | None = None) -> Flow[list[Trace]]:
    """One page of events, grouped by trace in the order in which traces first appear."""
    page = yield from events(spec, limit, offset)
    grouped: dict[str, list[Event]] = {}
    for each in page["events"]:
        grouped.setdefault(each.get("trace_id", ""), []).append(each)
    return [{"trace_id": trace_id, "events": members} for trace_id, members in grouped.items()]


# --- tables ------------------------------------------------------------------


def table_page(limit: int, offset: int) -> tuple[int, int]:
    """Return (page size, offset) of the smallest page that holds rows offset..offset+limit-1.

    The service pages tables by number, so an offset that is not a multiple of the limit needs a larger page, cut afterwards.
    Source: docs/contract.md A3 (pagination_config), D6.
    """
    size = limit
    while offset // size != (offset + limit - 1) // size:
        size += 1
    return size, offset // size * size


def table(
    spec: Spec,
    columns: Any,
    include_interface_data: bool = False,
    return_record_count: bool = False,
    limit: int | None = None,
    offset: int | None = None,
) -> Flow[DataTableResult]:
    """One page of a table."""
    if isinstance(columns, str):
        columns = [columns]
    if not isinstance(columns, (list, tuple)) or not columns:
        raise AnalyticsInvalidQuery(
            "table() needs a list of at least one column, for example [EventField.STATUS]."
        )
    size_limit = spec.limit if limit is None else check.limit(limit)
    start = spec.offset if offset is None else check.offset(offset)
    size, first = table_page(size_limit, start)
    encoded = [requests.column(each) for each in columns]
    body = requests.table_body(
        plan(spec, "table"),
        encoded,
        size,
        first,
        bool(include_interface_data),
        bool(return_record_count),
    )
    result = yield from ask(
        requests.table(body), answers.table_reader(encoded, counted=bool(return_record_count))
    )
    result["rows"] = result["rows"][start - first : start - first + size_limit]
    return result


# --- aggregations ------------------------------------------------------------


def raw_aggregate(
    spec: Spec, operations: Any, group_by: Any = None, interval: Any = None
) -> Flow[AggregationResult]:
    """Several operations in one request; `group_by` here replaces the query's own."""
    if isinstance(operations, (str, AggregationOperation)):
        operations = [operations]
    if not isinstance(operations, (list, tuple)) or not operations:
        raise AnalyticsInvalidQuery(
            "raw_aggregate() needs a list of at least one operation, for example ['runs.sum']."
        )
    chosen = tuple(dict.fromkeys(operation(each) for each in operations))
    if group_by is not None:
        spec = spec.grouped(group_by, interval)
    elif interval is not None:
        raise AnalyticsInvalidQuery(
            "raw_aggregate(interval=...) needs a group_by that contains GroupBy.TIME."
        )
    if not spec.dims and any(each.op is AggregationOp.MEAN for each in chosen):
        years = calendar_years(spec)
        if years and years[0] != years[1]:
            raise aggregates.spans_years("mean")
    dims = tuple(map(str, spec.dims))
    call = requests.aggregate(plan(spec, "aggregate"), chosen, dims, spec.interval)
    return (yield from ask(call, aggregates.reader(chosen, dims)))


def aggregate(spec: Spec, field: Any, op: AggregationOp | Percentile) -> Flow[Any]:
    """One operation: a number ungrouped, a flat dict with one dimension, an AggregationResult with more."""
    result = yield from raw_aggregate(spec, [AggregationOperation(field, op)])
    if len(spec.dims) > 1:
        return result
    if spec.dims:
        return aggregates.flat(result)
    return (
        aggregates.distinct(result)
        if op is AggregationOp.COUNT_DISTINCT
        else aggregates.scalar(result)
    )


def percentile(spec: Spec, field: Any, n: Any) -> Flow[Any]:
    """A percentile; both arguments are checked before anything else."""
    try:
        op = Percentile(n)
    except ValueError as error:
        raise AnalyticsInvalidQuery(f"{error}.") from None
    return (yield from aggregate(spec, field, op))


# --- exports -----------------------------------------------------------------


def export(spec: Spec, format: Any, file_name: Any) -> Flow[ExportTask]:
    """Create an export; it is tried again only where that cannot make two."""
    extension = choice(ExportFormat, format, "export format").value
    name = check.text(file_name, "file_name")
    body = requests.table_body(plan(spec, "table"), [], spec.limit, spec.offset, False, False)
    task = yield from ask(requests.export(body, extension, name), answers.read_task)
    return {"format": extension, "file_name": name} | task


def export_task(
    task_id: Any, total: float | None = None, *, failed_raises: bool = False
) -> Flow[ExportTask]:
    """Poll an export task; `total` caps the seconds of the poll."""
    identifier = check.identifier(task_id, "task_id")
    call = replace(requests.export_status(identifier), total=total)
    reply: Reply = yield call
    if reply.status == 404:
        raise _route_missing(call, reply, f"export task {identifier}")
    if not reply.ok:
        raise error_from(call, reply)

    def read(data: dict[str, Any], call: Call, reply: Reply) -> ExportTask:
        task: ExportTask = {"task_id": identifier} | answers.read_task(data, call, reply)
        if failed_raises and export_state(task) == "failed":
            raise AnalyticsExportFailed(
                identifier, task.get("error", ""), **answers.context(call, reply)
            )
        return task

    return answer(call, reply, read)


def export_and_wait(
    spec: Spec, format: Any, file_name: Any, timeout: float = 120, poll_interval: float = 1.0
) -> Flow[ExportTask]:
    """Create an export and poll it until it is ready, failed, or `timeout` seconds have passed.

    The wait between polls grows from `poll_interval` to five times that; the last one ends at the deadline.
    """
    limit = check.seconds(timeout, "timeout", positive=False)
    intervals = poll_intervals(check.seconds(poll_interval, "poll_interval", positive=True))
    task = yield from export(spec, format, file_name)
    now: float = yield Pause(0)
    deadline = now + limit
    while export_state(task) != "ready":
        task_id = task.get("task_id", "")
        if not task_id:
            raise AnalyticsExportFailed(
                "", "the service named neither a task id nor a download URL"
            )
        if now >= deadline:
            raise AnalyticsExportTimeout(task_id, limit)
        now = yield Pause(min(next(intervals), deadline - now))
        if now >= deadline:
            raise AnalyticsExportTimeout(task_id, limit)
        try:
            polled = yield from export_task(task_id, deadline - now, failed_raises=True)
        except ApiTimeoutError:
            if (yield Pause(0)) >= deadline:
                raise AnalyticsExportTimeout(task_id, limit) from None
            raise
        task = task | polled
        now = yield Pause(0)
    return task


# --- lookups -----------------------------------------------------------------


def _route_missing(call: Call, reply: Reply, label: str) -> AnalyticsRouteNotFound:
    message, raw = error_message(reply.body, reply.key)
    return AnalyticsRouteNotFound(
        f"{label} not found ({message or 'no reason given'})",
        raw_response=raw,
        **answers.context(call, reply),
    )


def _look_up(call: Call, label: str, read: Read[T]) -> Flow[T]:
    reply: Reply = yield call
    if reply.status == 404:
        raise _route_missing(call, reply, label)
    if not reply.ok:
        raise error_from(call, reply)

    def checked(data: dict[str, Any], call: Call, reply: Reply) -> T:
        if answers.lookup_failed(data):
            raise answers.not_found(label, data, call, reply)
        return read(data, call, reply)

    return answer(call, reply, checked)


def trace(trace_id: Any, event_ids: Any = None, kinds: Any = None) -> Flow[Trace]:
    """The whole tree of one trace, narrowed here to what was requested, whatever the service returned."""
    identifier = check.identifier(trace_id, "trace_id")
    ids = tuple(check.identifiers(event_ids, "event_ids"))
    if any("," in each for each in ids):
        raise AnalyticsInvalidQuery(
            "event_ids are joined by commas on the wire: request an id with a comma separately."
        )
    chosen = () if kinds is None else event_kinds(kinds)

    def read(data: dict[str, Any], call: Call, reply: Reply) -> Trace:
        page = answers.read_events(data, call, reply, "trace_id")["events"]
        answer_id = answers.get(data, "trace_id")
        narrowed = ids or chosen
        if not page and not (answer_id and narrowed):
            raise answers.not_found(f"trace {identifier}", data, call, reply)
        return {
            "trace_id": answer_id or identifier,
            "events": [each for each in page if _is_selected(each, ids, chosen)],
        }

    return (
        yield from _look_up(requests.trace(identifier, ids, chosen), f"trace {identifier}", read)
    )


def _is_selected(event: Event, ids: tuple[str, ...], kinds: tuple[EventKind, ...]) -> bool:
    if ids and event.get("span_id") not in ids:
        return False
    span_kind = event.get("span_kind") or ""
    return not kinds or any(
        span_kind == kind.value
        or (kind.value.endswith(".all") and span_kind.startswith(f"{kind.entity}."))
        for kind in kinds
    )


def event(event_id: Any, trace_id: Any = None) -> Flow[Event]:
    """One event by its id."""
    identifier = check.identifier(event_id, "event_id")
    scope = None if trace_id is None else check.identifier(trace_id, "trace_id")

    def read(data: dict[str, Any], call: Call, reply: Reply) -> Event:
        if data.get("event") is None:
            raise answers.not_found(f"event {identifier}", data, call, reply)
        return results.event(data["event"])

    return (yield from _look_up(requests.event(identifier, scope), f"event {identifier}", read))


def run(
    object: Any = None, object_type: Any = None, object_id: Any = None, run_id: Any = None
) -> Flow[RunData]:
    """Interface detail of one run."""
    if object is not None:
        if object_type is not None or object_id is not None:
            raise AnalyticsTypeError(
                "run() takes either object= or object_type= with object_id=, not both."
            )
        object_id, object_type = handle_of(object)
    if object_type is None or object_id is None:
        raise AnalyticsTypeError("run() needs object=, or both object_type= and object_id=.")
    identifier = check.identifier(run_id, "run_id")
    call = requests.run_data(
        check.identifier(object_id, "object_id"), check.text(object_type, "object_type"), identifier
    )

    def read(data: dict[str, Any], call: Call, reply: Reply) -> RunData:
        fields = answers.read_run(data, call, reply)
        if not fields:
            raise answers.not_found(f"run {identifier}", data, call, reply)
        return fields

    return (yield from _look_up(call, f"run {identifier}", read))
