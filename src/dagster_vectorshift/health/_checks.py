"""Rules that partitions are judged by, from the same answers that fill the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import dagster as dg

from dagster_vectorshift._documents import Document, OptionalText, Text, text
from dagster_vectorshift._partitions import earlier_windows
from vectorshift_orchestration.thresholds.rules import Rule, rule_from_dict
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift_orchestration.aggregates.measures import Question
    from vectorshift_orchestration.thresholds.verdicts import Verdict

RULE = dg.Resolver(
    lambda context, written: rule_from_dict(text(context, written)),
    model_field_type=Mapping[str, Any],
    inject_before_resolve=False,
    description="A rule in the words of vectorshift_orchestration.thresholds.rules.",
)


@dataclass(frozen=True)
class HealthCheck(Document):
    """A rule that each partition is judged by, from the same answer that fills the table.

    `table` is the name of a `HealthTable` of the set, `rule` is one of
    `vectorshift_orchestration.thresholds.rules` (`Absolute`, `Rate`, `Change`, `Baseline`), and is about all
    events of the query. `name` is the check's, like the rule's unless given. A `blocking` check
    that fails with ERROR ends the step after all tables are written, so nothing downstream runs.
    """

    table: Text
    rule: Annotated[Rule, RULE]
    name: OptionalText = None
    blocking: bool = False
    description: OptionalText = None

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

        figures = dict(zip(self.every, self.question.read(rows.to_pylist()), strict=False))
        return [
            verdict(self.rule, window, [figures[each] for each in (*history, window)])
            for window, history in self.before.items()
        ]
