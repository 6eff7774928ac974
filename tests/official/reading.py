"""A chain read as one query: its scope, its filters in order, its terminal; and written back."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tests.official.vocabulary import NAMES, SCOPE_FIELDS, Call, Chain, Value, call, member

_METHOD_OF = {"==": "eq", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


@dataclass(frozen=True)
class Test:
    """One comparison, whichever way it was spelled."""

    __test__ = False  # pytest: not a test class

    column: str
    method: str  # eq gt gte lt lte matches includes in_
    value: Value
    family: str  # Filter or FieldFilter, the class that its spelling builds

    @property
    def scope(self) -> bool:
        """True for a scope column, which travels in `filters`."""
        return self.column in SCOPE_FIELDS

    @property
    def moment(self) -> datetime | None:
        """The datetime it compares with, if it does."""
        tagged = isinstance(self.value, dict) and "datetime" in self.value
        return datetime.fromisoformat(self.value["datetime"]) if tagged else None

    @property
    def bound(self) -> str | None:
        """`lower` or `upper` when this can become start_time or end_time."""
        if self.column != "EVENT_START_TIME" or self.moment is None:
            return None
        return {"gt": "lower", "gte": "lower", "lt": "upper", "lte": "upper"}.get(self.method)

    def without_scope(self) -> "Test":
        """Itself: asked only of data columns, see `Group.without_scope`."""
        return self

    def spelled(self) -> Call:
        """The comparison in its class spelling."""
        return call(f"{self.family}.{self.method}", member(f"EventField.{self.column}"), self.value)


@dataclass(frozen=True)
class Group:
    """A FilterGroup, or a where() call with LogicalOp.OR."""

    op: str
    entries: tuple[Any, ...]

    def without_scope(self) -> "Group":
        """The group with its data columns only."""
        return Group(self.op, tuple(entry for entry in self.entries if not entry.scope))

    def spelled(self) -> Call:
        """The group as a FilterGroup."""
        filters = [entry.spelled() for entry in self.entries]
        return call("FilterGroup", filters, op=member(f"LogicalOp.{self.op}"))


@dataclass(frozen=True)
class Reading:
    """A query chain taken apart."""

    chain: Chain
    entries: tuple[Test | Group, ...]
    odd: tuple[Value, ...]  # what where() got that is no filter and no name of one

    @property
    def scope(self) -> dict[str, Value]:
        """The keyword arguments of Analytics.query()."""
        return self.chain["start"]["kwargs"]

    @property
    def terminal(self) -> Call:
        """The last call, as it stands."""
        return self.chain["then"][-1]

    @property
    def verb(self) -> str:
        """The terminal's name without the `a` of its async twin."""
        name = self.terminal["call"]
        return name[1:] if name.startswith("a") else name

    @property
    def tests(self) -> list[Test]:
        """Every comparison, also those inside groups."""
        return [test for entry in self.entries for test in flat(entry)]

    @property
    def groups(self) -> list[Group]:
        """The OR groups."""
        return [e for e in self.entries if isinstance(e, Group) and e.op == "OR"]

    @property
    def dimensions(self) -> list[Value]:
        """What the terminal groups by: its own argument, else the group_by() before it."""
        own = self.terminal["kwargs"].get("group_by")
        if own is not None:
            return own
        return [d for s in self.chain["then"] if s["call"] == "group_by" for d in [s["args"][0]]]

    def with_entries(self, *entries: Test | Group) -> "Reading":
        """The same query with other filters, in one where() call."""
        rest = [step for step in self.chain["then"] if step["call"] != "where"]
        where = [call("where", *(entry.spelled() for entry in entries))] if entries else []
        return replace(self, chain={**self.chain, "then": [*where, *rest]}, entries=entries)

    def with_scope(self, **changes: Value) -> "Reading":
        """The same query with other arguments of Analytics.query(); None takes one away."""
        scope = {k: v for k, v in {**self.scope, **changes}.items() if v is not None}
        start = {**self.chain["start"], "kwargs": scope}
        return replace(self, chain={**self.chain, "start": start})

    def with_terminal(self, **changes: Value) -> "Reading":
        """The same query with other keyword arguments of its terminal; None takes one away."""
        kwargs = {k: v for k, v in {**self.terminal["kwargs"], **changes}.items() if v is not None}
        last = {**self.terminal, "kwargs": kwargs}
        return replace(self, chain={**self.chain, "then": [*self.chain["then"][:-1], last]})


def read(chain: Chain) -> Reading | None:
    """The chain as a query by the page's rules; None for a lookup, and for `!=`, which no filter is.

    `logical_op` joins the positional arguments of its where() call; named ones always AND.
    """
    if not chain["start"]["call"].endswith("query") or '"!="' in json.dumps(chain):
        return None
    entries: list[Test | Group] = []
    odd: list[Value] = []
    for step in chain["then"]:
        if step["call"] != "where":
            continue
        created = [_entry(value) for value in step["args"] if isinstance(value, dict)]
        odd += [value for value in step["args"] if not isinstance(value, dict)]
        if step["kwargs"].get("logical_op") == member("LogicalOp.OR") and created:
            created = [Group("OR", tuple(created))]
        named = {name: v for name, v in step["kwargs"].items() if name != "logical_op"}
        odd += named.keys() - NAMES
        entries += created + [_equal(name.upper(), value) for name, value in named.items()]
    return Reading(chain, tuple(entries), tuple(odd))


def _entry(value: Value) -> Test | Group:
    if "field" in value:
        return _operator(value["field"], value["operator"], value["value"])
    if value["call"] == "FilterGroup":
        op = value["kwargs"].get("op", member("LogicalOp.AND"))["member"].removeprefix("LogicalOp.")
        return Group(op, tuple(_entry(each) for each in value["args"][0]))
    family, method = value["call"].split(".")
    column, operand = value["args"]
    return Test(column["member"].removeprefix("EventField."), method, _plain(operand), family)


def _operator(column: str, operator: str, value: Value) -> Test:
    if operator == "==":
        return _equal(column, value)
    method, value = _METHOD_OF.get(operator, operator), _plain(value)
    if method == "in_":
        return (
            Test(column, method, value, "Filter")
            if column in SCOPE_FIELDS
            else Test(column, "includes", value, "FieldFilter")
        )
    return Test(column, method, value, "FieldFilter")


def _equal(column: str, value: Value) -> Test:
    return Test(column, "eq", _plain(value), "Filter" if column in SCOPE_FIELDS else "FieldFilter")


def _plain(value: Value) -> Value:
    """The value with members as the words that they are on the wire."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return word(value) if isinstance(value, dict) and "member" in value else value


def flat(entry: Test | Group) -> list[Test]:
    """The comparisons of an entry."""
    if isinstance(entry, Test):
        return [entry]
    return [test for each in entry.entries for test in flat(each)]


def window(entries: Iterable[Test | Group]) -> tuple[Test | None, Test | None]:
    """The latest lower and the earliest upper of the bounds that AND; the strict one of equals."""
    tests = [t for e in entries if isinstance(e, Test) or e.op == "AND" for t in flat(e)]
    lower = [test for test in tests if test.bound == "lower"]
    upper = [test for test in tests if test.bound == "upper"]
    return (
        max(lower, key=lambda t: (t.moment, t.method == "gt"), default=None),
        min(upper, key=lambda t: (t.moment, t.method != "lt"), default=None),
    )


def values(test: Test) -> list[Value]:
    """What a comparison compares with, as a list."""
    return test.value if isinstance(test.value, list) else [test.value]


def word(value: Value) -> str:
    """A member, a Percentile or a word, as a word in lower case."""
    if isinstance(value, str):
        return value.lower()
    return value.get("member", f"percentile {value.get('args')}").rpartition(".")[2].lower()
