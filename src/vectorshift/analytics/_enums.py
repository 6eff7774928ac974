"""The closed vocabularies of the Analytics API, and `choice`, which reads one from what a user wrote.

Source: reference page "Enums"; wire values from docs/contract.md A7.
"""

from enum import Enum, StrEnum
from functools import cache, lru_cache
from typing import Any, TypeVar

from vectorshift.analytics._literals import plain, shown
from vectorshift.errors import AnalyticsInvalidQuery

E = TypeVar("E", bound=Enum)


class AggregationField(StrEnum):
    """What an aggregation measures. Latencies are milliseconds, costs are US dollars (docs/contract.md F)."""

    RUNS = "runs"
    TOKENS = "tokens"
    MODEL_COSTS = "model_costs"
    LATENCY = "latency"
    AI_CREDITS = "ai_credits"
    ERRORS = "errors"
    NODE_LATENCY = "node_latency"
    FEEDBACK = "feedback"
    USERS = "users"
    START_TIME = "start_time"
    END_TIME = "end_time"
    CREATE = "create"
    ADD_MESSAGE = "add_message"


class AggregationOp(StrEnum):
    """How it is reduced. Percentiles carry a number: use `Percentile(n)`."""

    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    COUNT_DISTINCT = "count_distinct"


class GroupBy(StrEnum):
    """A dimension to slice by. `TIME` needs an `Interval`."""

    TIME = "TIME"
    MODEL_ID = "MODEL_ID"
    PIPELINE_ID = "PIPELINE_ID"
    FEEDBACK_TYPE = "FEEDBACK_TYPE"
    SEARCH_TYPE = "SEARCH_TYPE"
    NODE_TYPE = "NODE_TYPE"


class Interval(StrEnum):
    """The width of a `GroupBy.TIME` bucket."""

    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    YEAR = "YEAR"


class EventStatus(StrEnum):
    """The state of an event."""

    SUCCESS = "success"
    FAILURE = "failure"
    IN_PROGRESS = "in_progress"


class ExportFormat(StrEnum):
    """The file format of an export."""

    JSON = "JSON"
    CSV = "CSV"
    XLSX = "XLSX"


class FieldOp(StrEnum):
    """Operators of a scope `Filter`."""

    EQ = "OPERATOR_EQUAL"
    IN = "OPERATOR_IN"


class FieldFilterOp(StrEnum):
    """Operators of a data `FieldFilter`."""

    EQ = "EQUALS"
    LT = "LESS_THAN"
    LTE = "LESS_THAN_EQUALS"
    GT = "GREATER_THAN"
    GTE = "GREATER_THAN_EQUALS"
    MATCHES = "MATCHES"
    INCLUDES = "INCLUDES"


class LogicalOp(StrEnum):
    """How the filters of one group combine."""

    AND = "AND"
    OR = "OR"


class EventKind(StrEnum):
    """Span types, `<entity>.<variant>`. An `*_ALL` member means every span of its entity."""

    PIPELINE_ALL = "pipeline.all"
    PIPELINE_RUN = "pipeline.run"
    PIPELINE_BULK_RUN = "pipeline.bulk_run"
    CHATBOT_ALL = "chatbot.all"
    CHATBOT_RUN = "chatbot.run"
    CHATBOT_FILE_UPLOAD = "chatbot.file_upload"
    CHATBOT_TERMINATE = "chatbot.terminate"
    CHATBOT_MESSAGE_LIKE = "chatbot.message_like"
    CHATBOT_FETCH_KB_DATA = "chatbot.fetch_kb_data"
    SEARCH_ALL = "search.all"
    SEARCH_RUN = "search.run"
    SEARCH_CHAT_WITH_DOCS = "search.chat_with_docs"
    SEARCH_DOC_QNA = "search.doc_qna"
    SEARCH_MESSAGE_FEEDBACK = "search.message_feedback"
    SEARCH_TERMINATE = "search.terminate"
    SEARCH_FETCH_KB_DATA = "search.fetch_kb_data"
    FORM_ALL = "form.all"
    FORM_RUN = "form.run"
    FORM_CHAT = "form.chat"
    VOICEBOT_ALL = "voicebot.all"
    VOICEBOT_RUN = "voicebot.run"
    BULKJOB_RUN = "bulkjob.run"
    BULKJOB_FETCH_KB_DATA = "bulkjob.fetch_kb_data"
    BULKJOB_IO_NODES = "bulkjob.io_nodes"
    SESSION_ALL = "session.all"
    SESSION_CREATE = "session.create"
    SESSION_ADD_MESSAGE = "session.add_message"
    PORTAL_CREATE = "portal.create"

    @property
    def entity(self) -> str:
        """The part before the dot: `pipeline`, `chatbot`, …"""
        return self._value_.partition(".")[0]

    @property
    def wire(self) -> dict[str, str]:
        """The kind as one entry of `span_type`. Source: docs/contract.md A3, A7."""
        return {self.entity: self._name_}


@lru_cache(maxsize=64)
def kinds_of(entity: str) -> tuple[EventKind, ...]:
    """Every kind of an entity, in page order; empty when the entity has none (an agent, an unknown name)."""
    return tuple(kind for kind in EventKind if kind.entity == entity)


def nearest(text: str, names: list[str]) -> str:
    """A closing hint: the name most similar to `text`, and all of them."""
    from difflib import get_close_matches

    close = get_close_matches(text.lower(), [name.lower() for name in names], n=1)
    suggestion = f" Did you mean {close[0]!r}?" if close else ""
    return f"{suggestion} Known: {', '.join(names)}."


@cache
def _spellings(enum: type[E]) -> dict[str, E]:
    """Every value and name of an enum in lower case; where two members share one, the first has it."""
    spellings: dict[str, E] = {}
    for member in enum:
        spellings.setdefault(str(member.value).lower(), member)
        spellings.setdefault(member.name.lower(), member)
    return spellings


def choice(enum: type[E], value: Any, noun: str) -> E:
    """Read a member from a member, its value or its name in any case; anything else raises `AnalyticsInvalidQuery`."""
    if isinstance(value, enum):
        return value
    if isinstance(value, str):
        result: E | None = _spellings(enum).get(plain(value).strip().lower())
        if result is not None:
            return result
    text = value if isinstance(value, str) else ""
    raise AnalyticsInvalidQuery(
        f"{shown(value)} is not a valid {noun}.{nearest(text, [str(member.value) for member in enum])}"
    )
