"""What a set of health assets keeps and checks, as plain values that are checked at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from dagster_vectorshift._partitions import earlier_windows
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.thresholds.rules import Rule
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift_orchestration.aggregates.measures import Question
    from vectorshift_orchestration.thresholds.verdicts import Verdict

BUCKET_TIME = "bucket_start"
"""The time column of every table of health; the module that makes tables loads Arrow."""

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
    `vectorshift_orchestration.thresholds.rules` (`Absolute`, `Rate`, `Change`, `Baseline`), and is about all
    events of the query. `name` is the check's, like the rule's unless given. A `blocking` check
    that fails with ERROR ends the step after all tables are written, so nothing downstream runs.
    """

    table: str
    rule: Rule
    name: str | None = None
    blocking: bool = False
    description: str | None = None

    @property
    def check_name(self) -> str:
        """The name of the check."""
        return self.name or self.rule.name

    def judge(
        self, windows: Sequence[Window], partitions_def: dg.TimeWindowPartitionsDefinition
    ) -> "Judgement":
        """How the partitions `windows` are judged, those before them included that the rule needs.

        Raises `MergeError` for a rule whose figure cannot be put together from the buckets of one
        window, such as a percentile of days in a week, and `WindowError` for windows that are not
        whole UTC hours.
        """
        from vectorshift_orchestration.aggregates.measures import question

        before = {
            window: earlier_windows(window, self.rule.history, partitions_def) for window in windows
        }
        every = sorted({*windows, *(each for history in before.values() for each in history)})
        # One window alone would be asked for without slices, which no other table can share.
        asked = question(self.rule.measured, every if len(every) > 1 else every * 2)
        return Judgement(self.rule, before, every, asked)


@dataclass(frozen=True)
class Judgement:
    """What has to be measured for a check, and the verdict on each window once it is."""

    rule: Rule
    before: Mapping[Window, Sequence[Window]]
    every: Sequence[Window]
    question: "Question"

    def verdicts(self, rows: "pa.Table") -> "list[Verdict]":
        """The verdict on each window, from the answer to `question`."""
        from vectorshift_orchestration.thresholds.verdicts import verdict

        figures = dict(zip(self.every, self.question.read(rows), strict=False))
        return [
            verdict(self.rule, window, [figures[each] for each in (*history, window)])
            for window, history in self.before.items()
        ]
