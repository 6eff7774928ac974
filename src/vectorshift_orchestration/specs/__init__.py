"""Queries and aggregations as in a configuration file: plain JSON, versioned.

    {"version": 1, "object_id": "pl_1", "where": [{"status": "failure"}]}
    {"version": 1, "metrics": ["runs.sum", "latency.p95"], "group_by": ["time"], "interval": "day"}

A metric is the SDK's shorthand `<field>.<op>`. `error_rate` is derived: errors.sum / runs.sum,
computed here from the two, because the service has no such field. Conditions are in `conditions`,
what all descriptions share in `documents`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self, TypeVar

from msgspec import Struct
from msgspec.structs import force_setattr

from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs import conditions
from vectorshift_orchestration.specs.documents import VERSION, Render, opened

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.analytics import AggregationOperation, GroupBy, Interval, Query

_Choice = TypeVar("_Choice")

_COUNTED_FIELDS = frozenset({"runs", "tokens", "errors", "feedback", "create", "add_message"})
_AMOUNT_FIELDS = frozenset({"model_costs", "ai_credits"})
_RATIOS = {"error_rate": ("errors.sum", "runs.sum")}
_PAGE = 50  # the reference page's default limit
_QUERY_KEYS = ("object_id", "object_type", "kinds", "where", "limit", "offset")
_AGGREGATION_KEYS = ("metrics", "group_by", "interval")


class QuerySpec(Struct, frozen=True):
    """Which events, as plain strings that are checked at once.

    `object_id` is one object, `object_type` all objects of a type, `kinds` are `pipeline.run` and
    the like, `where` is a list of conditions (see `conditions`); `limit` and `offset` are the page
    defaults of `Query.events`. Two specs are equal when their queries are. Raises `SpecError` for
    what no query can say. Source: reference page "query", "where"; docs/contract.md B2, B3.
    """

    object_id: str | None = None
    object_type: str | None = None
    kinds: Sequence[str] = ()
    where: Sequence[Mapping[str, Any]] = ()
    limit: int = _PAGE
    offset: int = 0

    def __post_init__(self) -> None:
        from vectorshift.analytics import Query
        from vectorshift.errors import AnalyticsInvalidQuery

        for name, value in (("kinds", self.kinds), ("where", self.where)):
            if not isinstance(value, list | tuple):
                raise SpecError(f"{name} of a query is a list, not {value!r}.")
        for name in ("limit", "offset"):
            if isinstance(text := getattr(self, name), str) and text.strip().isdecimal():
                force_setattr(self, name, int(text))  # as a template leaves it
        terms = [term for condition in self.where for term in conditions.read(condition)]
        document = {name: getattr(self, name) for name in _QUERY_KEYS} | {"where": terms}
        document["kinds"] = list(self.kinds) or None
        try:
            query = Query.from_dict(document).to_dict()
        except AnalyticsInvalidQuery as problem:
            raise SpecError(f"The query is not valid. {problem}") from None
        force_setattr(self, "object_id", query.get("object_id"))
        force_setattr(self, "object_type", query.get("object_type"))
        force_setattr(self, "kinds", tuple(query.get("kinds", ())))
        canonical = tuple(conditions.write(term) for term in query.get("where", ()))
        force_setattr(self, "where", canonical)

    def __hash__(self) -> int:
        return hash(self.query())

    @classmethod
    def of(cls, query: Query) -> Self:
        """The description of a query, without its client; `query()` is equal to it again.

        Raises `SpecError` for a grouped query (its slices belong to an `AggregationSpec`), and for
        a condition that has no readable form.
        """
        document = query.to_dict()
        if "group_by" in document:
            raise SpecError("A grouped query is not a QuerySpec: describe its slices separately.")
        document.pop("version", None)
        where = [conditions.write(term) for term in document.pop("where", ())]
        return cls(**document, where=where)

    @classmethod
    def from_dict(cls, document: Any, render: Render | None = None) -> Self:
        """Read a description; `render` is applied to each of its texts before anything is checked.

        Raises `SpecError` for unknown keys, fields and operators, each with the nearest known one.
        """
        return cls(**opened(document, _QUERY_KEYS, "A query", render))

    def to_dict(self) -> dict[str, Any]:
        """The description as JSON values; what is empty or a default is left out."""
        parts: dict[str, Any] = {
            "object_id": self.object_id,
            "object_type": self.object_type,
            "kinds": list(self.kinds),
            "where": [dict(condition) for condition in self.where],
            "limit": None if self.limit == _PAGE else self.limit,
            "offset": self.offset or None,
        }
        return {"version": VERSION} | {k: v for k, v in parts.items() if v not in (None, [])}

    def query(self, client: Client | None = None) -> Query:
        """The query itself, run by `client` (None: the default one)."""
        from vectorshift.analytics import Query

        document = self.to_dict()
        terms = [term for condition in self.where for term in conditions.read(condition)]
        return Query.from_dict(document | {"where": terms}, client)


class Metric(Struct, frozen=True):
    """One number that the service computes, and the column that it becomes."""

    operation: AggregationOperation

    @property
    def column(self) -> str:
        """`runs_sum`, `latency_p95`."""
        return self.operation.shorthand.replace(".", "_")

    @property
    def is_integer(self) -> bool:
        """Whether it is a whole number: a count, or the sum or an extreme of something counted."""
        return self.operation.op == "count_distinct" or (
            self.operation.field in _COUNTED_FIELDS and self.operation.op in ("sum", "min", "max")
        )

    @property
    def is_amount(self) -> bool:
        """Whether it is money (US dollars) or credits, which are billed like money."""
        return self.operation.field in _AMOUNT_FIELDS and self.operation.op != "count_distinct"

    @property
    def of_nothing(self) -> int | None:
        """Its value over no events: 0 for sums and counts, unknown (null) for everything else."""
        return 0 if self.operation.op in ("sum", "count_distinct") else None


class Ratio(Struct, frozen=True):
    """A number computed here from two metrics; unknown (null) where the second is 0."""

    column: str
    numerator: Metric
    denominator: Metric


def parse_metric(text: str) -> Metric | Ratio:
    """The metric that a shorthand names. Raises `SpecError` with the nearest known name."""
    if not isinstance(text, str):
        raise SpecError(f"A metric is a name such as runs.sum, not {text!r}.")
    return _metric(text)


@lru_cache(maxsize=256)
def _metric(text: str) -> Metric | Ratio:
    from vectorshift.analytics import AggregationOperation
    from vectorshift.errors import AnalyticsInvalidQuery

    if "." not in text:
        above, below = _choose(text, _RATIOS, "metric", "runs.sum, latency.p95, error_rate")
        measured = (Metric(AggregationOperation.parse(part)) for part in (above, below))
        return Ratio(text.lower(), *measured)
    try:
        return Metric(AggregationOperation.parse(text))
    except AnalyticsInvalidQuery as problem:
        raise SpecError(f"Metric {text!r} does not exist. {problem}") from None


class AggregationSpec(Struct, frozen=True):
    """What to measure and how to slice it, as plain strings that are checked at once.

    `metrics` are shorthands, `group_by` dimensions of the reference page in either case (`time`,
    `model_id`, ...), `interval` the width of the time buckets (`hour`, `day`, `week`, `month`,
    `year`), given exactly when `group_by` holds `time`. Raises `SpecError` otherwise.
    """

    metrics: Sequence[str]
    group_by: Sequence[str] = ()
    interval: str | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "metrics", _listed(self.metrics, "metrics"))
        force_setattr(self, "group_by", _listed(self.group_by, "group_by"))
        if self.interval is not None:
            if not isinstance(self.interval, str):
                raise SpecError(f"An interval is a string such as day, not {self.interval!r}.")
            force_setattr(self, "interval", self.interval.lower())
        if not self.metrics:
            raise SpecError("An aggregation needs at least one metric, such as runs.sum.")
        if self.sliced_by_time != (self.interval is not None):
            raise SpecError(
                "Time needs an interval, and only time does: give both, such as "
                "group_by=['time'], interval='day', or neither."
            )
        _ = self.columns, self.dimensions(), self.bucket_width()

    @classmethod
    def from_dict(cls, document: Any, render: Render | None = None) -> Self:
        """Read a description; `render` is applied to each of its texts before anything is checked.

        Raises `SpecError` for unknown keys, metrics, dimensions and intervals, each with the
        nearest known one.
        """
        parts = opened(document, _AGGREGATION_KEYS, "An aggregation", render)
        return cls(**{"metrics": ()} | parts)

    def to_dict(self) -> dict[str, Any]:
        """The description as JSON values; what is empty is left out."""
        parts: dict[str, Any] = {
            "metrics": list(self.metrics),
            "group_by": list(self.group_by),
            "interval": self.interval,
        }
        return {"version": VERSION} | {k: v for k, v in parts.items() if v not in (None, [])}

    @property
    def sliced_by_time(self) -> bool:
        """Whether the rows are buckets of time."""
        return "time" in self.group_by

    @property
    def columns(self) -> list[Metric | Ratio]:
        """What was requested, one column each, in the order given."""
        return [parse_metric(text) for text in self.metrics]

    @property
    def measured(self) -> list[Metric]:
        """The metrics to request: each once, those of a ratio included."""
        metrics: dict[Metric, None] = {}
        for column in self.columns:
            if isinstance(column, Ratio):
                metrics[column.numerator] = metrics[column.denominator] = None
            else:
                metrics[column] = None
        return list(metrics)

    def operations(self) -> list[AggregationOperation]:
        """The `operations` argument of `Query.raw_aggregate`: everything in one request."""
        return [metric.operation for metric in self.measured]

    def dimensions(self) -> list[GroupBy | str] | None:
        """The `group_by` argument of `Query.raw_aggregate`."""
        from vectorshift.analytics import GroupBy

        members = {member.name.lower(): member for member in GroupBy}
        chosen: list[GroupBy | str] = [
            _choose(text, members, "dimension", ", ".join(members)) for text in self.group_by
        ]
        return chosen or None

    def bucket_width(self) -> Interval | None:
        """The `interval` argument of `Query.raw_aggregate`."""
        from vectorshift.analytics import Interval

        if self.interval is None:
            return None
        members = {member.name.lower(): member for member in Interval}
        return _choose(self.interval, members, "interval", ", ".join(members))


def _listed(values: Sequence[str], name: str) -> tuple[str, ...]:
    if not isinstance(values, list | tuple):
        advice = f"; write [{values!r}]" if isinstance(values, str) else f", not {values!r}"
        raise SpecError(f"{name} is a list of names{advice}.")
    lowered = tuple(str(value).strip().lower() for value in values)
    if len(set(lowered)) != len(lowered):
        raise SpecError(f"{name} names something twice: {', '.join(lowered)}.")
    return lowered


def _choose(text: str, choices: Mapping[str, _Choice], noun: str, examples: str) -> _Choice:
    choice = choices.get(text.lower())
    if choice is not None:
        return choice
    from difflib import get_close_matches

    near = get_close_matches(text.lower(), choices, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {examples}."
    raise SpecError(f"{noun.capitalize()} {text!r} does not exist. {hint}")
