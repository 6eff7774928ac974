"""`Percentile` and `AggregationOperation`: what an aggregation computes, as values.

Source: reference page "AggregationOperation", "Percentile"; labels from docs/contract.md A5.
"""

import re
from typing import Any

from msgspec import Struct
from msgspec.structs import force_setattr

from vectorshift.analytics import _validation as check
from vectorshift.analytics._enums import AggregationField, AggregationOp, choice, nearest
from vectorshift.analytics._literals import shown
from vectorshift.errors import AnalyticsInvalidQuery

_PERCENTILE_WORD = re.compile(r"p(?:ercentile_?)?(\d+)", re.IGNORECASE)


class Percentile(Struct, frozen=True):
    """The n-th percentile; `n` is one of 50, 75, 95, 99, anything else raises ValueError."""

    n: int

    def __post_init__(self) -> None:
        force_setattr(self, "n", check.percentile_n(self.n))


class AggregationOperation(Struct, frozen=True):
    """One (field, op) pair for `raw_aggregate`. Text is accepted for both: `("latency", "p95")`, `("runs", "sum")`.

    Raises `AnalyticsInvalidQuery` for an unknown field or op, and for a percentile of anything but a latency.
    """

    field: AggregationField | str
    op: AggregationOp | Percentile | str

    def __post_init__(self) -> None:
        field = choice(AggregationField, self.field, "aggregation field")
        force_setattr(self, "field", field)
        op = _op(self.op)
        force_setattr(self, "op", op)
        if isinstance(op, Percentile):
            check.percentile_field(field)

    @classmethod
    def parse(cls, shorthand: str) -> "AggregationOperation":
        """Read `"runs.sum"`, `"latency.p95"`, `"users.count_distinct"`."""
        field, dot, op = shorthand.partition(".")
        if not dot:
            raise AnalyticsInvalidQuery(
                f"{shorthand!r} is not an operation: write '<field>.<op>', for example 'runs.sum' or 'latency.p95'."
            )
        return cls(field, op)

    @property
    def label(self) -> str:
        """The operation's label in an answer: `tokens_sum`, `latency_percentile_95`."""
        op = f"percentile_{self.op.n}" if isinstance(self.op, Percentile) else str(self.op)
        return f"{self.field}_{op}"

    @property
    def shorthand(self) -> str:
        """The operation as text that `parse` reads."""
        return f"{self.field}.{f'p{self.op.n}' if isinstance(self.op, Percentile) else self.op}"


def _op(op: Any) -> AggregationOp | Percentile:
    if isinstance(op, Percentile):
        return op
    if isinstance(op, str) and not isinstance(op, AggregationOp):
        if match := _PERCENTILE_WORD.fullmatch(op.strip()):
            try:
                return Percentile(int(match[1]))
            except ValueError as error:
                raise AnalyticsInvalidQuery(f"{shown(op)}: {error}.") from None
        if op.strip().lower() not in {str(each) for each in AggregationOp}:
            ops = [*map(str, AggregationOp), "p50", "p75", "p95", "p99"]
            raise AnalyticsInvalidQuery(f"{shown(op)} is not an aggregation op.{nearest(op, ops)}")
    return choice(AggregationOp, op, "aggregation op")


def operation(value: Any) -> AggregationOperation:
    """Read an operation from itself, its shorthand, or a (field, op) pair."""
    if isinstance(value, AggregationOperation):
        return value
    if isinstance(value, str):
        return AggregationOperation.parse(value)
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return AggregationOperation(*value)
    raise AnalyticsInvalidQuery(
        f"{shown(value)} is not an operation: use AggregationOperation(field, op) or text such as 'runs.sum'."
    )
