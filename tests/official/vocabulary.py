"""The words of the public surface, and the data language in which `interpreter` reads a chain."""

from datetime import datetime
from typing import Any

Value = Any  # a JSON value of the chain language, see `interpreter`
Call = dict[str, Any]
Chain = dict[str, Any]

SCOPE_FIELDS = [
    "OBJECT_ID",
    "PARENT_EVENT_ID",
    "OBJECT_INFO",
    "EVENT_ID",
    "TRACE_ID",
    "SESSION_SOURCE",
    "SESSION_COLLECTION",
    "PROJECT_ID",
    "EXECUTION_ID",
]
TEXT_FIELDS = [
    "SOURCE",
    "STATUS",
    "EVENT_ATTRIBUTES",
    "CALLER",
    "INTERFACE_DATA",
    "INTERFACE_TYPE",
    "INTERFACE_NAME",
    "ERROR_MESSAGE",
    "SESSION_NAME",
    "SESSION_USERS",
    "SESSION_AI_SOURCE",
]
TIME_FIELDS = ("EVENT_START_TIME", "EVENT_END_TIME", "SESSION_LAST_MESSAGE_TIME")
AGGREGATE_ONLY = ("LATENCY", "MODEL_ID", "NODE_TYPE")
ALIASES = [
    "source",
    "status",
    "caller",
    "interface_type",
    "interface_name",
    "error_message",
    "session_name",
    "session_users",
]
SCOPE_ALIASES = ("trace_id", "session_source")
NAMES = {*ALIASES, *SCOPE_ALIASES, "event_start_time", "event_end_time"}
KINDS = {
    "pipeline": "ALL RUN BULK_RUN",
    "chatbot": "ALL RUN FILE_UPLOAD TERMINATE MESSAGE_LIKE FETCH_KB_DATA",
    "search": "ALL RUN CHAT_WITH_DOCS DOC_QNA MESSAGE_FEEDBACK TERMINATE FETCH_KB_DATA",
    "form": "ALL RUN CHAT",
    "voicebot": "ALL RUN",
    "bulkjob": "RUN FETCH_KB_DATA IO_NODES",
    "session": "ALL CREATE ADD_MESSAGE",
    "portal": "CREATE",
}
ALL_KINDS = [f"{e.upper()}_{variant}" for e, names in KINDS.items() for variant in names.split()]
MEASURES = [
    "runs",
    "tokens",
    "model_costs",
    "latency",
    "ai_credits",
    "errors",
    "node_latency",
    "feedback",
    "users",
    "start_time",
    "end_time",
    "create",
    "add_message",
]
SCALARS = ("sum", "mean", "min", "max", "count_distinct")
DIMENSIONS = ("TIME", "MODEL_ID", "PIPELINE_ID", "FEEDBACK_TYPE", "SEARCH_TYPE", "NODE_TYPE")
INTERVALS = ("HOUR", "DAY", "WEEK", "MONTH", "YEAR")
HANDLES = ("Pipeline", "Chatbot", "Agent", "Session", "Portal")
DUCKS = ("Form", "Search", "Voicebot", "Bulkjob", "Workflow")
OFFSETS = (0, 0, 0, 330, -480, 825, -210, 60)  # minutes east of UTC
WORDS = ("timeout", "quota exceeded", "a.*b", "naïve ☃", "1", 'say "no"', "a,b", "Größe 1/2")
AGGREGATIONS = (*SCALARS, "percentile", "raw_aggregate")


# --- the chain language ---


def moment(at: datetime) -> Value:
    """A datetime argument."""
    return {"datetime": at.isoformat()}


def member(name: str) -> Value:
    """An enum member such as `EventKind.FORM_RUN`."""
    return {"member": name}


def call(name: str, *args: Value, **kwargs: Value) -> Call:
    """A call of a public name, or of a method when it stands in a chain's `then`."""
    return {"call": name, "args": list(args), "kwargs": kwargs}


def compare(field: str, operator: str, value: Value) -> Value:
    """An operator on an EventField: `EventField.STATUS == value`."""
    return {"field": field, "operator": operator, "value": value}
