"""Aggregations in the words of a configuration file: `runs.sum`, `latency.p95`, `error_rate`.

A metric is the SDK's shorthand `<field>.<op>`. `error_rate` is derived: errors.sum / runs.sum,
computed here from the two, because the service has no such field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

from vectorshift_orchestration.errors import SpecError

if TYPE_CHECKING:
    from vectorshift.analytics import AggregationOperation, GroupBy, Interval

_Known = TypeVar("_Known")

_COUNTED_FIELDS = frozenset({"runs", "tokens", "errors", "feedback", "create", "add_message"})
_RATIOS = {"error_rate": ("errors.sum", "runs.sum")}


@dataclass(frozen=True, slots=True)
class Metric:
    """One number that the service computes, and the column that it becomes."""

    operation: AggregationOperation

    @property
    def column(self) -> str:
        """`runs_sum`, `latency_p95`."""
        return self.operation.shorthand.replace(".", "_")

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole number: a count, or the sum or an extreme of something counted."""
        return self.operation.op == "count_distinct" or (
            self.operation.field in _COUNTED_FIELDS and self.operation.op in ("sum", "min", "max")
        )

    @property
    def of_nothing(self) -> int | None:
        """Its value over no events: 0 for sums and counts, unknown (null) for everything else."""
        return 0 if self.operation.op in ("sum", "count_distinct") else None


@dataclass(frozen=True, slots=True)
class Ratio:
    """A number computed here from two metrics; unknown (null) where the second is 0."""

    column: str
    numerator: Metric
    denominator: Metric


def parse_metric(text: str) -> Metric | Ratio:
    """The metric that a shorthand names. Raises `SpecError` with the nearest known name."""
    from vectorshift.analytics import AggregationOperation
    from vectorshift.errors import AnalyticsInvalidQuery

    if "." not in text:
        above, below = _choose(text, _RATIOS, "metric", "runs.sum, latency.p95, error_rate")
        measured = (Metric(AggregationOperation.parse(part)) for part in (above, below))
        return Ratio(text.lower(), *measured)
    try:
        return Metric(AggregationOperation.parse(text))
    except AnalyticsInvalidQuery as problem:
        raise SpecError(f"There is no metric {text!r}. {problem}") from None


@dataclass(frozen=True, slots=True)
class AggregationSpec:
    """What to measure and how to slice it, as plain words that are checked at once.

    `metrics` are shorthands, `group_by` dimensions of the reference page in either case (`time`,
    `model_id`, ...), `interval` the width of the time buckets (`hour`, `day`, `week`, `month`,
    `year`), given exactly when `group_by` holds `time`. Raises `SpecError` otherwise.
    """

    metrics: Sequence[str]
    group_by: Sequence[str] = ()
    interval: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", _listed(self.metrics, "metrics"))
        object.__setattr__(self, "group_by", _listed(self.group_by, "group_by"))
        if self.interval is not None:
            object.__setattr__(self, "interval", self.interval.lower())
        if not self.metrics:
            raise SpecError("An aggregation needs at least one metric, such as runs.sum.")
        if self.sliced_by_time != (self.interval is not None):
            raise SpecError(
                "Time needs an interval, and only time does: give both, such as "
                "group_by=['time'], interval='day', or neither."
            )
        _ = self.columns, self.dimensions(), self.bucket_width()

    @property
    def sliced_by_time(self) -> bool:
        """Whether the rows are buckets of time."""
        return "time" in self.group_by

    @property
    def columns(self) -> list[Metric | Ratio]:
        """What was asked for, one column each, in the order given."""
        return [parse_metric(text) for text in self.metrics]

    @property
    def measured(self) -> list[Metric]:
        """What the service has to be asked: each metric once, those under a ratio included."""
        asked: dict[Metric, None] = {}
        for column in self.columns:
            if isinstance(column, Ratio):
                asked[column.numerator] = asked[column.denominator] = None
            else:
                asked[column] = None
        return list(asked)

    def operations(self) -> list[AggregationOperation]:
        """The `operations` argument of `Query.raw_aggregate`: everything in one request."""
        return [metric.operation for metric in self.measured]

    def dimensions(self) -> list[GroupBy | str] | None:
        """The `group_by` argument of `Query.raw_aggregate`."""
        from vectorshift.analytics import GroupBy

        known = {member.name.lower(): member for member in GroupBy}
        chosen: list[GroupBy | str] = [
            _choose(text, known, "dimension", ", ".join(known)) for text in self.group_by
        ]
        return chosen or None

    def bucket_width(self) -> Interval | None:
        """The `interval` argument of `Query.raw_aggregate`."""
        from vectorshift.analytics import Interval

        if self.interval is None:
            return None
        known = {member.name.lower(): member for member in Interval}
        return _choose(self.interval, known, "interval", ", ".join(known))


def _listed(values: Sequence[str], name: str) -> tuple[str, ...]:
    if isinstance(values, str):
        raise SpecError(f"{name} is a list of names; write [{values!r}].")
    lowered = tuple(str(value).lower() for value in values)
    if len(set(lowered)) != len(lowered):
        raise SpecError(f"{name} names something twice: {', '.join(lowered)}.")
    return lowered


def _choose(text: str, known: Mapping[str, _Known], noun: str, examples: str) -> _Known:
    found = known.get(text.lower())
    if found is not None:
        return found
    near = get_close_matches(text.lower(), known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {examples}."
    raise SpecError(f"There is no {noun} {text!r}. {hint}")
