"""Runs query chains with whatever `vectorshift` package its Python has: the official one or ours.

Reads `{"chains": [...]}` as JSON on stdin, prints one JSON list of outcomes on stdout. Nothing here
knows which of the two packages it drives, so a difference between two runs is a difference between
the packages. Only the standard library and `vectorshift` may be imported.

A chain is data: `{"key": "sk_7", "start": <call>, "then": [<call>, ...]}`. A call is
`{"call": name, "args": [...], "kwargs": {...}}`; arguments are plain JSON values or one of
`{"datetime": iso}`, `{"member": "EventKind.FORM_RUN"}`, `{"call": "FieldFilter.gt", ...}`,
`{"field": "STATUS", "operator": "==", "value": ...}`, `{"handle": "Pipeline", "id": "pl_1"}` (a
resource of the package) and `{"duck": "Form", "id": "fm_1"}` (a user's own class of that name).
"""

import asyncio
import inspect
import json
import operator
import sys
from datetime import datetime
from functools import reduce

import vectorshift
import vectorshift.analytics

OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "in_": lambda field, value: field.in_(value),
    "matches": lambda field, value: field.matches(value),
    "includes": lambda field, value: field.includes(value),
}


def main():
    chains = json.load(sys.stdin)["chains"]
    loop = asyncio.new_event_loop()
    try:
        outcomes = [outcome(chain, loop) for chain in chains]
    finally:
        loop.run_until_complete(close_sessions())
        loop.close()
    json.dump(outcomes, sys.stdout)


def outcome(chain, loop):
    """What came of one chain: its answer, or the classes and text of what it raised."""
    vectorshift.api_key = chain["key"]
    try:
        result = apply(vectorshift.analytics, chain["start"])
        for call in chain["then"]:
            result = apply(result, call)
        if inspect.isawaitable(result):
            result = loop.run_until_complete(result)
        return {"answer": json.loads(json.dumps(result))}
    except Exception as error:  # noqa: BLE001  # whatever it raises is the outcome
        names = [c.__name__ for c in type(error).__mro__ if c is not object]
        return {"raised": names, "text": str(error)}


def apply(owner, call):
    """Calls `owner.<dotted name>` with decoded arguments."""
    function = reduce(getattr, call["call"].split("."), owner)
    args = [decode(value) for value in call.get("args", [])]
    kwargs = {name: decode(value) for name, value in call.get("kwargs", {}).items()}
    return function(*args, **kwargs)


def decode(value):
    """Turns a chain's JSON value into the Python value it describes."""
    match value:
        case {"datetime": text}:
            return datetime.fromisoformat(text)
        case {"member": name}:
            return reduce(getattr, name.split("."), vectorshift.analytics)
        case {"call": _}:
            return apply(vectorshift.analytics, value)
        case {"field": name, "operator": sign, "value": operand}:
            field = getattr(vectorshift.analytics.EventField, name)
            return OPERATORS[sign](field, decode(operand))
        case {"handle": name, "id": identity}:
            return handle(getattr(vectorshift, name), identity)
        case {"duck": name, "id": identity}:
            return type(name, (), {"id": identity})()
        case list():
            return [decode(item) for item in value]
        case _:
            return value


def handle(resource, identity):
    """A resource known by its id; a class that wants more than an id is made without its init."""
    for args, kwargs in (([identity], {}), ([], {"id": identity})):
        try:
            return resource(*args, **kwargs)
        except TypeError:
            continue
    bare = resource.__new__(resource)
    bare.id = identity
    return bare


async def close_sessions():
    """Closes the loop-bound HTTP session that one of the packages keeps open."""
    client = getattr(sys.modules.get("vectorshift.request"), "async_request_client", None)
    if client is not None:
        await client.close()


if __name__ == "__main__":
    main()
