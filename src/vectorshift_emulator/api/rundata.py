"""Run data: the interface side of one run, put together from its stored events.

The inside of a result is unspecified (docs/contract.md E); docs/emulator-service.md states what is chosen here.
"""

import json
from typing import Any

from vectorshift_emulator.api.requests import RunData
from vectorshift_emulator.data.store import Store

RESULT_KEYS = {
    "chatbot": "chatbot",
    "search": "search",
    "form": "form",
    "voicebot": "voicebot",
    "session": "session",
    "agent": "chatbot",
    "pipeline": "form",
    "bulkjob": "form",
    "portal": "session",
}
"""The result key for each interface: an agent converses, a pipeline takes inputs as a form does."""

IDENTIFIERS = {
    "chatbot": "conversation_id",
    "search": "search_id",
    "form": "submission_id",
    "voicebot": "call_id",
    "session": "session_id",
}
"""The key that holds the run identifier in each result."""

TURNS = {
    "chatbot": "messages",
    "search": "messages",
    "voicebot": "transcript",
    "session": "messages",
}
"""The key under which a result that is a conversation holds its turns."""

_ROWS = """
SELECT interface_type, interface_data, session_name, session_users, session_source
FROM events
WHERE object_id = ? AND run_id = ? AND (entity = ? OR interface_type = ?)
ORDER BY start_time, parent_span_id IS NOT NULL, span_id
"""


def result(store: Store, selection: RunData) -> dict[str, Any] | None:
    """The result of the run with exactly one key, None when no event is of that run.

    Interface data of the run's events is merged from the oldest to the newest; in a conversation
    the input and output of each become two turns.
    """
    parameters = [
        selection.object_id,
        selection.run_identifier,
        selection.object_type,
        selection.object_type,
    ]
    rows = store.cursor().execute(_ROWS, parameters).fetchall()
    if not rows:
        return None
    interface_type, _, *session = rows[0]
    key = result_key(selection.object_type, interface_type)
    data = [json.loads(text) for _, text, *_ in rows if text]
    detail = {IDENTIFIERS[key]: selection.run_identifier, **_session(*session)}
    return {key: detail | (conversation(TURNS[key], data) if key in TURNS else _merged(data))}


def result_key(object_type: str, interface_type: str | None) -> str:
    """The interface the run came through when it has a key of its own, else the object's."""
    return interface_type if interface_type in IDENTIFIERS else RESULT_KEYS[object_type]


def conversation(key: str, data: list[dict[str, Any]]) -> dict[str, Any]:
    """The turns under `key`, oldest first, beside whatever else the data holds."""
    turns: list[Any] = []
    for item in data:
        turns += item.get(key, [])
        for name, role in (("input", "user"), ("output", "assistant")):
            if name in item:
                turns.append({"role": role, "text": item[name]})
    rest = {
        name: value for name, value in _merged(data).items() if name not in (key, "input", "output")
    }
    return {**rest, key: turns}


def _merged(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: value for item in data for name, value in item.items()}


def _session(name: str | None, users: list[str] | None, source: str | None) -> dict[str, Any]:
    fields = {"session_name": name, "session_users": users, "session_source": source}
    return {key: value for key, value in fields.items() if value is not None}
