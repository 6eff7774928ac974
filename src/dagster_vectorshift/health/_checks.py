"""Rules that partitions are judged by, from the same answers that fill the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import dagster as dg

from dagster_vectorshift._documents import Document, OptionalText, Text, text
from dagster_vectorshift._partitions import before
from vectorshift_orchestration import health_sets
from vectorshift_orchestration.thresholds.judging import Judging
from vectorshift_orchestration.thresholds.rules import Rule, rule_from_dict
from vectorshift_orchestration.windows import Window

RULE = dg.Resolver(
    lambda context, written: rule_from_dict(text(context, written)),
    model_field_type=Mapping[str, Any],
    inject_before_resolve=False,
)


@dataclass(frozen=True)
class HealthCheck(Document, health_sets.HealthCheck):
    __doc__ = health_sets.HealthCheck.__doc__

    table: Text
    rule: Annotated[Rule, RULE]
    name: OptionalText = None
    blocking: bool = False
    description: OptionalText = None

    def judging(
        self, windows: Sequence[Window], partitions_def: dg.TimeWindowPartitionsDefinition
    ) -> Judging:
        """How the partitions `windows` are judged, from an answer that others may share."""
        return Judging(self.rule, windows, before(partitions_def), sliced=True)
