"""Filters that one request cannot join as they stand: OR, and more time bounds than fields.

Every function gives None for a chain that it does not concern.
"""

from itertools import combinations

from tests.official.outcomes import INVALID, Outcome, Sent
from tests.official.reading import Group, Reading, Test, flat, values, window
from tests.official.vocabulary import SCALARS


def named_apart(query: Reading) -> Outcome | None:
    """Named filters in a where() call whose positional filters are joined by OR."""
    for step in query.chain["then"]:
        named = set(step["kwargs"]) - {"logical_op"}
        if step["call"] == "where" and "logical_op" in step["kwargs"] and named:
            return [Sent(query.with_entries(*query.entries).chain)]
    return None


def needless_or(query: Reading) -> Outcome | None:
    """An OR that ANDs say exactly: one alternative, or equalities on one data column."""
    entries = tuple(
        entry if _is_lone(query, entry) else _included(entry) for entry in query.entries
    )
    return [Sent(query.with_entries(*entries).chain)] if entries != query.entries else None


def _is_lone(query: Reading, entry: Test | Group) -> bool:
    """An OR of several alternatives with nothing but time bounds beside it, in a search."""
    rest = [test for each in query.entries if each is not entry for test in flat(each)]
    return (
        isinstance(entry, Group)
        and query.verb in ("events", "traces")
        and len(entry.entries) > 1
        and all(test.bound for test in rest)
        and query.groups == [entry]
        and not query.scope.get("object")
        and not query.scope.get("object_ids")
    )


def _included(entry: Test | Group) -> Test | Group:
    if not isinstance(entry, Group) or entry.op != "OR":
        return entry
    if len(entry.entries) == 1:
        return Group("AND", entry.entries)
    columns = {test.column for test in entry.entries}
    exact = all(t.method in ("eq", "includes") and not t.scope for t in entry.entries)
    if len(columns) > 1 or not exact:
        return entry
    unique = {repr(value): value for test in entry.entries for value in values(test)}
    return Test(columns.pop(), "includes", list(unique.values()), "FieldFilter")


def other_or(query: Reading) -> Outcome | None:
    """An OR over several columns: exact by the service, by counting, or refused."""
    if not query.groups:
        return None
    group = query.groups[0]
    if _is_lone(query, group):
        return None if len(query.entries) == 1 else [Sent(_alone(query, group).chain)]
    terms = group.entries
    if query.verb != "count" or len(query.groups) > 1 or len(terms) > 4:
        return INVALID
    rest = [entry for entry in query.entries if entry is not group]
    subsets = [s for size in range(1, len(terms) + 1) for s in combinations(terms, size)]
    return [Sent(query.with_entries(*rest, Group("AND", each)).chain) for each in subsets]


def _alone(query: Reading, group: Group) -> Reading:
    return query.with_entries(*filter(None, window(query.entries)), group)


def several_bounds(query: Reading) -> Outcome | None:
    """More time bounds than an aggregation has fields for."""
    aggregates = query.verb in (*SCALARS, "percentile", "raw_aggregate")
    data = [test for test in query.tests if not test.scope]
    if not aggregates or not all(test.bound for test in data):
        return None
    narrowest = [bound for bound in window(query.entries) if bound]
    if len(narrowest) == len(data):
        return None
    scope = [test for test in query.tests if test.scope]
    return [Sent(query.with_entries(*narrowest, *scope).chain)]
