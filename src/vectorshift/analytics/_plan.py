"""From a query's filters to what one request may carry: time bounds lifted, OR made exact or refused.

The wire can say AND everywhere, OR only over a whole search request, and nothing at all about data columns in an
aggregation. Whatever it cannot say is refused here, before anything is sent. Source: reference page "where", "Time
scoping", "Aggregation terminals"; docs/contract.md A3, B4, G2 (the rewrites a to d are named after it).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, Literal, TypeGuard

from msgspec import Struct

from vectorshift.analytics._enums import EventKind, FieldFilterOp, LogicalOp
from vectorshift.analytics._filters import Atom, EventField, FieldFilter, Filter, FilterGroup, Term
from vectorshift.analytics._spec import Spec
from vectorshift.errors import AnalyticsInvalidQuery

Verb = Literal["count", "search", "aggregate", "table"]
_AT = EventField.EVENT_START_TIME  # looking a member up in its class takes longer than comparing it
_LOWER = (FieldFilterOp.GT, FieldFilterOp.GTE)
_UPPER = (FieldFilterOp.LT, FieldFilterOp.LTE)
_MOST_ALTERNATIVES = 4


class Plan(Struct, frozen=True, dict=True):
    """The filters of one request. Everything ANDs, except that `any_of` ORs `scope` and `data` among themselves."""

    object_id: str | None
    kinds: tuple[EventKind, ...]
    scope: tuple[Filter, ...] = ()
    data: tuple[FieldFilter, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    any_of: bool = False

    @property
    def body(self) -> dict[str, Any]:
        """What `_requests.py` made of it: once, for this very object."""
        return self.__dict__


class _Parts:
    """A query's terms in order: atoms that AND, and groups of alternatives; `start` and `end` may be lifted."""

    __slots__ = ("atoms", "end", "groups", "lowers", "start", "terms", "uppers")

    def __init__(
        self,
        terms: list[Atom | tuple[Atom, ...]],
        start: FieldFilter | None,
        end: FieldFilter | None,
    ) -> None:
        self.terms = terms
        self.start, self.end = start, end
        self.atoms: list[Atom] = []
        self.groups: list[tuple[Atom, ...]] = []
        self.lowers: list[FieldFilter] = []
        self.uppers: list[FieldFilter] = []
        for each in terms:
            if isinstance(each, tuple):
                self.groups.append(each)
                continue
            self.atoms.append(each)
            if each.column is not _AT:
                continue
            if _is_bound(each, _LOWER):
                self.lowers.append(each)
            elif _is_bound(each, _UPPER):
                self.uppers.append(each)


def plan(spec: Spec, verb: Verb) -> Plan:
    """Return the one request that answers `verb`; raises `AnalyticsInvalidQuery` where one request cannot."""
    cached: Plan | None = spec.plans.get(verb)
    if cached is None:
        cached = spec.plans[verb] = _planned(spec, verb)
    return cached


def _planned(spec: Spec, verb: Verb) -> Plan:
    parts = _sorted(spec.terms)
    _refuse_empty_range(parts)
    if verb == "aggregate":
        return _aggregation(spec, parts)
    if verb == "search" and (alone := _lone_or(spec, parts)):
        return alone
    merged = _merge_groups(parts)
    if merged.groups:
        raise _or_refused(verb)
    return _conjunction(spec, merged, lift=verb != "table")


def count_plans(spec: Spec) -> list[tuple[int, Plan]]:
    """Return signed requests whose counts add up to the answer.

    One without OR; 2**k - 1 for one group of k alternatives, by inclusion and exclusion (G2 c). Over data that is still
    arriving the counts are taken at slightly different moments: bound such a query by an end time in the past.
    """
    cached: list[tuple[int, Plan]] | None = spec.plans.get("counts")
    if cached is None:
        cached = spec.plans["counts"] = _planned_counts(spec)
    return cached


def _planned_counts(spec: Spec) -> list[tuple[int, Plan]]:
    parts = _sorted(spec.terms)
    _refuse_empty_range(parts)
    merged = _merge_groups(parts)
    if not merged.groups:
        return [(1, _conjunction(spec, merged, lift=True))]
    if len(merged.groups) > 1 or len(merged.groups[0]) > _MOST_ALTERNATIVES:
        raise _or_refused("count")
    return [
        (
            (-1) ** (size + 1),
            _conjunction(
                spec, _Parts([*merged.atoms, *chosen], merged.start, merged.end), lift=True
            ),
        )
        for size in range(1, len(merged.groups[0]) + 1)
        for chosen in combinations(merged.groups[0], size)
    ]


def _sorted(terms: tuple[Term, ...]) -> _Parts:
    ordered: list[Atom | tuple[Atom, ...]] = []
    start = end = None
    for term in terms:
        if not isinstance(term, FilterGroup):
            ordered.append(term)
            if term.column is not _AT:
                continue
            if start is None and _is_bound(term, _LOWER):
                start = term
            elif end is None and _is_bound(term, _UPPER):
                end = term
        elif term.op is LogicalOp.AND:
            ordered.extend(term.filters)
        elif not term.filters:
            raise AnalyticsInvalidQuery(
                "an OR group without filters can match nothing: leave it out or fill it."
            )
        else:
            atoms = tuple(dict.fromkeys(term.filters))
            ordered.append(atoms if len(atoms) > 1 else atoms[0])
    return _Parts(ordered, start, end)


def _is_bound(atom: Atom, ops: tuple[FieldFilterOp, ...]) -> TypeGuard[FieldFilter]:
    return atom.column is _AT and atom.op in ops and isinstance(atom.value, datetime)


def _bounds(parts: _Parts) -> tuple[FieldFilter | None, FieldFilter | None]:
    """The tightest lower and upper bound of everything that ANDs; at equal times the strict one."""
    lowers, uppers = parts.lowers, parts.uppers
    if len(lowers) > 1:
        lowers = [max(lowers, key=lambda a: (a.value, a.op is FieldFilterOp.GT))]
    if len(uppers) > 1:
        uppers = [min(uppers, key=lambda a: (a.value, a.op is not FieldFilterOp.LT))]
    return (lowers[0] if lowers else None), (uppers[0] if uppers else None)


def _refuse_empty_range(parts: _Parts) -> None:
    if not (parts.lowers and parts.uppers):
        return
    lower, upper = _bounds(parts)
    if lower is None or upper is None or lower.value < upper.value:
        return
    instant = lower.op is FieldFilterOp.GTE and upper.op is FieldFilterOp.LTE
    if lower.value > upper.value or not instant:
        raise AnalyticsInvalidQuery(
            f"the time range from {lower.value.isoformat()} to {upper.value.isoformat()} holds no instant: "
            "its end must lie after its start."
        )


def _value(bound: FieldFilter | None) -> datetime | None:
    return None if bound is None else bound.value


def _conjunction(spec: Spec, parts: _Parts, *, lift: bool) -> Plan:
    start, end = (parts.start, parts.end) if lift else (None, None)
    rest = [a for a in parts.atoms if a is not start and a is not end]
    return Plan(spec.object_id, spec.kinds, *_split(rest), _value(start), _value(end))


def _split(atoms: Sequence[Atom]) -> tuple[tuple[Filter, ...], tuple[FieldFilter, ...]]:
    scope: list[Filter] = []
    data: list[FieldFilter] = []
    for each in atoms:
        if isinstance(each, Filter):
            scope.append(each)
        else:
            data.append(each)
    return tuple(scope), tuple(data)


def _lone_or(spec: Spec, parts: _Parts) -> Plan | None:
    """G2 b: one group of alternatives beside nothing but time bounds and kinds may OR the whole search."""
    if len(parts.groups) != 1 or spec.object_id is not None:
        return None
    if not all(_is_bound(a, _LOWER + _UPPER) for a in parts.atoms):
        return None
    lower, upper = _bounds(parts)
    return Plan(
        None, spec.kinds, *_split(parts.groups[0]), _value(lower), _value(upper), any_of=True
    )


def _merge_groups(parts: _Parts) -> _Parts:
    """G2 a: alternatives on one data column are one INCLUDES, in their place."""
    if not parts.groups:
        return parts
    merged = [_merged(each) if isinstance(each, tuple) else each for each in parts.terms]
    return _Parts(merged, parts.start, parts.end)


def _merged(group: tuple[Atom, ...]) -> Atom | tuple[Atom, ...]:
    columns = {a.column for a in group}
    plain = all(
        isinstance(a, FieldFilter) and a.op in (FieldFilterOp.EQ, FieldFilterOp.INCLUDES)
        for a in group
    )
    if not plain or len(columns) > 1:
        return group
    distinct = {(type(value), value): value for value in _values(group)}  # 1, 1.0 and True differ
    return FieldFilter.includes(columns.pop(), tuple(distinct.values()))


def _values(group: tuple[Atom, ...]) -> Iterator[object]:
    for atom in group:
        yield from atom.value if isinstance(atom.value, tuple) else (atom.value,)


def _aggregation(spec: Spec, parts: _Parts) -> Plan:
    """Bounds combine to the tightest; nothing but scope may be left beside them."""
    data = [
        a for a in parts.atoms if not isinstance(a, Filter) and not _is_bound(a, _LOWER + _UPPER)
    ]
    data += [a for group in parts.groups for a in group if not isinstance(a, Filter)]
    if data:
        raise AnalyticsInvalidQuery(
            f"aggregations cannot filter by the data column EventField.{data[0].column.name}"
            f"{' with a value that is not a datetime' if data[0].column is EventField.EVENT_START_TIME else ''}: "
            "filter on scope fields, or pre-filter with .events() or .table()."
        )
    if parts.groups:
        raise _or_refused("aggregate")
    lower, upper = _bounds(parts)
    if lower is None:
        raise AnalyticsInvalidQuery(
            "an aggregation needs a lower time bound, or it would scan all history: "
            "add .where(EventField.EVENT_START_TIME >= start) with a timezone-aware datetime."
        )
    scope = tuple(a for a in parts.atoms if isinstance(a, Filter))
    return Plan(spec.object_id, spec.kinds, scope, (), lower.value, _value(upper))


def _or_refused(verb: Verb) -> AnalyticsInvalidQuery:
    return AnalyticsInvalidQuery(
        f"this OR cannot be said exactly on the wire for {verb}: the service ANDs it or lets it spread over the other "
        "filters. What works: alternatives of == or includes() on one data field, everywhere; one OR group beside time "
        f"bounds and kinds only, for events and traces; one OR group of at most {_MOST_ALTERNATIVES}, for count. "
        "Otherwise query each alternative separately and merge by span_id."
    )


def calendar_years(spec: Spec) -> tuple[int, int] | None:
    """Return the first and last UTC calendar year of the query's time range, or None while one end is open."""
    from datetime import timedelta

    lower, upper = _bounds(_sorted(spec.terms))
    if lower is None or upper is None:
        return None
    # The service's clock ticks in milliseconds, so a bound between two ticks holds nothing before the next one.
    tick = timedelta(microseconds=999)
    first = min(lower.value.astimezone(UTC), datetime.max.replace(tzinfo=UTC) - tick) + tick
    last = upper.value.astimezone(UTC)
    if upper.op is FieldFilterOp.LT:
        last -= timedelta(microseconds=1)
    return first.year, last.year
