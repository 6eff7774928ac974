"""A rule, a query and a window: the verdict. One request for each evaluation, whatever the rule.

    verdict = evaluate(Rate(warn=0.02, error=0.05, minimum_sample=50), query, window)
    verdict.ok, verdict.severity, verdict.reason

The rules are in `rules`, the requests in `judging`, the verdicts in `verdicts`. What the data say is never an error: too few runs
or too short a history is a verdict of its own, "insufficient_data". Only an impossible rule
and the service's own failures raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectorshift_orchestration.thresholds.rules import (
    Absolute as Absolute,
    Baseline as Baseline,
    Change as Change,
    Rate as Rate,
    Rule as Rule,
    Severity as Severity,
    rule_from_dict as rule_from_dict,
)

if TYPE_CHECKING:
    from datetime import tzinfo

    from vectorshift.analytics import Query
    from vectorshift_orchestration.thresholds.judging import Judging
    from vectorshift_orchestration.thresholds.verdicts import Verdict
    from vectorshift_orchestration.windows import Every, Window


def evaluate(
    rule: Rule,
    query: Query,
    window: Window,
    *,
    every: Every | None = None,
    tz: str | tzinfo = "UTC",
) -> Verdict:
    """Measure the window, judge it by the rule, in one request.

    `every` and `tz` say which windows came before, as in `Window.earlier`: None is the same width.
    Only `Change` and `Baseline` look at those, and they need windows of whole UTC hours. Raises
    `SpecError`, `WindowError` or `MergeError` for a rule that cannot be applied to this window, and
    the SDK's errors; nothing for what the data are.
    """
    return _judging(rule, window, every, tz).ask(query)[0]


async def aevaluate(
    rule: Rule,
    query: Query,
    window: Window,
    *,
    every: Every | None = None,
    tz: str | tzinfo = "UTC",
) -> Verdict:
    """`evaluate`, awaiting."""
    return (await _judging(rule, window, every, tz).aask(query))[0]


def _judging(rule: Rule, window: Window, every: Every | None, tz: str | tzinfo) -> Judging:
    from vectorshift_orchestration.thresholds.judging import Judging

    return Judging(rule, [window], lambda each, count: each.earlier(count, every, tz))
