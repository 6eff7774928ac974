"""What is still all right: threshold rules as frozen values with a JSON form.

    {"version": 1, "rule": "rate", "numerator": "errors.sum", "denominator": "runs.sum",
     "minimum_sample": 20, "warn": 0.02, "error": 0.05}

Every rule has two limits, `warn` and `error`, of which one may be missing. A limit is the last
value that is still all right. `breach` says on which side trouble lies: above the limit, below it,
or either, which looks at the distance from 0 alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields, force_setattr

from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs import AggregationSpec, Ratio, parse_metric
from vectorshift_orchestration.specs.documents import VERSION, Render, nearest, opened
from vectorshift_orchestration.values import as_json, has_template

Severity = Literal["WARN", "ERROR"]
_SIDES = ("above", "below", "either")


class Rule(Struct, frozen=True, kw_only=True):
    """What all rules share; see `Absolute`, `Rate`, `Change` and `Baseline`.

    Args:
        warn, error: the limits. Numbers, or texts of numbers as templates leave them.
        breach: above, below or either.
        minimum_sample: with fewer runs than this in a window, its figure says nothing.

    Raises `SpecError` for a rule without a limit, a limit that is not a finite number, limits in the
    wrong order, an unknown side, and a negative or fractional count.
    """

    name: ClassVar[str]
    warn: float | None = None
    error: float | None = None
    breach: str = "above"
    minimum_sample: int = 0

    def __post_init__(self) -> None:
        for side in ("warn", "error"):
            if getattr(self, side) is not None:
                force_setattr(self, side, _number(getattr(self, side), side))
        force_setattr(
            self, "minimum_sample", _count(self.minimum_sample, "minimum_sample", least=0)
        )
        if self.breach not in _SIDES:
            raise SpecError(f"breach={self.breach!r} is not a side. {nearest(self.breach, _SIDES)}")
        if self.warn is None and self.error is None:
            raise SpecError(f"A rule {self.name} needs a limit: give warn=, error=, or both.")
        if self.warn is not None and self.error is not None:
            first, last = sorted([self.warn, self.error], reverse=self.breach == "below")
            if (first, last) != (self.warn, self.error):
                raise SpecError(
                    f"With warn={self.warn:g} and error={self.error:g}, {self.breach} the error limit "
                    "is reached first, so nothing would ever warn. Swap the two."
                )
        _ = self.measured

    @property
    def measured(self) -> AggregationSpec:
        """What has to be measured: the rule's figures, and the runs behind them."""
        named = (str(each).lower() for each in [*self._metrics(), "runs.sum"])
        return AggregationSpec(list(dict.fromkeys(named)))

    @property
    def history(self) -> int:
        """How many windows before the judged one the rule needs."""
        return 0

    def _metrics(self) -> list[str]:
        raise NotImplementedError

    def judge(self, observed: float) -> tuple[Severity | None, float | None]:
        """The severity of a figure and the limit that it passed; (None, None) when it is all right."""
        figure = abs(observed) if self.breach == "either" else observed
        limits: tuple[tuple[Severity, float | None], ...] = (
            ("ERROR", self.error),
            ("WARN", self.warn),
        )
        for severity, limit in limits:
            if limit is not None and (figure < limit if self.breach == "below" else figure > limit):
                return severity, limit
        return None, None

    def to_dict(self) -> dict[str, Any]:
        """The rule as JSON values, without what is a default; `rule_from_dict` reads it back."""
        values = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.default is NODEFAULT or getattr(self, each.name) != each.default
        }
        return {"version": VERSION, "rule": self.name, **values}


class Absolute(Rule, frozen=True, kw_only=True):
    """The figure itself: `Absolute(metric="errors.sum", error=10)`, `metric="error_rate"`."""

    name: ClassVar[str] = "absolute"
    metric: str

    def _metrics(self) -> list[str]:
        return [self.metric]


class Rate(Rule, frozen=True, kw_only=True):
    """One sum divided by another, once the other reaches `minimum_sample`: 2 of 3 is not a rate."""

    name: ClassVar[str] = "rate"
    numerator: str = "errors.sum"
    denominator: str = "runs.sum"
    minimum_sample: int = 20

    def __post_init__(self) -> None:
        Rule.__post_init__(self)
        for text in self._metrics():
            metric = parse_metric(text)
            if isinstance(metric, Ratio) or str(metric.operation.op) != "sum":
                raise SpecError(
                    f"A rate divides one sum by another, and {text} is not a sum. "
                    "Take runs.sum, errors.sum or the like, or a rule absolute."
                )

    def _metrics(self) -> list[str]:
        return [self.numerator, self.denominator]

    def require_shares(self) -> None:
        """Raise `SpecError` for a limit that no part of a whole passes: it is meant as a percentage."""
        for limit in (self.warn, self.error):
            if limit is not None and not 0.0 <= limit <= 1.0:
                raise SpecError(
                    f"A limit of an error rate is a share from 0 to 1, such as 0.05 for 5 %, not {limit:g}."
                )


class Change(Rule, frozen=True, kw_only=True):
    """The relative change of a figure against the window before: 0.5 is half as much again.

    Both windows need `minimum_sample` runs. A change from 0 has no size: too little to judge.
    """

    name: ClassVar[str] = "change"
    metric: str

    @property
    def history(self) -> int:
        """One: the window before."""
        return 1

    def _metrics(self) -> list[str]:
        return [self.metric]


class Baseline(Rule, frozen=True, kw_only=True):
    """How far a figure lies from the median of the windows before, in robust standard deviations.

    One deviation is 1.4826 times the median absolute deviation (MAD), which equals the standard
    deviation of normally distributed figures and is not moved by outliers. Where more than half of
    the figures agree, MAD is 0 and 1.2533 times the mean absolute deviation takes its place.

    Args:
        windows: how many windows before are looked at.
        minimum_windows: with fewer figures than this the history says nothing.
        tolerance: a distance from the median up to this is none at all, in the figure's own unit.
    """

    name: ClassVar[str] = "baseline"
    metric: str
    windows: int = 14
    minimum_windows: int = 5
    tolerance: float = 0.0

    @property
    def history(self) -> int:
        """As many as `windows` says."""
        return self.windows

    def __post_init__(self) -> None:
        for count in ("windows", "minimum_windows"):
            force_setattr(self, count, _count(getattr(self, count), count, least=1))
        force_setattr(self, "tolerance", _number(self.tolerance, "tolerance"))
        if self.tolerance < 0:
            raise SpecError(f"tolerance is a distance, 0 or more, not {self.tolerance:g}.")
        if self.minimum_windows > self.windows:
            raise SpecError(
                f"A baseline of {self.windows} windows never has {self.minimum_windows} of them. "
                "Look at more windows, or ask for fewer."
            )
        Rule.__post_init__(self)

    def _metrics(self) -> list[str]:
        return [self.metric]


_RULES: dict[str, type[Rule]] = {rule.name: rule for rule in (Absolute, Rate, Change, Baseline)}


def rule_from_dict(document: Any, render: Render | None = None) -> Rule:
    """Read a rule; `render` is applied to each of its texts before anything is checked.

    Raises `SpecError` for an unknown rule, key or metric, each with the nearest known one.
    """
    every = {each.name for rule in _RULES.values() for each in fields(rule)}
    name = opened(document, ["rule", *every], "A rule", render).get("rule")
    if not isinstance(name, str) or name not in _RULES:
        raise SpecError(f"Rule {name!r} does not exist. {nearest(name, _RULES)}")
    rule = _RULES[name]
    names = [each.name for each in fields(rule)]
    parts = opened(document, ["rule", *names], f"A rule {name}", render)
    del parts["rule"]
    missing = [
        each.name for each in fields(rule) if each.default is NODEFAULT and each.name not in parts
    ]
    if missing:
        raise SpecError(f"A rule {name} needs {', '.join(missing)}.")
    return rule(**parts)


def rule_document(
    rule: Rule | Mapping[str, Any] | str | None, threshold: Any
) -> dict[str, Any] | str:
    """The JSON form of a rule, or of `threshold` failed runs being the most that is all right.

    Raises `SpecError` unless exactly one of them is given. A document is not checked here, and a
    template is returned as it is.
    """
    if (rule is None) == (threshold is None):
        raise SpecError(
            "give either rule= or threshold=, the failed runs that are still all right."
        )
    if rule is None:
        return {"rule": Absolute.name, "metric": "errors.sum", "error": threshold}
    document = as_json(rule)
    if isinstance(document, str) and has_template(document):
        return document
    if not isinstance(document, Mapping):
        raise SpecError(f"rule= is a rule or its JSON form, not {rule!r}.")
    return dict(document)


def describe_rule(rule: Rule) -> str:
    """The rule for people, limits and all."""
    limits = [
        f"{name} past {limit:g}"
        for name, limit in (("WARN", rule.warn), ("ERROR", rule.error))
        if limit is not None
    ]
    match rule:
        case Rate():
            figure = f"{rule.numerator} / {rule.denominator}"
        case Baseline():
            figure = f"{rule.metric}, in robust deviations from {rule.windows} windows before"
        case Change():
            figure = f"{rule.metric}, as a change from the window before"
        case Absolute():
            figure = rule.metric
        case _:
            figure = rule.name
    few = f"; fewer than {rule.minimum_sample} runs are not judged" if rule.minimum_sample else ""
    side = "" if rule.breach == "above" else f" ({rule.breach})"
    return f"{figure}: {', '.join(limits)}{side}{few}."


def _number(value: Any, name: str) -> float:
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise SpecError(f"{name} is a finite number, not {value!r}.")
    return number


def _count(value: Any, name: str, *, least: int) -> int:
    number = _number(value, name)
    if number < least or number != int(number):
        raise SpecError(f"{name} is a whole number of {least} or more, not {value!r}.")
    return int(number)
