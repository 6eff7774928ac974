"""From figures to a verdict. Pure, and without errors: whatever the data are, there is a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vectorshift_orchestration.aggregates.measures import Figures
from vectorshift_orchestration.specs import parse_metric
from vectorshift_orchestration.thresholds.rules import (
    Absolute,
    Baseline,
    Change,
    Rate,
    Rule,
    Severity,
)
from vectorshift_orchestration.windows import Window

State = Literal["ok", "breached", "insufficient_data"]

_RUNS = "runs_sum"
_MAD_TO_DEVIATION = 1.4826
_MEAN_TO_DEVIATION = 1.2533
"""The standard deviation of normally distributed figures over their MAD, their mean deviation."""

Finding = tuple[float | None, str]
"""The observation and its text; None and the reason if there is nothing to observe."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of a window.

    `ok` is False for a breach only, whose `severity` says which limit was exceeded. `observed` is
    the figure in the rule's unit: the metric's own, a share, a relative change, or robust
    deviations, which are infinite when all of the history agrees and the window does not; it is
    None when there was nothing to observe. `limit` is the limit that was passed, else the first
    that was not. `sample` counts the runs of the window; for `Rate`, what was divided by. `reason`
    is one sentence for people.
    """

    ok: bool
    state: State
    observed: float | None
    limit: float | None
    sample: int
    reason: str
    window: Window
    severity: Severity | None = None

    @property
    def version(self) -> str:
        """What is known of the window, in short; another one is news."""
        figure = self.observed or 0.0
        shown = int(figure) if math.isfinite(figure) else figure
        return f"{self.severity or self.state}.{shown}.{self.sample}"

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON values; JSON has no infinity, so that is None."""
        finite = self.observed is not None and math.isfinite(self.observed)
        return {
            "ok": self.ok,
            "state": self.state,
            "severity": self.severity,
            "observed": self.observed if finite else None,
            "limit": self.limit,
            "sample": self.sample,
            "reason": self.reason,
            "window": self.window.to_dict(),
        }


def verdict(rule: Rule, window: Window, figures: Sequence[Figures]) -> Verdict:
    """The verdict on a window, from the figures of the windows before it and, last, its own."""
    *before, current = figures
    sample = int(current[_column(rule.denominator)] if isinstance(rule, Rate) else current[_RUNS])
    if sample < rule.minimum_sample:
        observed, summary = None, f"{sample:,} are too few, the rule needs {rule.minimum_sample:,}"
    else:
        observed, summary = _observed(rule, before, current)
    if observed is not None and math.isnan(observed):
        observed, summary = None, f"{summary}, figures beyond what doubles can compare"
    first_limit = rule.error if rule.warn is None else rule.warn
    if observed is None:
        reason = f"Too little to judge {window.label}: {summary}."
        return Verdict(True, "insufficient_data", None, first_limit, sample, reason, window)
    severity, limit = rule.judge(observed)
    if severity is None:
        reason = f"In {window.label}, {summary}: within the limits."
        return Verdict(True, "ok", observed, first_limit, sample, reason, window)
    reason = f"In {window.label}, {summary}: past the {severity} limit of {limit:g}."
    return Verdict(False, "breached", observed, limit, sample, reason, window, severity)


def _observed(rule: Rule, before: Sequence[Figures], current: Figures) -> Finding:
    match rule:
        case Rate():
            return _rate(rule, current)
        case Change():
            return _change(rule, before[-1], current)
        case Baseline():
            return _deviations(rule, before, current)
        case Absolute():
            value = _value(rule.metric, current)
            return value, _missing(rule.metric) if value is None else f"{rule.metric} is {value:g}"
    raise TypeError(f"{type(rule).__name__} is not a rule")


def _rate(rule: Rate, current: Figures) -> Finding:
    above, below = _value(rule.numerator, current), _value(rule.denominator, current)
    if above is None or not below:
        return None, f"{rule.denominator} is 0"
    share = above / below
    return share, f"{rule.numerator} / {rule.denominator} is {above:g} / {below:g} = {share:.4g}"


def _change(rule: Change, before: Figures, current: Figures) -> Finding:
    value, last = _value(rule.metric, current), _value(rule.metric, before)
    if before[_RUNS] < rule.minimum_sample:
        return None, f"the window before has {before[_RUNS]:,} runs, fewer than the rule needs"
    if value is None or last is None:
        return None, _missing(rule.metric)
    if not last:
        return (
            (None, f"{rule.metric} was 0 before") if value else (0.0, f"{rule.metric} is still 0")
        )
    change = (value - last) / abs(last)
    return change, f"{rule.metric} is {value:g} after {last:g}, a change of {change:+.1%}"


def _deviations(rule: Baseline, before: Sequence[Figures], current: Figures) -> Finding:
    judged = [each for each in before if each[_RUNS] >= rule.minimum_sample]
    history = [value for each in judged if (value := _value(rule.metric, each)) is not None]
    value = _value(rule.metric, current)
    if value is None:
        return None, _missing(rule.metric)
    if len(history) < rule.minimum_windows:
        return (
            None,
            f"{len(history)} windows before it are too few, the rule needs {rule.minimum_windows}",
        )
    from statistics import median

    middle = median(history)
    try:
        number = _robust_deviations(value, middle, history, rule.tolerance)
    except OverflowError:
        number = math.nan
    summary = f"{rule.metric} is {value:g}, {number:+.3g} deviations from {middle:g}"
    return number, f"{summary}, the median of {len(history)} windows before it"


def _robust_deviations(
    value: float, middle: float, history: Sequence[float], tolerance: float
) -> float:
    from statistics import fmean, median

    distance = value - middle
    if abs(distance) <= tolerance:
        return 0.0
    distances = [abs(each - middle) for each in history]
    spread = _MAD_TO_DEVIATION * median(distances) or _MEAN_TO_DEVIATION * fmean(distances)
    return distance / spread if spread else math.copysign(math.inf, distance)


def _column(metric: str) -> str:
    return parse_metric(metric).column


def _value(metric: str, figures: Figures) -> float | None:
    """A figure as the limits are: a double, also where it is an amount."""
    value = figures[_column(metric)]
    return None if value is None else float(value)


def _missing(metric: str) -> str:
    return f"{metric} has no value there"
