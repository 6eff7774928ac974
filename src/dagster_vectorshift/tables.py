"""What a set of health assets keeps and checks, as plain values that are checked at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift_orchestration.measures import Question
    from vectorshift_orchestration.rules import Rule

DEFAULT_METRICS = (
    "runs.sum",
    "errors.sum",
    "error_rate",
    "latency.p95",
    "tokens.sum",
    "model_costs.sum",
)
"""Runs, failed runs, their share, ms that 95 % of runs stay below, tokens, and US dollars."""


@dataclass(frozen=True)
class HealthTable:
    """One table: what is measured, and one row for each bucket of time and slice.

    `name` is the last part of the asset's key. `metrics` and `group_by` are words of
    `AggregationSpec`; time is always sliced by, in UTC buckets of `interval` (hour, day, week,
    month, year), whose start is column `bucket_start`. `table` is the table in the storage, perhaps
    with its schema, and named like the asset unless given. Raises `SpecError` for an unknown word.
    """

    name: str
    metrics: Sequence[str] = DEFAULT_METRICS
    group_by: Sequence[str] = ("pipeline_id",)
    interval: str = "day"
    table: str | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.group_by, str):
            raise SpecError(f"group_by is a list of names; write [{self.group_by!r}].")
        if "time" in (name.lower() for name in self.group_by):
            raise SpecError(
                f"Health table {self.name} is sliced by time in any case, by its interval: name only "
                "the other dimensions in group_by."
            )
        _ = self.spec

    @property
    def spec(self) -> AggregationSpec:
        """The aggregation that fills the table."""
        return AggregationSpec(self.metrics, ("time", *self.group_by), self.interval)

    @property
    def table_name(self) -> str:
        """The table in the storage."""
        return self.table or self.name


@dataclass(frozen=True)
class HealthCheck:
    """A rule that each partition is judged by, from the same answer that fills the table.

    `table` is the name of a `HealthTable` of the set, `rule` is one of
    `vectorshift_orchestration.rules` (`Absolute`, `Rate`, `Change`, `Baseline`), and is about all
    events of the query. `name` is the check's, like the rule's unless given. A `blocking` check
    that fails with ERROR ends the step after all tables are written, so nothing downstream runs.
    """

    table: str
    rule: "Rule"
    name: str | None = None
    blocking: bool = False
    description: str | None = None

    @property
    def check_name(self) -> str:
        """The name of the check."""
        return self.name or self.rule.name

    def question(self, windows: Sequence[Window], earlier: Sequence[Window]) -> "Question":
        """What to measure for the partitions `windows` and those before them, sliced by time.

        Raises `MergeError` for a rule whose figure cannot be put together from the buckets of one
        window, such as a percentile of days in a week.
        """
        from vectorshift_orchestration.measures import question

        asked = [*earlier, *windows]
        # One window alone would be asked for without slices, which no other table can share.
        return question(self.rule.measured, asked if len(asked) > 1 else asked * 2)
