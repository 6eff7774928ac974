"""Every encoding and decoding of the wire, except aggregation answers (`_aggregates.py`): paths, JSON names, times.

What goes out is exactly CONTRACT.md A; what comes in is read tolerantly: both key cases, numbers as text, missing parts.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from vectorshift.analytics import _results as results
from vectorshift.analytics._calls import Call, Reply
from vectorshift.analytics._enums import AggregationOp, EventKind, FieldFilterOp, FieldOp, Interval
from vectorshift.analytics._fields import EventField
from vectorshift.analytics._filters import FieldFilter, Filter
from vectorshift.analytics._operations import AggregationOperation, Percentile
from vectorshift.analytics._plan import Plan
from vectorshift.errors import (
    AnalyticsError,
    AnalyticsExportFailed,
    AnalyticsInvalidQuery,
    AnalyticsNotFound,
    AnalyticsRequestFailed,
    AnalyticsTypeError,
    redact,
)

JSON = dict[str, Any]

# --- out ---------------------------------------------------------------------


def rfc3339(moment: datetime) -> str:
    """Return the time as RFC3339: `Z` for UTC, other whole-minute offsets kept. Source: CONTRACT.md A3."""
    offset = moment.utcoffset()
    if offset is None or offset % timedelta(minutes=1):
        moment = moment.astimezone(UTC)
    return re.sub(r"\+00:00$", "Z", datetime.isoformat(moment))


def value(raw: Any) -> JSON:
    """Return a typed value; the order matters because a bool is an int."""
    if isinstance(raw, bool):
        return {"bool_value": raw}
    if isinstance(raw, int):
        return {"int_value": raw}
    if isinstance(raw, float):
        return {"float_value": raw}
    if isinstance(raw, datetime):
        return {"timestamp": rfc3339(raw)}
    return {"string_value": str(raw)}


def scope_filter(each: Filter) -> JSON:
    """Return one entry of `filters`; IN is one comma-joined text, and IN of one value is an equality."""
    values = each.value if isinstance(each.value, tuple) else (each.value,)
    operator = FieldOp.EQ if len(values) == 1 else FieldOp.IN
    joined = value(values[0]) if len(values) == 1 else value(",".join(str(v) for v in values))
    return {"column_name": each.column.value, "value": joined, "operator": operator.value}


def data_filter(each: FieldFilter) -> JSON:
    """Return one entry of `table_filters`."""
    if each.op is FieldFilterOp.INCLUDES:
        values = [value(raw) for raw in each.value]
        return {
            "compound_op": {
                "column": each.column.value,
                "values": values,
                "operation": each.op.value,
            }
        }
    return {
        "basic_op": {
            "column": each.column.value,
            "value": value(each.value),
            "operation": each.op.value,
        }
    }


def common(plan: Plan) -> JSON:
    """Return the common request body. Source: CONTRACT.md A3."""
    body: JSON = {}
    if plan.kinds:
        body["span_type"] = [kind.wire for kind in plan.kinds]
    filters = [scope_filter(each) for each in plan.scope]
    if plan.object_id is not None:
        filters.insert(0, scope_filter(Filter.eq(EventField.OBJECT_ID, plan.object_id)))
    if filters:
        body["filters"] = filters
    if plan.data:
        body["table_filters"] = [data_filter(each) for each in plan.data]
    if plan.start is not None:
        body["start_time"] = rfc3339(plan.start)
    if plan.end is not None:
        body["end_time"] = rfc3339(plan.end)
    if plan.any_of:
        body["operator"] = "OR"
    return body


def page(limit: int, offset: int) -> JSON:
    """Return `pagination_config`."""
    return {"results_per_page": limit, "page_number": offset // limit + 1, "offset": offset}


def count(plan: Plan) -> Call:
    """POST /analytics/events/count"""
    return _post("/analytics/events/count", common(plan))


def search(plan: Plan, limit: int, offset: int) -> Call:
    """POST /analytics/events/search"""
    return _post(
        "/analytics/events/search", common(plan) | {"pagination_config": page(limit, offset)}
    )


def aggregate(
    plan: Plan,
    operations: tuple[AggregationOperation, ...],
    dims: tuple[str, ...],
    interval: Interval | None,
) -> Call:
    """POST /analytics/aggregations. Without dimensions the engine needs a YEAR slice. Source: CONTRACT.md A4."""
    slice_unit: JSON = (
        {"slice_units": list(dims)} if dims else {"slice_units": ["TIME"], "interval": "YEAR"}
    )
    if dims and interval is not None:
        slice_unit["interval"] = interval.value
    encoded = [{"field": str(op.field).upper(), "operator": _operator(op)} for op in operations]
    return _post(
        "/analytics/aggregations",
        common(plan) | {"aggregation_operations": encoded, "slice_unit": slice_unit},
    )


def _operator(operation: AggregationOperation) -> JSON:
    if isinstance(operation.op, Percentile):
        return {"percentile": {"percentile": operation.op.n}}
    return {AggregationOp(operation.op).value: {}}


def table_body(
    plan: Plan, columns: list[JSON], limit: int, offset: int, interface: bool, totals: bool
) -> JSON:
    """Return a table request; an export carries one inside."""
    return common(plan) | {
        "columns": columns,
        "pagination_config": page(limit, offset),
        "include_interface_data": interface,
        "return_record_count": totals,
    }


def table(body: JSON) -> Call:
    """POST /analytics/tables"""
    return _post("/analytics/tables", body)


def column(each: Any) -> JSON:
    """Return one column of a table. A label or wire name of a known field means that field. Source: CONTRACT.md A4."""
    if isinstance(each, EventField):
        return {"column_label": each.label, "column_type": each.value}
    if not isinstance(each, str) or not each.strip():
        raise AnalyticsTypeError(f"a column is an EventField or its name, not {each!r}.")
    for field in EventField:
        if each.lower() in (field.label, field.value.lower()):
            return {"column_label": each, "column_type": field.value}
    from vectorshift.analytics._enums import nearest

    raise AnalyticsInvalidQuery(
        f"{each!r} is no column.{nearest(each, [f.label for f in EventField])}"
    )


def export(data_table: JSON, extension: str, file_name: str) -> Call:
    """POST /analytics/exports; the only call that may not be repeated blindly."""
    body = {"data_table": data_table, "extension": extension, "file_name": file_name}
    return Call("POST", "/analytics/exports", "/analytics/exports", body=body, repeatable=False)


def export_status(task_id: str) -> Call:
    """GET /analytics/exports/{task_id}"""
    return _get("/analytics/exports/{task_id}", task_id)


def trace(trace_id: str, event_ids: tuple[str, ...], kinds: tuple[EventKind, ...]) -> Call:
    """GET /analytics/traces/{trace_id}; kinds go out as entity words and are filtered exactly on the way in."""
    query = (("event_ids", ",".join(event_ids)), ("kinds", ",".join(kind.entity for kind in kinds)))
    return _get("/analytics/traces/{trace_id}", trace_id, query)


def event(event_id: str, trace_id: str | None) -> Call:
    """GET /analytics/events/{event_id}"""
    return _get("/analytics/events/{event_id}", event_id, (("trace_id", trace_id or ""),))


_OBJECT_TYPES = {
    word: word.capitalize()
    for word in ("pipeline", "chatbot", "form", "search", "voicebot", "agent")
}


def run_data(object_id: str, object_type: str, run_id: str) -> Call:
    """POST /analytics/run-data; the six object types in Pascal case, others verbatim. Source: CONTRACT.md A4."""
    kind = _OBJECT_TYPES.get(object_type.lower(), object_type)
    body = {"interface": {"object_id": object_id, "object_type": kind}, "run_identifier": run_id}
    return _post("/analytics/run-data", body)


def _post(path: str, body: JSON) -> Call:
    return Call("POST", path, path, body=body)


def _get(template: str, identifier: str, query: tuple[tuple[str, str], ...] = ()) -> Call:
    quoted = quote(identifier, safe="")
    if not identifier.strip("."):  # "." and ".." are steps in a path, not names
        quoted = "%2E" * len(identifier)
    path = re.sub(r"\{\w+\}", lambda _: quoted, template)
    return Call("GET", path, template, query=tuple((name, text) for name, text in query if text))


# --- in ----------------------------------------------------------------------


def decode(body: bytes) -> Any:
    """Parse a JSON body strictly; ValueError for anything else, an object missing included."""
    import msgspec

    if not body.strip():
        raise ValueError("it is empty")
    try:
        data = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(data, dict):
        raise ValueError(f"it is a JSON {type(data).__name__}, not an object")
    return data


def error_message(body: bytes, key: str) -> tuple[str, str]:
    """Return what an error body says, and its start for debugging; both without secrets. Source: CONTRACT.md A6."""
    import msgspec

    raw = redact(body[:4000].decode("utf-8", "replace"), key)
    try:
        data = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return " ".join(raw[:300].split()), raw
    if not isinstance(data, dict):
        return " ".join(raw[:300].split()), raw
    for name in ("error", "message", "detail", "errors"):
        found = data.get(name)
        if isinstance(found, dict):
            found = found.get("message") or found
        if isinstance(found, list):
            found = "; ".join(map(str, found))
        if found:
            return redact(str(found), key), raw
    return " ".join(raw[:300].split()), raw


def get(data: Mapping[str, Any], name: str) -> Any:
    """Return a value under its snake_case or camelCase name."""
    found = data.get(name)
    return data.get(results._camel(name)) if found is None else found


def whole(raw: Any) -> int:
    """Read an integer that may come as text; never through a float, which would lose digits beyond 2**53."""
    if isinstance(raw, str):
        raw = int(raw)
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise ValueError(f"{raw!r} is no whole number")
    return raw


def context(call: Call, reply: Reply) -> JSON:
    """The request's part of an error."""
    return {
        "method": call.method,
        "endpoint": call.template,
        "status_code": reply.status,
        "request_id": reply.request_id,
    }


def _reason(data: JSON, reply: Reply) -> str:
    return (
        error_message(reply.body, reply.key)[0]
        if any(data.get(k) for k in ("error", "message", "detail"))
        else ""
    )


def _failed(data: JSON) -> bool:
    status = data.get("status")
    return status is not None and str(status).lower() != "success"


def succeeded(data: JSON, call: Call, reply: Reply, *payload: str) -> None:
    """Raise `AnalyticsRequestFailed` when a 200 says that it failed, ValueError when it says nothing that we know."""
    if _failed(data):
        raise AnalyticsRequestFailed(_reason(data, reply), **context(call, reply))
    if data.get("status") is None and all(get(data, name) is None for name in payload):
        raise ValueError(f"it has neither a status nor {payload[0]}")


def read_count(data: JSON, call: Call, reply: Reply) -> int:
    """Read the number; proto-JSON leaves a zero out."""
    succeeded(data, call, reply, "count")
    return whole(data.get("count", 0))


def _list(data: JSON, name: str) -> list[Any]:
    found = get(data, name) or []
    if not isinstance(found, list):
        raise ValueError(f"{name} is no list")
    return found


def read_events(data: JSON, call: Call, reply: Reply) -> results.EventPage:
    """Read one page of events."""
    succeeded(data, call, reply, "events")
    answer: results.EventPage = {"events": [results.event(each) for each in _list(data, "events")]}
    meta = get(data, "pagination_meta")
    if isinstance(meta, dict):
        known = {name: get(meta, name) for name in results.PaginationMeta.__annotations__}
        answer["pagination_meta"] = {n: whole(v) for n, v in known.items() if v is not None}  # type: ignore[typeddict-item]  # its keys
    return answer


def read_table(data: JSON, call: Call, reply: Reply) -> results.DataTableResult:
    """Read one page of a table: rows as `cells` or as `values`."""
    succeeded(data, call, reply, "rows")
    columns = [_read_column(each) for each in _list(data, "columns")]
    answer: results.DataTableResult = {
        "rows": [_read_row(each) for each in _list(data, "rows")],
        "columns": columns,
    }
    total = get(data, "total_records")
    if total is not None:
        answer["total_records"] = whole(total)
    return answer


def _read_column(raw: JSON) -> dict[str, str]:
    name, kind = get(raw, "column_label"), get(raw, "column_type")
    return raw if name is None else raw | {"name": name, "type": kind or ""}


def _read_row(raw: JSON) -> results.DataTableRow:
    values = raw.get("values")
    if not isinstance(values, dict):
        values = {
            get(cell, "column_label") or "": _read_cell(cell) for cell in raw.get("cells") or ()
        }
    row: results.DataTableRow = {"values": values}
    interface = get(raw, "interface_data")
    if interface is not None:
        row["interface_data"] = interface
    return row


def _read_cell(cell: JSON) -> Any:
    for name in ("string_value", "number_value", "bool_value"):
        found = get(cell, name)
        if found is not None:
            return float(found) if name == "number_value" and isinstance(found, str) else found
    return None


def read_run(data: JSON, call: Call, reply: Reply) -> results.RunData:
    """Read the interface detail of a run."""
    succeeded(data, call, reply, "result")
    found = data.get("result") or {}
    return {name: each for name, each in found.items() if each is not None}  # type: ignore[return-value]  # RunData's keys


def read_task(data: JSON, call: Call, reply: Reply) -> results.ExportTask:
    """Read an export task, created or looked up. A failed task looked up is an answer; a failed creation raises."""
    task: results.ExportTask = {}
    for name in results.ExportTask.__annotations__:
        found = get(data, name)
        if found is not None:
            task[name] = str(found)  # type: ignore[literal-required]  # a key of ExportTask
    told = (task.get("task_status") or "").lower()
    response = (task.get("status") or "").lower()
    if response in ("pending", "ready") and not told:
        told = response
    if told:
        task["task_status"] = told
    if not (response or told or task):
        raise ValueError("it has nothing of an export task")
    if _failed(data) and not told:
        reason = _reason(data, reply)
        if call.method == "POST":
            raise AnalyticsExportFailed(task.get("task_id", ""), reason, **context(call, reply))
        raise AnalyticsNotFound(
            f"export task not found: {reason or 'no reason given'}", **context(call, reply)
        )
    if call.method == "POST" and told == "failed":
        raise AnalyticsExportFailed(
            task.get("task_id", ""), task.get("error", ""), **context(call, reply)
        )
    return task


def not_found(what: str, data: JSON, call: Call, reply: Reply) -> AnalyticsError:
    """The error of a lookup that a 200 answers with a failure."""
    return AnalyticsNotFound(_reason(data, reply) or f"{what} not found", **context(call, reply))


def lookup_failed(data: JSON) -> bool:
    """Whether a lookup's answer says that there is no such thing."""
    return _failed(data)
