"""A case: one call of a client and the SELECT that answers it; and the parts cases share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.official.answers import Rows
from tests.official.vocabulary import Call, Chain, Value, call, compare, moment

Truth = Callable[[str], Rows]
START = datetime(2025, 12, 10, tzinfo=UTC)
END = datetime(2026, 1, 20, 12, 30, tzinfo=UTC)  # a window over New Year
STARTED = "strftime(start_time, '%Y-%m-%dT%H:%M:%S.%gZ')"
WINDOW = "start_time BETWEEN '2025-12-10' AND '2026-01-20 12:30'"


@dataclass(frozen=True)
class Case:
    """One call of the official client and the truth about it."""

    chain: Chain
    sql: str
    read: Callable[[Any, Rows], tuple[Any, Any]]

    @property
    def twins(self) -> tuple[Chain, Chain]:
        """The call as it stands, and through its async twin."""
        return self.chain, _twin(self.chain)


def _twin(chain: Chain) -> Chain:
    if not chain["then"]:
        name = chain["start"]["call"].removeprefix("Analytics.")
        return {**chain, "start": {**chain["start"], "call": f"Analytics.a{name}"}}
    last = chain["then"][-1]
    return {**chain, "then": [*chain["then"][:-1], {**last, "call": f"a{last['call']}"}]}


def query(*then: Call, **scope: Value) -> Chain:
    """A chain that starts with Analytics.query()."""
    return {"start": call("Analytics.query", **scope), "then": list(then)}


def lookup(name: str, *args: Value, **kwargs: Value) -> Chain:
    """A chain that is one lookup."""
    return {"start": call(f"Analytics.{name}", *args, **kwargs), "then": []}


SINCE = compare("EVENT_START_TIME", ">=", moment(START))
UNTIL = compare("EVENT_START_TIME", "<", moment(END))
BOUNDED = call("where", SINCE, UNTIL)
EVENT = (
    f'span_id AS "spanId", trace_id AS "traceId", span_kind AS "spanKind", status, '
    f'{STARTED} AS "startTime", error_message AS "statusMessage", latency, model_id AS "modelId"'
)
NEWEST = "ORDER BY start_time DESC, span_id"
P95 = call("Percentile", 95)
