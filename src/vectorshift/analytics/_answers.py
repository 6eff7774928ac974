"""Answers off the wire, read tolerantly: both key cases, numbers as text, missing parts (docs/contract.md A5, A6).

Aggregations have a module of their own, `_aggregates.py`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from vectorshift._bodies import error_message
from vectorshift._calls import Call, Reply
from vectorshift.analytics import _results as results, _values as values
from vectorshift.analytics._filters import EventField
from vectorshift.analytics._tabular import Events, Rows, SecretTask
from vectorshift.errors import (
    AnalyticsError,
    AnalyticsExportFailed,
    AnalyticsNotFound,
    AnalyticsRequestFailed,
)
from vectorshift.export_tasks import task_state

JSON = dict[str, Any]


def get(data: Mapping[str, Any], name: str) -> Any:
    """Return a value under its snake_case or camelCase name."""
    value = data.get(name)
    return data.get(results._camel(name)) if value is None else value


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


_PAYLOADS = ("count", "events", "rows", "result", "task_id", "event", "trace_id")
"""What answers hold, each kind its own: none of them is the answer to another question."""


def succeeded(data: JSON, call: Call, reply: Reply, *payload: str) -> None:
    """Raise `AnalyticsRequestFailed` when a 200 says that it failed, ValueError when it says nothing that we know.

    Proto-JSON leaves zeros and empty lists out, so that an answer may lack its payload. One that has another answer's
    in its place is no zero: a proxy mixed them up.
    """
    if _failed(data):
        raise AnalyticsRequestFailed(_reason(data, reply), **context(call, reply))
    if any(get(data, name) is not None for name in payload):
        return
    if data.get("status") is None:
        raise ValueError(f"it has neither a status nor {payload[0]}")
    for other in _PAYLOADS:
        if get(data, other):
            raise ValueError(f"it has {other} and no {payload[0]}, so it answers another request")


def read_count(data: JSON, call: Call, reply: Reply) -> int:
    """Read the number; proto-JSON leaves a zero out."""
    succeeded(data, call, reply, "count")
    count = data.get("count")
    number = 0 if count is None else values.integer(count, "count")
    if number < 0:
        raise ValueError(f"count is {number}, not a number of events")
    return number


def _list(data: JSON, name: str) -> list[Any]:
    items = get(data, name) or []
    if not isinstance(items, list):
        raise ValueError(f"{name} is not a list")
    return items


def read_events(data: JSON, call: Call, reply: Reply, *marks: str) -> results.EventPage:
    """Read one page of events; `marks` are what tells a page without events from another answer."""
    succeeded(data, call, reply, "events", *marks)
    events = _list(data, "events")
    for place, each in enumerate(events):  # in place, so that no page is held twice
        events[place] = results.event(each)
    answer: results.EventPage = Events(events=events)  # type: ignore[assignment]  # a dict with its keys
    meta = get(data, "pagination_meta")
    if isinstance(meta, dict):
        fields = {name: get(meta, name) for name in results.PaginationMeta.__annotations__}
        answer["pagination_meta"] = {
            n: values.integer(v, n) for n, v in fields.items() if v is not None
        }  # type: ignore[typeddict-item]  # its keys
    return answer


def table_reader(
    columns: list[JSON], *, counted: bool
) -> Callable[[JSON, Call, Reply], results.DataTableResult]:
    """Return the reader of one page of a table of `columns`, in which `total_records` was requested if `counted`.

    Rows come as `cells` or as `values`. Ids, times and the status are read as those of an event.
    """
    readers = {
        column["column_label"]: _CELLS[column["column_type"]]
        for column in columns
        if column["column_type"] in _CELLS
    }

    def read(data: JSON, call: Call, reply: Reply) -> results.DataTableResult:
        succeeded(data, call, reply, "rows")
        answer: results.DataTableResult = Rows(  # type: ignore[assignment]  # a dict with its keys
            rows=[_read_row(each, readers) for each in _list(data, "rows")],
            columns=[_read_column(each) for each in _list(data, "columns")],
        )
        total = get(data, "total_records")
        if total is not None:
            answer["total_records"] = values.integer(total, "total_records")
        elif counted and not answer["rows"]:
            answer["total_records"] = 0  # which proto-JSON leaves out
        return answer

    return read


def _read_column(raw: JSON) -> dict[str, str]:
    name, kind = get(raw, "column_label"), get(raw, "column_type")
    return raw if name is None else raw | {"name": name, "type": kind or ""}


def _read_row(raw: JSON, readers: Mapping[str, Callable[[str, Any], Any]]) -> results.DataTableRow:
    cells = raw.get("values")
    if not isinstance(cells, dict):
        cells = {
            get(each, "column_label") or "": _read_cell(each) for each in raw.get("cells") or ()
        }
    for label, read in readers.items():
        if cells.get(label) is not None:
            cells[label] = read(label, cells[label])
    row: results.DataTableRow = {"values": cells}
    interface = get(raw, "interface_data")
    if interface is not None:
        row["interface_data"] = interface
    return row


def _read_cell(cell: JSON) -> Any:
    for name in ("string_value", "number_value", "bool_value"):
        value = get(cell, name)
        if value is not None:
            return values.number(value, "a number_value") if name == "number_value" else value
    return None


def _time_cell(label: str, text: Any) -> str | None:
    if text == "":
        return None
    values.moment(text, label)
    return results.spelled_time(text)


def _end_cell(label: str, text: Any) -> str | None:
    if isinstance(text, str) and values.is_zero_time(text):
        return None
    return _time_cell(label, text)


_CELLS: dict[str, Callable[[str, Any], Any]] = {
    EventField.EVENT_ID.value: lambda label, value: values.identifier(value, label),
    EventField.STATUS.value: lambda _, value: value.lower() if isinstance(value, str) else value,
    EventField.EVENT_START_TIME.value: _time_cell,
    EventField.EVENT_END_TIME.value: _end_cell,
    EventField.SESSION_LAST_MESSAGE_TIME.value: _end_cell,
}


def read_run(data: JSON, call: Call, reply: Reply) -> results.RunData:
    """Read the interface detail of a run."""
    succeeded(data, call, reply, "result")
    fields = data.get("result") or {}
    return {name: each for name, each in fields.items() if each is not None}  # type: ignore[return-value]  # RunData's keys


def read_task(data: JSON, call: Call, reply: Reply) -> results.ExportTask:
    """Read an export task, created or looked up. A failed task looked up is an answer; a failed creation raises."""
    task: results.ExportTask = SecretTask()  # type: ignore[assignment]  # a dict with its keys
    for name in results.ExportTask.__annotations__:
        value = get(data, name)
        if value is not None:
            task[name] = str(value)  # type: ignore[literal-required]  # a key of ExportTask
    if "task_id" in task:
        task["task_id"] = values.identifier(get(data, "task_id"), "task_id").strip()
    status = task_state(task["task_status"]) if task.get("task_status") else ""
    response = (task.get("status") or "").lower()
    if response in ("pending", "ready") and not status:
        status = response
    if status:
        task["task_status"] = status
    if not (response or status or task):
        raise ValueError("it has nothing of an export task")
    nothing = not (status or task.get("task_id") or task.get("download_url"))
    if not status and (_failed(data) or (nothing and call.method == "GET")):
        reason = _reason(data, reply)
        if call.method == "POST":
            raise AnalyticsExportFailed(task.get("task_id", ""), reason, **context(call, reply))
        raise AnalyticsNotFound(
            f"export task not found: {reason or 'no reason given'}", **context(call, reply)
        )
    if call.method == "POST" and status == "failed":
        raise AnalyticsExportFailed(
            task.get("task_id", ""), task.get("error", ""), **context(call, reply)
        )
    return task


def not_found(label: str, data: JSON, call: Call, reply: Reply) -> AnalyticsError:
    """The error of a lookup that a 200 answers with a failure."""
    return AnalyticsNotFound(_reason(data, reply) or f"{label} not found", **context(call, reply))


def lookup_failed(data: JSON) -> bool:
    """Whether a lookup's response says that the resource does not exist."""
    return _failed(data)
