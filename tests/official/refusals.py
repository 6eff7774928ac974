"""Chains that are refused before anything is sent, which the official client lets pass.

Every function gives None for a chain that it does not concern.
"""

from datetime import UTC, timedelta

from tests.official.outcomes import INVALID, WRONG_TYPE, Outcome
from tests.official.reading import Reading, Test, values, window, word
from tests.official.vocabulary import MEASURES, SCALARS


def refused_values(query: Reading) -> Outcome | None:
    """Arguments which the official client sends, drops or stumbles over."""
    kwargs, args = query.terminal["kwargs"], query.terminal["args"]
    limit = kwargs.get("limit", query.scope.get("limit", 50))
    offset = kwargs.get("offset", query.scope.get("offset", 0))
    mistaken = (
        query.odd
        or any(_refused(test) for test in query.tests)
        or limit < 1
        or offset < 0
        or (query.verb == "export" and args and (args[0] == "PDF" or not args[1]))
        or (query.verb in SCALARS and args and args[0] not in MEASURES)
        or (query.verb == "raw_aggregate" and args and (not args[0] or "interval" in kwargs))
    )
    return INVALID if mistaken else None


STATUSES = ("success", "failure", "in_progress")


def _refused(test: Test) -> bool:
    if test.column == "STATUS" and test.method in ("eq", "includes"):
        return not all(str(value).lower() in STATUSES for value in values(test))
    return test.method == "matches" and test.value == ""


def misplaced_columns(query: Reading) -> Outcome | None:
    """A scope column in a data filter, or the reverse."""
    if any(test.scope and test.family == "FieldFilter" for test in query.tests):
        return INVALID
    if any(not test.scope and test.family == "Filter" for test in query.tests):
        return WRONG_TYPE
    return None


def years(query: Reading) -> Outcome | None:
    """A mean that cannot be had from one bucket per calendar year."""
    operations = query.terminal["kwargs"].get("operations", [])
    means = any(word(each["kwargs"]["op"]) == "mean" for each in operations)
    start, end = window(query.entries)
    if not (query.verb == "mean" or means) or query.dimensions or start is None or end is None:
        return None
    last = end.moment.astimezone(UTC) - timedelta(microseconds=end.method == "lt")
    return INVALID if start.moment.astimezone(UTC).year != last.year else None


def empty_window(query: Reading) -> Outcome | None:
    """Time bounds between which there is no instant."""
    start, end = window(query.entries)
    if start is None or end is None:
        return None
    touching = (start.method, end.method) == ("gte", "lte")
    empty = start.moment > end.moment or (start.moment == end.moment and not touching)
    return INVALID if empty else None
