"""What the terminals return: TypedDicts with the reference page's names.

An event answers to every spelling of its keys (`span_start_time`, `start_time`, `startTime`), because the page, later
documentation and the wire differ; it stores the page's. Source: reference page "Types"; docs/contract.md A5, C.
"""

from collections.abc import Callable
from typing import Any, TypedDict

from vectorshift.analytics import _values as values


class Event(TypedDict, total=False):
    """One annotated event; all keys optional. Times are RFC3339 text, latencies milliseconds."""

    span_id: str
    parent_span_id: str
    trace_id: str
    span_kind: str
    span_start_time: str
    span_end_time: str
    status: str
    object_id: str
    error_message: str
    interface_type: str
    interface_name: str
    model_id: str
    node_type: str
    latency: float
    node_latency: float
    object_info: dict[str, Any]
    span_attributes: dict[str, Any]
    interface_data: dict[str, Any]
    source: str
    caller: Any
    session_name: str
    session_users: list[str]
    session_source: str
    session_collection: str
    session_ai_source: str
    project_id: str
    execution_id: str


class PaginationMeta(TypedDict, total=False):
    """Where a page lies; `total_records` counts every matching event."""

    results_per_page: int
    page_number: int
    offset: int
    total_records: int


class _EventPageRequired(TypedDict):
    events: list[Event]


class EventPage(_EventPageRequired, total=False):
    """One page of events."""

    pagination_meta: PaginationMeta


class EventCount(TypedDict):
    """The number of matching events."""

    count: int


class _AggregationBucketRequired(TypedDict):
    label: str


class AggregationBucket(_AggregationBucketRequired, total=False):
    """One slice; `nested` holds the slices of the next dimension, `value` is absent when the service gave none."""

    value: float
    nested: list["AggregationBucket"]


class AggregationResult(TypedDict):
    """One outer bucket per operation, labelled `<field>_<op>`, with one nested level per dimension."""

    buckets: list[AggregationBucket]


class _DataTableRowRequired(TypedDict):
    values: dict[str, Any]


class DataTableRow(_DataTableRowRequired, total=False):
    """One row: column label to cell; `interface_data` when it was requested."""

    interface_data: Any


class _DataTableResultRequired(TypedDict):
    rows: list[DataTableRow]
    columns: list[dict[str, str]]


class DataTableResult(_DataTableResultRequired, total=False):
    """A flat table; `total_records` when `return_record_count=True`."""

    total_records: int


class Trace(TypedDict):
    """The events of one trace."""

    trace_id: str
    events: list[Event]


class RunData(TypedDict, total=False):
    """Interface detail of one run; exactly one key is present."""

    chatbot: dict[str, Any]
    search: dict[str, Any]
    form: dict[str, Any]
    voicebot: dict[str, Any]
    session: dict[str, Any]


class ExportTask(TypedDict, total=False):
    """A server-side export. `task_status` is pending, ready or failed. `download_url` is a secret: do not log or store it."""

    task_id: str
    status: str
    task_status: str
    download_url: str
    format: str
    file_name: str
    error: str


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


_ALTERNATES = {
    "span_start_time": ("start_time",),
    "span_end_time": ("end_time",),
    "error_message": ("status_message",),
}
CANONICAL: dict[str, str] = {
    spelling: name
    for name in Event.__annotations__
    for base in (name, *_ALTERNATES.get(name, ()))
    for spelling in (base, _camel(base))
}


_OTHER_SPELLINGS = frozenset(spelling for spelling, name in CANONICAL.items() if spelling != name)


class EventDict(dict[str, Any]):
    """An event as stored under the page's names, found under every spelling."""

    __slots__ = ()

    def __missing__(self, key: str) -> Any:
        name = CANONICAL.get(key)
        if name is not None and name != key:
            return self[name]
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self, key) or dict.__contains__(self, CANONICAL.get(key, key))  # type: ignore[call-overload]  # any object may be looked up

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value under any spelling of `key`, or `default`."""
        return (
            dict.get(self, key)
            if dict.__contains__(self, key)
            else dict.get(self, CANONICAL.get(key, key), default)
        )


def event(raw: dict[str, Any]) -> Event:
    """Read one event from the wire: page names, lower-case status; keys inside its objects are the user's and stay.

    Empty text is not a number or a time, and neither is the zero time that marks the end of a run in progress.
    Source: docs/contract.md A5 (Event), C (status case).
    """
    if _OTHER_SPELLINGS.isdisjoint(raw) and None not in raw.values():
        event_fields = EventDict(raw)
    else:
        event_fields = EventDict()
        for key, value in raw.items():
            if value is not None:
                event_fields[CANONICAL.get(key, key)] = value
    status = stored(event_fields, "status")
    if isinstance(status, str):
        event_fields["status"] = status.lower()
    for name in ("span_id", "trace_id", "parent_span_id"):
        item = stored(event_fields, name)
        if item is not None and type(item) is not str:
            event_fields[name] = values.identifier(item, name)
    for name in ("latency", "node_latency"):
        item = stored(event_fields, name)
        if item == "":
            del event_fields[name]
        elif item is not None:
            event_fields[name] = float(values.number(item, name))
    for name in ("span_start_time", "span_end_time"):
        item = stored(event_fields, name)
        if isinstance(item, str):
            _read_time(event_fields, name, item)
    return event_fields  # type: ignore[return-value]  # a dict with the TypedDict's keys


stored: Callable[..., Any] = dict.get
"""A value under the very key, past the spellings that `EventDict.get` tries."""


def _read_time(fields: EventDict, name: str, text: str) -> None:
    if not text or (name == "span_end_time" and values.is_zero_time(text)):
        del fields[name]
    elif (spelled := spelled_time(text)) is not text:
        fields[name] = spelled


def spelled_time(text: str) -> str:
    """A time as `datetime.fromisoformat` reads it, which takes no lower-case letters."""
    return text.upper() if text[-1] == "z" or text[10:11] == "t" else text
