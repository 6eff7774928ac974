"""Rules in words, for people who look at a check in Dagster's interface."""

from vectorshift_orchestration.thresholds.rules import Absolute, Baseline, Change, Rate, Rule


def in_words(rule: Rule) -> str:
    """The rule as the page of its check describes it, limits and all."""
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
