"""The scope of a query where the official client sends none, or cannot.

Every function gives None for a chain that it does not concern.
"""

from dataclasses import replace
from typing import Any

from tests.official.outcomes import INVALID, Outcome, Sent
from tests.official.reading import Reading, Test
from tests.official.recorder import Request, canonical
from tests.official.vocabulary import ALL_KINDS, member


def whole_type(query: Reading) -> Outcome | None:
    """`object_type=` without an id: the type's kinds, or those of them that are named."""
    scope = query.scope
    if "object_type" not in scope or scope.get("object_ids"):
        return None
    entity = scope["object_type"].lower()
    kinds = [member(f"EventKind.{k}") for k in ALL_KINDS if k.startswith(f"{entity.upper()}_")]
    named = scope.get("kinds") or kinds
    if not kinds or not all(kind in kinds for kind in named):
        return INVALID
    return [Sent(query.with_scope(kinds=named, object_type=None).chain)]


def scope_filters(query: Reading) -> Outcome | None:
    """Scope filters in where(): taken out of the chain, put into the body."""
    result = [test for test in query.tests if test.scope]
    if not result:
        return None
    rest = [entry.without_scope() for entry in query.entries if entry not in result]
    encoded = [_scope_filter(test) for test in result]
    return [Sent(query.with_entries(*rest).chain, (lambda request: _added(request, encoded),))]


SCOPE_COLUMNS = {
    "OBJECT_ID": "ObjectId",
    "PARENT_EVENT_ID": "ParentSpanId",
    "OBJECT_INFO": "ObjectInfo",
    "EVENT_ID": "SpanId",
    "TRACE_ID": "TraceId",
    "SESSION_SOURCE": "SessionSource",
    "SESSION_COLLECTION": "SessionCollection",
    "PROJECT_ID": "ProjectId",
    "EXECUTION_ID": "ExecutionId",
}


def _scope_filter(test: Test) -> dict[str, Any]:
    values = test.value if isinstance(test.value, list) else [test.value]
    return {
        "column_name": SCOPE_COLUMNS[test.column],
        "value": {"string_value": ",".join(values)},
        "operator": "OPERATOR_IN" if len(values) > 1 else "OPERATOR_EQUAL",
    }


def _added(request: Request, filters: list[dict[str, Any]]) -> Request:
    body = request.json
    inner = body.get("data_table", body)
    inner["filters"] = inner.get("filters", []) + filters
    return replace(request, body=canonical(body))
