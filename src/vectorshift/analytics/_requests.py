"""Requests on the wire: paths, JSON names, enum spellings, times. Exactly docs/contract.md A, nothing else goes out."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from vectorshift._calls import Call
from vectorshift.analytics._enums import (
    AggregationOp,
    EventKind,
    FieldFilterOp,
    FieldOp,
    Interval,
    nearest,
)
from vectorshift.analytics._filters import EventField, FieldFilter, Filter
from vectorshift.analytics._literals import shown
from vectorshift.analytics._operations import AggregationOperation, Percentile
from vectorshift.analytics._plan import Plan
from vectorshift.errors import AnalyticsInvalidQuery, AnalyticsTypeError

JSON = dict[str, Any]
_EQUAL = FieldOp.EQ.value
_INCLUDES, _OBJECT_ID = FieldFilterOp.INCLUDES, EventField.OBJECT_ID


def rfc3339(moment: datetime) -> str:
    """Return the time as RFC3339: `Z` for UTC, other whole-minute offsets kept. Source: docs/contract.md A3."""
    if moment.tzinfo is UTC:
        return f"{datetime.isoformat(moment)[:-6]}Z"
    offset = moment.utcoffset()
    if offset is None or offset % timedelta(minutes=1):
        moment = moment.astimezone(UTC)
    return re.sub(r"\+00:00$", "Z", datetime.isoformat(moment))


def value(raw: Any) -> JSON:
    """Return a typed value; the order matters because a bool is an int."""
    if isinstance(raw, str):
        return {"string_value": raw}
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
    if not isinstance(each.value, tuple):
        return _equality(each.column, each.value)
    if len(each.value) == 1:
        return _equality(each.column, each.value[0])
    return {
        "column_name": each.column.value,
        "value": value(",".join(map(str, each.value))),
        "operator": FieldOp.IN.value,
    }


def _equality(column: EventField, raw: Any) -> JSON:
    return {"column_name": column._value_, "value": value(raw), "operator": _EQUAL}


def data_filter(each: FieldFilter) -> JSON:
    """Return one entry of `table_filters`."""
    if each.op is _INCLUDES:
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
            "column": each.column._value_,
            "value": value(each.value),
            "operation": each.op._value_,
        }
    }


def common(plan: Plan) -> JSON:
    """Return the common request body, which is the plan's own: read it only. Source: docs/contract.md A3."""
    if not plan.body:
        plan.body.update(_common(plan))
    return plan.body


def _common(plan: Plan) -> JSON:
    body: JSON = {}
    if plan.kinds:
        body["span_type"] = [kind.wire for kind in plan.kinds]
    filters = [scope_filter(each) for each in plan.scope]
    if plan.object_id is not None:
        filters.insert(0, _equality(_OBJECT_ID, plan.object_id))
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
    """POST /analytics/aggregations. Without dimensions the engine needs a YEAR slice. Source: docs/contract.md A4."""
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
    """Return one column of a table. A label or wire name of a known field means that field. Source: docs/contract.md A4."""
    if isinstance(each, EventField):
        return {"column_label": each.label, "column_type": each.value}
    if not isinstance(each, str) or not each.strip():
        raise AnalyticsTypeError(f"a column is an EventField or its name, not {shown(each)}.")
    for field in EventField:
        if each.lower() in (field.label, field.value.lower()):
            return {"column_label": each, "column_type": field.value}
    raise AnalyticsInvalidQuery(
        f"{shown(each)} is not a column.{nearest(each, [f.label for f in EventField])}"
    )


def export(data_table: JSON, extension: str, file_name: str) -> Call:
    """POST /analytics/exports; the only call that may not be repeated blindly."""
    body = {"data_table": data_table, "extension": extension, "file_name": file_name}
    return Call("POST", "/analytics/exports", "/analytics/exports", body=body, repeatable=False)


def export_status(task_id: str) -> Call:
    """GET /analytics/exports/{task_id}"""
    return _get("/analytics/exports/{task_id}", task_id)


def trace(trace_id: str, event_ids: tuple[str, ...], kinds: tuple[EventKind, ...]) -> Call:
    """GET /analytics/traces/{trace_id}; kinds go out as entity names and are filtered exactly on the way in."""
    query = (("event_ids", ",".join(event_ids)), ("kinds", ",".join(kind.entity for kind in kinds)))
    return _get("/analytics/traces/{trace_id}", trace_id, query)


def event(event_id: str, trace_id: str | None) -> Call:
    """GET /analytics/events/{event_id}"""
    return _get("/analytics/events/{event_id}", event_id, (("trace_id", trace_id or ""),))


_OBJECT_TYPES = {
    name: name.capitalize()
    for name in ("pipeline", "chatbot", "form", "search", "voicebot", "agent")
}


def run_data(object_id: str, object_type: str, run_id: str) -> Call:
    """POST /analytics/run-data; the six object types in Pascal case, others verbatim. Source: docs/contract.md A4."""
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
